"""`fastgen-k8s encode`, `pairs`, `train`, `bridge`, `sample`, `report`: one stage, whose agent this process becomes."""

import os
import subprocess
import sys
from typing import Annotated

import typer

from fastgen_k8s.errors import Misdescribed
from fastgen_k8s.launch.command import AGENT, argv, environment
from fastgen_k8s.pipeline.kinds import Kind
from fastgen_k8s.pipeline.negative import with_negative
from fastgen_k8s.pipeline.work import Execution, Placement, Work, check_read, check_world, parse_inputs

commands = typer.Typer(rich_markup_mode=None)

_Experiment = Annotated[str, typer.Option(help="A name from `fastgen-k8s experiments`.")]
_Output = Annotated[str, typer.Option(help="Where the artifact goes.")]
_Set = Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="A setting of the experiment.")]
_Input = Annotated[list[str] | None, typer.Option("--input", metavar="NAME=URI", help="An input of the stage.")]
_Prompts = Annotated[str | None, typer.Option(help="Prompts to encode first, into OUTPUT-conditions.")]
_Negative = Annotated[str | None, typer.Option(metavar="FILE", help="A file with the negative prompt.")]
_Nodes = Annotated[str, typer.Option(help="How many agents work together: a number, or MIN:MAX.")]
_Processes = Annotated[int, typer.Option(min=1, help="Worker processes of this agent.")]
_MicroBatch = Annotated[int | None, typer.Option(min=1, help="Samples a process computes at once.")]
_LogEvery = Annotated[int | None, typer.Option(min=1, help="Steps between two logged losses.")]
_SaveEvery = Annotated[int | None, typer.Option(min=0, help="Steps between two checkpoints; 0: at the end only.")]
_Keep = Annotated[int | None, typer.Option(min=1, help="Checkpoints that are kept.")]
_Tracker = Annotated[list[str] | None, typer.Option(help="tensorboard or wandb; may be repeated.")]


@commands.command()
def encode(
    experiment: _Experiment,
    output: _Output,
    prompts: Annotated[
        str | None, typer.Option(help="A file: .txt with a prompt a line, .json, .jsonl, .csv, .tsv.")
    ] = None,
    negative_prompt_file: _Negative = None,
    settings: _Set = None,
    inputs: _Input = None,
) -> None:
    """Encode prompts into a conditions artifact."""
    settings = with_negative(settings or [], negative_prompt_file)
    given = parse_inputs([*(inputs or []), *([f"prompts={prompts}"] if prompts else [])])
    _become_agent(Work.parse(_work("encode", experiment, output, settings, given), "command line"))


@commands.command()
def pairs(
    experiment: _Experiment,
    output: _Output,
    prompts: _Prompts = None,
    negative_prompt_file: _Negative = None,
    settings: _Set = None,
    inputs: _Input = None,
    processes: _Processes = 1,
) -> None:
    """Stage 1: follow the teacher's trajectories."""
    settings = _negative(settings, negative_prompt_file, prompts)
    given = _encoded(prompts, experiment, output, settings, inputs)
    work = Work.parse(_work("pairs", experiment, output, settings, given), "command line")
    _become_agent(work, Placement(processes=processes), encoded=prompts is not None)


@commands.command()
def train(
    experiment: _Experiment,
    output: _Output,
    prompts: _Prompts = None,
    negative_prompt_file: _Negative = None,
    settings: _Set = None,
    inputs: _Input = None,
    nodes: _Nodes = "1",
    processes: _Processes = 1,
    micro_batch: _MicroBatch = None,
    log_every: _LogEvery = None,
    save_every: _SaveEvery = None,
    keep: _Keep = None,
    tracker: _Tracker = None,
) -> None:
    """Stages 2 and 3: CausalKD, Self-Forcing, or whatever the experiment's method is."""
    settings = _negative(settings, negative_prompt_file, prompts)
    given = _encoded(prompts, experiment, output, settings, inputs)
    habits = {"log_every": log_every, "save_every": save_every, "keep": keep, "trackers": tracker}
    execution = Execution.parse({name: value for name, value in habits.items() if value is not None}, "command line")
    where = {"nodes": nodes, "processes": processes, "micro_batch": micro_batch}
    work = Work.parse(_work("train", experiment, output, settings, given), "command line")
    _become_agent(work, Placement.parse(where, "command line"), execution, encoded=prompts is not None)


