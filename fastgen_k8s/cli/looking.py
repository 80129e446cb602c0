"""`fastgen-k8s experiments`, `models`, `inspect`: what there is, and what it is."""

import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer
import yaml

from fastgen_k8s.artifacts.address import expanded
from fastgen_k8s.experiments import EXPERIMENTS, get_experiment

commands = typer.Typer(rich_markup_mode=None)
models = typer.Typer(help="Teachers as artifacts.", rich_markup_mode=None)
commands.add_typer(models, name="models")


@commands.command()
def experiments(name: Annotated[str | None, typer.Argument(help="Print this one as YAML.")] = None) -> None:
    """List the experiments, or print one with all of its settings."""
    if name is not None:
        data = get_experiment(name).model_dump(mode="json")
        print(yaml.safe_dump(data, sort_keys=False, default_flow_style=None, width=110), end="")
        return
    for experiment in EXPERIMENTS.values():
        latent = " x ".join(str(size) for size in experiment.model.latent)
        print(f"{experiment.name:36} {experiment.method.name:22} {experiment.train.steps:6} steps   latent {latent}")


@models.command("add")
def add(
    folder: Annotated[Path, typer.Argument(help="A diffusers folder.")],
    to: Annotated[str, typer.Option(metavar="URI", help="Where the artifact goes.")],
    follow_links: Annotated[
        bool, typer.Option("--follow-links", help="Also those that lead out of the folder and its hub cache.")
    ] = False,
) -> None:
    """Make a `model` artifact of a teacher's folder: every file with its sha256, if a stage can read it."""
    from fastgen_k8s.artifacts.models import add_model

    manifest = add_model(Path(expanded(str(folder))), to, follow_links=follow_links)
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


@commands.command()
def inspect(
    uri: Annotated[str, typer.Argument(help="A file or an artifact.")],
    raw: Annotated[bool, typer.Option("--raw", help="Names as they are, with what a terminal obeys.")] = False,
) -> int:
    """Say what a file or an artifact is: kind, step, roles, parameters, dtype, whole or torn."""
    return subprocess.run(
        [sys.executable, "-m", "fastgen_k8s.stages.inspection", expanded(uri), *(["--raw"] if raw else [])], check=False
    ).returncode
