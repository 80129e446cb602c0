"""Which places the pipelines of a namespace may name: those that a pod reaches, below the roots that somebody listed.

A folder has a file for each namespace with a list, one `s3://BUCKET/PREFIX` a line: the ConfigMap `fastgen-roots` as
it is mounted. A namespace without a file may name any; one with an empty file none.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

from fastgen_k8s.artifacts.address import WANTED, Address, is_remote
from fastgen_k8s.errors import Misdescribed, failed_io
from fastgen_k8s.pipeline.spec import Pipeline, is_uri

_SHIPPED = "examples"  # what every image has below its working directory, the controller's too
_NAMED = 3  # roots that a refusal names


class Roots:
    """The lists of a folder. They are read anew each time: a mounted file changes."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    def of(self, namespace: str) -> list[Address] | None:
        """A namespace's roots, None for any; a FastgenError for a line that is no place or an unreadable list."""
        if self._folder is None:
            return None
        file = self._folder / namespace
        try:
            text = file.read_text(errors="replace")
        except FileNotFoundError:
            return None
        except OSError as error:
            raise failed_io(error, file) from error
        return parsed(text, namespace)


def parsed(text: str, namespace: str) -> list[Address]:
    """The roots of a list; lines without a word, or behind a #, do not count."""
    found: list[Address] = []
    for number, line in enumerate(text.splitlines(), 1):
        words = line.partition("#")[0].strip()
        if not words:
            continue
        try:
            found.append(Address.parse(words.removesuffix("/")))
        except Misdescribed as error:
            raise Misdescribed(f"the roots of namespace {namespace}, line {number}: {error}") from error
    return found


def check_places(pipeline: Pipeline, roots: Sequence[Address] | None) -> None:
    """Raise Misdescribed for the first place that a pod does not reach or the roots (None: any) do not hold.

    It is asked before anything is read: the controller shall not look at what the namespace's own pods may not.
    """
    for name, place in _places(pipeline):
        if not is_remote(place):
            if name == "root" or not _shipped(place):
                raise Misdescribed(f"{name}: wanted a place that every pod reaches ({WANTED}), found {place!r}")
        elif not _below(Address.parse(place), roots):
            raise Misdescribed(f"{name}: wanted a place below {_said(roots or ())}, found {place!r}")


def _places(pipeline: Pipeline) -> Iterator[tuple[str, str]]:
    yield "root", pipeline.root or ""
    for stage in pipeline.stages:
        for name, source in stage.inputs.items():
            if is_uri(source):
                yield f"stage {stage.name}, input {name}", source


def _shipped(place: str) -> bool:
    first, *others = place.removeprefix("file://").split("/")
    return first == _SHIPPED and ".." not in others


def _below(place: Address, roots: Sequence[Address] | None) -> bool:
    """Whether a place is one of the roots or below one, by whole segments."""
    return roots is None or any(
        (place.scheme, place.bucket) == (root.scheme, root.bucket)
        and f"{place.prefix}/".startswith(f"{root.prefix}/" if root.prefix else "")
        for root in roots
    )


def _said(roots: Sequence[Address]) -> str:
    if not roots:
        return "the namespace's roots, of which there are none"
    named = [one.uri for one in roots[:_NAMED]]
    return " or ".join(named) + (f" or {len(roots) - _NAMED} more" if len(roots) > _NAMED else "")