@commands.command()
def bridge(experiment: _Experiment, output: _Output, settings: _Set = None, inputs: _Input = None) -> None:
    """From a training checkpoint to the weights that the next stage starts from."""
    given = parse_inputs(inputs or [])
    _become_agent(Work.parse(_work("bridge", experiment, output, settings, given), "command line"))


@commands.command()
def sample(
    experiment: _Experiment,
    output: _Output,
    prompts: _Prompts = None,
    negative_prompt_file: _Negative = None,
    settings: _Set = None,
    inputs: _Input = None,
    processes: _Processes = 1,
) -> None:
    """Draw clips from a student, chunk by chunk."""
    settings = _negative(settings, negative_prompt_file, prompts)
    given = _encoded(prompts, experiment, output, settings, inputs)
    work = Work.parse(_work("sample", experiment, output, settings, given), "command line")
    _become_agent(work, Placement(processes=processes), encoded=prompts is not None)


@commands.command()
def report(experiment: _Experiment, output: _Output, settings: _Set = None, inputs: _Input = None) -> None:
    """A page that shows and measures what the inputs hold."""
    given = parse_inputs(inputs or [])
    _become_agent(Work.parse(_work("report", experiment, output, settings, given), "command line"))


def _work(
    kind: Kind, experiment: str, output: str, settings: list[str] | None, inputs: dict[str, str]
) -> dict[str, object]:
    return {"kind": kind, "experiment": experiment, "overrides": settings or [], "inputs": inputs, "output": output}


def _negative(settings: list[str] | None, file: str | None, prompts: str | None) -> list[str]:
    if file and prompts is None:
        raise Misdescribed("wanted --prompts beside --negative-prompt-file: conditions that are there have theirs")
    return with_negative(settings or [], file)


def _encoded(
    prompts: str | None, experiment: str, output: str, settings: list[str] | None, inputs: list[str] | None
) -> dict[str, str]:
    """The inputs, with the conditions that `--prompts` asks to be made first."""
    given = parse_inputs(inputs or [])
    if prompts is None:
        return given
    if "conditions" in given:
        raise Misdescribed("wanted --prompts or --input conditions=URI, found both")
    place = output.rstrip("/") + "-conditions"
    needed = {"prompts": prompts} | ({"teacher": given["teacher"]} if "teacher" in given else {})
    work = Work.parse(_work("encode", experiment, place, settings, needed), "command line")
    work.resolve()
    code = subprocess.run(_words(work), env=_environment(work, Placement()), check=False).returncode
    if code:
        raise typer.Exit(code)
    return given | {"conditions": place}


def _become_agent(
    work: Work, placement: Placement | None = None, execution: Execution | None = None, encoded: bool = False
) -> None:
    """Turn this process into the stage's agent, so that signals and the exit code are the agent's own.

    Where prompts were `encoded` for it, with the same settings, it need not be the one that reads them.
    """
    where, habits = placement or Placement(), execution or Execution()
    work.resolve()
    check_read([work.kind, "encode"] if encoded else [work.kind], work.overrides)
    check_world(work, where)
    sys.stdout.flush()
    os.execve(sys.executable, _words(work, where, habits), _environment(work, where))


def _words(work: Work, placement: Placement | None = None, execution: Execution | None = None) -> list[str]:
    return [sys.executable, "-m", AGENT, *argv(work, placement or Placement(), execution or Execution())]


def _environment(work: Work, placement: Placement) -> dict[str, str]:
    return environment(work, placement) | dict(os.environ)  # what the person set already counts
