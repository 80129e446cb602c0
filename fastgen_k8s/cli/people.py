"""`fastgen-k8s status`, `logs`, `suspend`, `resume`, `retry`: looking after a pipeline, wherever it runs."""

import sys
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from fastgen_k8s.cli.extra import wants
from fastgen_k8s.errors import BadInput, Misdescribed
from fastgen_k8s.printable import clean

if TYPE_CHECKING:  # each command imports what it needs: --help needs nothing of it
    from fastgen_k8s.people.cluster import ClusterPipeline
    from fastgen_k8s.people.pipelines import Pipelines
    from fastgen_k8s.people.root import LocalRoot

commands = typer.Typer(rich_markup_mode=None)

_LOOK_EVERY = 1.0  # seconds


def _pipelines(namespace: str | None) -> "Pipelines":
    with wants("controller", "a cluster"):
        from fastgen_k8s.people.pipelines import connect

    return connect(namespace)


def _source(given: str, namespace: str | None) -> "LocalRoot | ClusterPipeline":
    from fastgen_k8s.people.source import is_root

    if is_root(given, namespace):
        from fastgen_k8s.people.root import LocalRoot

        return LocalRoot(given)
    with wants("controller", "a cluster"):
        from fastgen_k8s.people.cluster import ClusterPipeline

    return ClusterPipeline(_pipelines(namespace), given)


_Name = Annotated[str, typer.Argument(help="A pipeline in the cluster.")]
_NameOrRoot = typer.Argument(
    metavar="NAME|ROOT", help="A pipeline in the cluster, or the root of a run: a folder, s3://..."
)
_Namespace = Annotated[
    str | None, typer.Option("--namespace", "-n", help="Else the kubeconfig's, and if it names none, `fastgen`.")
]


@commands.command()
def status(
    name: Annotated[str | None, _NameOrRoot] = None,
    namespace: _Namespace = None,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Until it ends; exits with its exit code.")] = False,
) -> int:
    """How a pipeline stands, stage by stage; without a name, every pipeline of the namespace."""
    from fastgen_k8s.people.watch import watch as watch_it
    from fastgen_k8s.view.rows import lines
    from fastgen_k8s.view.show import screen, show

    if name is not None:
        source = _source(name, namespace)
        if watch:
            return watch_it(source.look, screen(sys.stdout), lambda: time.sleep(_LOOK_EVERY))
        show(source.look())
        return 0
    if watch:
        raise Misdescribed("wanted the name of a pipeline to watch, found none")
    pipelines = _pipelines(namespace)
    from fastgen_k8s.people.present import listing

    there = pipelines.all()
    said = lines(listing(there, datetime.now(UTC))) if there else [f"no pipelines in {pipelines.namespace}"]
    print(*said, sep="\n")
    return 0


@commands.command()
def logs(
    name: Annotated[str, _NameOrRoot],
    stage: Annotated[str | None, typer.Argument(help="Else the one that runs, failed, or ran last.")] = None,
    namespace: _Namespace = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the stage's job has ended.")] = False,
    raw: Annotated[bool, typer.Option("--raw", help="As it was written, with what a terminal obeys.")] = False,
) -> None:
    """What a stage says, each line behind its replica; the stored metrics when some of that is gone."""
    from fastgen_k8s.people.source import pick
    from fastgen_k8s.people.stored import stored

    source = _source(name, namespace)
    chosen = pick(source.look().rows, stage).stage
    log, said = source.log(chosen, follow), False
    for line in log.lines:
        print(f"{line.replica} {line.text}" if raw else line, flush=follow)
        said = True
    if said and not log.lost:
        return
    place = source.place(chosen)
    lines = stored(place)
    if lines:
        print(f"stage {chosen}: {log.lost or 'its log is empty'}, these are its metrics in {place}", file=sys.stderr)
        print(*(lines if raw else map(clean, lines)), sep="\n")
    elif not said and log.lost:
        raise BadInput(f"stage {chosen}: {log.lost}; wanted metrics in {place}, found none")


@commands.command()
def suspend(name: _Name, namespace: _Namespace = None) -> None:
    """Have a pipeline pause: its jobs write their checkpoints and end."""
    from fastgen_k8s.people import requests

    print(requests.suspend(_pipelines(namespace), name, wanted=True))


@commands.command()
def resume(name: _Name, namespace: _Namespace = None) -> None:
    """Have a suspended pipeline go on where it was."""
    from fastgen_k8s.people import requests

    print(requests.suspend(_pipelines(namespace), name, wanted=False))


@commands.command()
def retry(
    name: _Name,
    stage: Annotated[str, typer.Argument(help="One that failed, or waits in vain for its pods.")],
    namespace: _Namespace = None,
) -> None:
    """Have a failed stage tried again, with all its retries, or a job that has never worked made anew."""
    from fastgen_k8s.people import requests

    print(requests.retry(_pipelines(namespace), name, stage))
