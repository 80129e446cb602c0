"""`fastgen-k8s`: run pipelines and single stages, list experiments, add models, look into artifacts."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer
import yaml
from typer.exceptions import TyperException

from fastgen_k8s.errors import FastgenError, Misdescribed, failed_io, refuse
from fastgen_k8s.experiments import EXPERIMENTS, get_experiment
from fastgen_k8s.launch.command import AGENT, argv, environment
from fastgen_k8s.pipeline.work import Execution, Kind, Placement, Work, check_read, check_world, parse_inputs

cli = typer.Typer(
    help="Distil diffusion models into few-step, causal students.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
models = typer.Typer(help="Teachers as artifacts.", rich_markup_mode=None)
cli.add_typer(models, name="models")


def main() -> None:
    """The entry point: what can go wrong is one line on stderr and an exit code."""
    try:
        code: object = cli(standalone_mode=False)
    except FastgenError as error:
        sys.exit(refuse(error))
    except TyperException as error:
        sys.exit(refuse(Misdescribed(f"{error.format_message()} (--help says what there is)")))
    except OSError as error:
        sys.exit(refuse(failed_io(error)))
    except typer.Abort:
        sys.exit(130)
    sys.exit(code if isinstance(code, int) else 0)


# --- pipelines --------------------------------------------------------------------------------------------------------


@cli.command()
def run(
    file: Annotated[Path, typer.Argument(help="A pipeline: manifests/pipelines/*.yaml.")],
    changes: Annotated[list[str] | None, typer.Argument(metavar="[STAGE.KEY=VALUE | KEY=VALUE]...")] = None,
    root: Annotated[
        str | None,
        typer.Option(metavar="DIR", help="A folder or s3://BUCKET/PREFIX; replaces the file's own root."),
    ] = None,
    first: Annotated[str | None, typer.Option("--from", metavar="STAGE", help="This stage and what follows.")] = None,
    only: Annotated[str | None, typer.Option(metavar="STAGE", help="This stage alone.")] = None,
    parallel: Annotated[int, typer.Option(min=1, help="Stages at once.")] = 1,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")] = False,
) -> int:
    """Run a pipeline on this machine; what is there already is not done again.

    KEY=VALUE without a stage changes every stage whose kind reads that key.
    """
    try:
        from fastgen_k8s import runner  # here, because TorchX takes its time and --help does not need it
    except ModuleNotFoundError as error:
        raise Misdescribed(f"a run wants the extra `cluster` of fastgen-k8s, found no {error.name}") from error

    asked = runner.prepare(file, root, changes or [], first, only, parallel)
    if dry_run:
        for name, state, output in runner.describe(asked):
            print(f"{name:20} {state:12} {output}")
        return 0
    return runner.carry_out(asked, runner.screen())


# --- single stages ----------------------------------------------------------------------------------------------------

_Experiment = Annotated[str, typer.Option(help="A name from `fastgen-k8s experiments`.")]
_Output = Annotated[str, typer.Option(help="Where the artifact goes.")]
_Set = Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="A setting of the experiment.")]
_Input = Annotated[list[str] | None, typer.Option("--input", metavar="NAME=URI", help="An input of the stage.")]
_Prompts = Annotated[str | None, typer.Option(help="Prompts to encode first, into OUTPUT-conditions.")]
_Nodes = Annotated[str, typer.Option(help="How many agents work together: a number, or MIN:MAX.")]
_Processes = Annotated[int, typer.Option(min=1, help="Worker processes of this agent.")]
_MicroBatch = Annotated[int | None, typer.Option(min=1, help="Samples a process computes at once.")]
_LogEvery = Annotated[int | None, typer.Option(min=1, help="Steps between two logged losses.")]
_SaveEvery = Annotated[int | None, typer.Option(min=0, help="Steps between two checkpoints; 0: at the end only.")]
_Keep = Annotated[int | None, typer.Option(min=1, help="Checkpoints that are kept.")]
_Tracker = Annotated[list[str] | None, typer.Option(help="tensorboard or wandb; may be repeated.")]


@cli.command()
def encode(
    experiment: _Experiment,
    output: _Output,
    prompts: Annotated[str | None, typer.Option(help="A text file with a prompt a line, or JSON lines.")] = None,
    settings: _Set = None,
    inputs: _Input = None,
) -> None:
    """Encode prompts into a conditions artifact."""
    given = parse_inputs([*(inputs or []), *([f"prompts={prompts}"] if prompts else [])])
    _become_agent(Work.parse(_work("encode", experiment, output, settings, given), "command line"))


@cli.command()
def pairs(
    experiment: _Experiment,
    output: _Output,
    prompts: _Prompts = None,
    settings: _Set = None,
    inputs: _Input = None,
    processes: _Processes = 1,
) -> None:
    """Stage 1: follow the teacher's trajectories."""
    given = _encoded(prompts, experiment, output, settings, inputs)
    work = Work.parse(_work("pairs", experiment, output, settings, given), "command line")
    _become_agent(work, Placement(processes=processes), encoded=prompts is not None)


