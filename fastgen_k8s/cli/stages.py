"""`fastgen-k8s encode`, `pairs`, `train`, ...: a stage of each kind, whose agent this process becomes."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from inspect import Parameter, Signature
from typing import Annotated, Any, cast

import typer

from fastgen_k8s.errors import Misdescribed
from fastgen_k8s.launch.launch import AGENT, Launch
from fastgen_k8s.pipeline.kinds import KINDS, MADE_BY, StageKind
from fastgen_k8s.pipeline.negative import with_negative
from fastgen_k8s.pipeline.words import WORDS, Word, placed
from fastgen_k8s.pipeline.work import Execution, Placement, Work, check_read, parse_inputs

commands = typer.Typer(rich_markup_mode=None)

_ENCODER = MADE_BY["conditions"][0]
_PROMPTS = "A file: .txt with a prompt a line, .json, .jsonl, .csv, .tsv."
_BESIDE = "Prompts to encode first, into OUTPUT-conditions."


def _command(kind: StageKind) -> Callable[..., None]:
    """The command of a kind: what it takes follows from the kind's row and the words of every stage."""

    def command(**given: Any) -> None:
        _start(kind, **given)

    command.__doc__ = kind.does
    cast("Any", command).__signature__ = Signature(list(_parameters(kind)))
    return command


def _parameters(kind: StageKind) -> Iterator[Parameter]:
    yield _parameter("experiment", str, typer.Option(help="A name from `fastgen-k8s experiments`."), Parameter.empty)
    yield _parameter("output", str, typer.Option(help="Where the artifact goes."), Parameter.empty)
    if kind.prompted:
        yield _parameter("prompts", str | None, typer.Option(help=_PROMPTS if "prompts" in kind.inputs else _BESIDE))
        negative = typer.Option(metavar="FILE", help="A file with the negative prompt.")
        yield _parameter("negative_prompt_file", str | None, negative)
    setting = typer.Option("--set", metavar="KEY=VALUE", help="A setting of the experiment, placement or execution.")
    yield _parameter("settings", list[str] | None, setting)
    yield _parameter("inputs", list[str] | None, typer.Option("--input", metavar="NAME=URI", help="An input."))
    for word in WORDS:
        yield _parameter(word.name, word.of | None, _option(word))


def _parameter(name: str, kind: Any, option: Any, default: object = None) -> Parameter:
    return Parameter(name, Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[kind, option])


def _option(word: Word) -> Any:
    names = [word.flag, "--tracker"] if word.name == "trackers" else [word.flag]
    return typer.Option(*names, help=word.says, show_default=word.default or False)


for _kind in KINDS.values():
    commands.command(_kind.name)(_command(_kind))


def _start(
    kind: StageKind,
    experiment: str,
    output: str,
    settings: list[str] | None,
    inputs: list[str] | None,
    prompts: str | None = None,
    negative_prompt_file: str | None = None,
    **flags: object,
) -> None:
    """Turn this process into the stage's agent, so that signals and the exit code are the agent's own.

    Where prompts are encoded for it, with the same settings, it need not be the one that reads them.
    """
    words, where, habits = placed(settings or [], flags, "command line")
    encodes = prompts is not None and "prompts" not in kind.inputs
    if negative_prompt_file and prompts is None and "prompts" not in kind.inputs:
        raise Misdescribed("wanted --prompts beside --negative-prompt-file: conditions that are there have theirs")
    words = with_negative(words, negative_prompt_file)
    given = parse_inputs([*(inputs or []), *([f"prompts={prompts}"] if prompts and not encodes else [])])
    conditions = output.rstrip("/") + "-conditions"
    if encodes and "conditions" in given:
        raise Misdescribed("wanted --prompts or --input conditions=URI, found both")
    work = _work(kind.name, experiment, words, given | ({"conditions": conditions} if encodes else {}), output)
    work.resolve()
    check_read([kind.name, _ENCODER] if encodes else [kind.name], work.overrides)
    launch = Launch(work, where, habits)
    if encodes:
        needed = {"prompts": str(prompts)} | {name: uri for name, uri in given.items() if name == "teacher"}
        _encode(_work(_ENCODER, experiment, words, needed, conditions))
    sys.stdout.flush()
    os.execve(sys.executable, _words(launch), _environment(launch))


def _work(kind: str, experiment: str, overrides: list[str], inputs: dict[str, str], output: str) -> Work:
    described = {"kind": kind, "experiment": experiment, "overrides": overrides, "inputs": inputs, "output": output}
    return Work.parse(described, "command line")


def _encode(work: Work) -> None:
    launch = Launch(work, Placement(), Execution())
    code = subprocess.run(_words(launch), env=_environment(launch), check=False).returncode
    if code:
        raise typer.Exit(code)


def _words(launch: Launch) -> list[str]:
    return [sys.executable, "-m", AGENT, *launch.argv]


def _environment(launch: Launch) -> dict[str, str]:
    return launch.environment | dict(os.environ)  # what the person set already counts
