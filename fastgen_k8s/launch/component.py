"""What the components share: defaults from the environment, inputs looked at first, one way to an application."""
# pyright: reportMissingTypeStubs=false

import os
from collections.abc import Mapping, Sequence

from torchx.specs import AppDef

from fastgen_k8s.artifacts import find_artifact
from fastgen_k8s.artifacts.address import expanded, is_remote
from fastgen_k8s.artifacts.single import input_digest
from fastgen_k8s.errors import BadInput, Misdescribed
from fastgen_k8s.experiments.schema import Experiment
from fastgen_k8s.launch.app import app
from fastgen_k8s.launch.launch import Launch
from fastgen_k8s.pipeline.kinds import KINDS, StageKind
from fastgen_k8s.pipeline.negative import with_negative
from fastgen_k8s.pipeline.words import SECTIONS, placed
from fastgen_k8s.pipeline.work import Work, check_read, parse_inputs, reads


def default(component: str, name: str, fallback: str = "") -> str:
    """An argument's default: FASTGEN_STAGE2_PAIRS, else FASTGEN_PAIRS, else what the repository offers."""
    return next((os.environ[variable] for variable in _variables(component, name) if variable in os.environ), fallback)


def default_count(component: str, name: str, fallback: str) -> int:
    """The same of an argument that is a whole number; Misdescribed when the environment holds another word."""
    given = default(component, name, fallback)
    if not given.isdecimal():
        raise Misdescribed(f"{' or '.join(_variables(component, name))}: wanted a whole number, found {given!r}")
    return int(given)


def _variables(component: str, name: str) -> tuple[str, str]:
    return f"FASTGEN_{component}_{name}".upper(), f"FASTGEN_{name}".upper()


def made(component: str) -> str:
    """Where a component writes by default, and where the next one looks: below FASTGEN_ROOT (runs)."""
    return f"{os.environ.get('FASTGEN_ROOT', 'runs')}/{component}"


def stage_app(
    kind: str,
    experiment: str,
    words: Sequence[str],
    output: str,
    image: str,
    flags: Mapping[str, object],
    inputs: Mapping[str, tuple[str, str]],
    negative_prompt_file: str = "",
) -> AppDef:
    """The application of one stage; BadInput says in one line which input is not there.

    An input is what was given, or nothing, and a place where it is looked for then, if the experiment asks for it.
    """
    row = KINDS[kind]
    settings = [word for word in words if not row.shows or _is_setting(row, word)]
    told = {name: value for name, value in flags.items() if value != "" and (name, value) != ("micro_batch", 0)}
    overrides, where, habits = placed(settings, told, "arguments")
    overrides = with_negative(overrides, negative_prompt_file)
    described = {"kind": kind, "experiment": experiment, "overrides": overrides, "output": output}
    resolved = Work.parse(described, "arguments").resolve()
    check_read([kind], overrides)
    if row.shows:
        given = parse_inputs([word for word in words if word not in settings]) or _shown(inputs)
    else:
        chosen = {name: uri or there for name, (uri, there) in inputs.items() if uri or _asks(row, resolved, name)}
        given = {name: expanded(uri) for name, uri in chosen.items() if name != "teacher" or resolved.model.parts}
        for name, uri in given.items():
            _look(row, name, uri)
    work = Work.parse(described | {"inputs": given}, "arguments")
    return app(Launch(work, where, habits, image))


def _is_setting(kind: StageKind, word: str) -> bool:
    """Whether a word is no input of a report, whose inputs have names of their giver."""
    section, dot, _ = word.partition("=")[0].partition(".")
    return bool(dot) and (section in SECTIONS or reads(kind.name, section))


def _asks(kind: StageKind, experiment: Experiment, name: str) -> bool:
    """Whether a stage that nobody gave an input looks for it: not where the experiment does without.

    A method without a teacher makes one, so nothing of it is there before. A student that learns beside its teacher
    starts as that, or, where it is causal, as what the bridge took from an earlier stage.
    """
    if "method" not in kind.reads:
        return True
    needs, causal = experiment.method.needs, experiment.model.chunk_size is not None
    taught = needs.teacher != "never"
    asked = {"teacher": taught, "pairs": needs.pairs and taught, "student": needs.teacher == "always" and causal}
    return asked.get(name, True)


def _look(kind: StageKind, name: str, uri: str) -> None:
    """Refuse an input that is not there; one that is not on this machine is looked at by the stage."""
    if is_remote(uri):
        return
    try:
        input_digest(uri)
    except BadInput as error:
        usual = [one.components for one in KINDS.values() if (one.makes,) == kind.takes(name)[:1]]
        makes = "".join(f"torchx run components/{names[0]}.py makes one, or " for names in usual if names)
        raise BadInput(f"input {name!r}: {error} ({makes}--{name} URI, or FASTGEN_{name.upper()})") from error


def _shown(inputs: Mapping[str, tuple[str, str]]) -> dict[str, str]:
    """What other components have made where they write by default; BadInput when none has made anything."""
    found = {name: place for name, (_, place) in inputs.items() if find_artifact(place) is not None}
    if not found:
        raise BadInput(f"wanted something to report on, found nothing whole below {made('')} (give name=uri)")
    return found