@cli.command()
def train(
    experiment: _Experiment,
    output: _Output,
    prompts: _Prompts = None,
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
    given = _encoded(prompts, experiment, output, settings, inputs)
    habits = {"log_every": log_every, "save_every": save_every, "keep": keep, "trackers": tracker}
    execution = Execution.parse({name: value for name, value in habits.items() if value is not None}, "command line")
    where = {"nodes": nodes, "processes": processes, "micro_batch": micro_batch}
    work = Work.parse(_work("train", experiment, output, settings, given), "command line")
    _become_agent(work, Placement.parse(where, "command line"), execution, encoded=prompts is not None)


@cli.command()
def bridge(experiment: _Experiment, output: _Output, settings: _Set = None, inputs: _Input = None) -> None:
    """From a training checkpoint to the weights that the next stage starts from."""
    given = parse_inputs(inputs or [])
    _become_agent(Work.parse(_work("bridge", experiment, output, settings, given), "command line"))


@cli.command()
def sample(
    experiment: _Experiment,
    output: _Output,
    prompts: _Prompts = None,
    settings: _Set = None,
    inputs: _Input = None,
    processes: _Processes = 1,
) -> None:
    """Draw clips from a student, chunk by chunk."""
    given = _encoded(prompts, experiment, output, settings, inputs)
    work = Work.parse(_work("sample", experiment, output, settings, given), "command line")
    _become_agent(work, Placement(processes=processes), encoded=prompts is not None)


@cli.command()
def report(experiment: _Experiment, output: _Output, settings: _Set = None, inputs: _Input = None) -> None:
    """A page that shows and measures what the inputs hold."""
    given = parse_inputs(inputs or [])
    _become_agent(Work.parse(_work("report", experiment, output, settings, given), "command line"))


def _work(
    kind: Kind, experiment: str, output: str, settings: list[str] | None, inputs: dict[str, str]
) -> dict[str, object]:
    return {"kind": kind, "experiment": experiment, "overrides": settings or [], "inputs": inputs, "output": output}


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


# --- looking ----------------------------------------------------------------------------------------------------------


@cli.command()
def experiments(name: Annotated[str | None, typer.Argument(help="Print this one as YAML.")] = None) -> None:
    """List the experiments, or print one with all of its settings."""
    if name is not None:
        data = get_experiment(name).model_dump(mode="json")
        print(yaml.safe_dump(data, sort_keys=False, default_flow_style=None, width=110), end="")
        return
    for experiment in EXPERIMENTS.values():
        latent = " x ".join(str(size) for size in experiment.model.latent)
        print(f"{experiment.name:36} {experiment.method.kind:22} {experiment.train.steps:6} steps   latent {latent}")


@models.command("add")
def add(
    folder: Annotated[Path, typer.Argument(help="A diffusers folder.")],
    to: Annotated[str, typer.Option(metavar="URI", help="Where the artifact goes.")],
) -> None:
    """Make a `model` artifact of a teacher's folder: every file with its sha256."""
    from fastgen_k8s.artifacts.models import add_model

    manifest = add_model(folder, to)
    print(f"{to}: model {manifest.digest[:16]}, {len(manifest.files)} files")


@models.command("pull")
def pull(
    name: Annotated[str, typer.Argument(metavar="OWNER/NAME", help="A repository of the Hugging Face hub.")],
    to: Annotated[str, typer.Option(metavar="URI", help="Where the artifact goes.")],
    revision: Annotated[str | None, typer.Option(help="A branch, tag or commit; the newest without it.")] = None,
) -> None:
    """Make a `model` artifact of a diffusers repository, so that jobs need no hub."""
    from fastgen_k8s.artifacts.hub import pull_model

    manifest = pull_model(name, to, revision)
    print(f"{to}: model {manifest.digest[:16]}, {len(manifest.files)} files of {manifest.facts['revision']}")


@cli.command()
def inspect(uri: Annotated[str, typer.Argument(help="A file or an artifact.")]) -> int:
    """Say what a file or an artifact is: kind, step, roles, parameters, dtype, whole or torn."""
    return subprocess.run([sys.executable, "-m", "fastgen_k8s.stages.inspection", uri], check=False).returncode
