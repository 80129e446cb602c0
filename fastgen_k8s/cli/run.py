"""`fastgen-k8s run`: a pipeline on this machine."""

from pathlib import Path
from typing import Annotated

import typer

from fastgen_k8s.cli.extra import wants

commands = typer.Typer(rich_markup_mode=None)


@commands.command()
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
    with wants("cluster", "a run"):  # here, because TorchX takes its time and --help does not need it
        from fastgen_k8s.runner.prepare import describe, prepare
        from fastgen_k8s.runner.run import carry_out
        from fastgen_k8s.view.show import screen

    asked = prepare(file, root, changes or [], first, only, parallel)
    if dry_run:
        for name, state, output in describe(asked):
            print(f"{name:20} {state:12} {output}")
        return 0
    return carry_out(asked, screen())
