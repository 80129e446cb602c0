"""What the components share: defaults from the environment, inputs looked at first, one way to an application."""
# pyright: reportMissingTypeStubs=false

import os
from collections.abc import Mapping, Sequence

from torchx.specs import AppDef

from fastgen_k8s.artifacts import find_artifact
from fastgen_k8s.artifacts.address import expanded, is_remote
from fastgen_k8s.artifacts.single import input_digest
from fastgen_k8s.errors import BadInput, Misdescribed
from fastgen_k8s.launch.app import app
from fastgen_k8s.launch.launch import Launch
from fastgen_k8s.pipeline.kinds import Kind
from fastgen_k8s.pipeline.work import Execution, Placement, Work, check_read, known_input

MADE_BY: Mapping[str, str] = {
    "conditions": "encode",
    "pairs": "stage1",
    "checkpoint": "stage2",
    "student": "bridge",
}
"""The component that makes an input."""


def default(stage: str, name: str, fallback: str) -> str:
    """An argument's default: FASTGEN_STAGE2_PAIRS, else FASTGEN_PAIRS, else what the repository offers."""
    return next((os.environ[variable] for variable in _variables(stage, name) if variable in os.environ), fallback)


def default_count(stage: str, name: str, fallback: str) -> int:
    """The same of an argument that is a whole number; Misdescribed when the environment holds another word."""
    given = default(stage, name, fallback)
    if not given.isdecimal():
        raise Misdescribed(f"{' or '.join(_variables(stage, name))}: wanted a whole number, found {given!r}")
    return int(given)


def _variables(stage: str, name: str) -> tuple[str, str]:
    return f"FASTGEN_{stage}_{name}".upper(), f"FASTGEN_{name}".upper()


def made(stage: str) -> str:
    """Where a component writes by default, and where the next one looks: below FASTGEN_ROOT (runs)."""
    return f"{os.environ.get('FASTGEN_ROOT', 'runs')}/{stage}"


def stage_app(
    kind: Kind,
    experiment: str,
    overrides: Sequence[str],
    inputs: Mapping[str, str],
    output: str,
    placement: Mapping[str, object] | None = None,
    execution: Mapping[str, object] | None = None,
    image: str = "",
) -> AppDef:
    """The application of one stage; BadInput says in one line which input is not there."""
    where = Placement.parse(dict(placement or {}), "arguments")
    habits = Execution.parse(dict(execution or {}), "arguments")
    described = {"kind": kind, "experiment": experiment, "overrides": list(overrides), "output": output}
    parts = Work.parse(described, "arguments").resolve().model.parts  # of a teacher's folder
    check_read([kind], overrides)
    given = {name: expanded(uri) for name, uri in inputs.items() if name != "teacher" or parts}
    for name, uri in given.items():
        known_input(kind, name)
        _look(name, uri)
    work = Work.parse(described | {"inputs": given}, "arguments")
    return app(Launch(work, where, habits, image))


def _look(name: str, uri: str) -> None:
    """Refuse an input that is not there; one that is not on this machine is looked at by the stage."""
    how = f"--{name} URI, or FASTGEN_{name.upper()}"
    if name in MADE_BY:
        how = f"torchx run components/{MADE_BY[name]}.py makes one, or {how}"
    if not uri:
        raise BadInput(f"wanted the input {name!r}, found none ({how})")
    if is_remote(uri):
        return
    try:
        input_digest(uri)
    except BadInput as error:
        raise BadInput(f"input {name!r}: {error} ({how})") from error


def stages_made(*stages: str) -> dict[str, str]:
    """What those components have made where they write by default; BadInput when none has made anything."""
    found = {stage: made(stage) for stage in stages if find_artifact(made(stage)) is not None}
    if not found:
        raise BadInput(f"wanted something to report on, found nothing whole below {made('')} (give name=uri)")
    return found
