"""The files of a folder that somebody gives, through its links, which may lead to nothing that was not given."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from fastgen_k8s.errors import BadInput, io_at


def files_below(folder: Path, *, anywhere: bool = False) -> dict[str, Path]:
    """Every file by its name below a folder, without hidden ones.

    Links are followed inside the folder and, in a snapshot of a hub's cache, to the cache's own blobs. BadInput names
    one that leads to nothing, to a folder that it lies in, or elsewhere, unless it may lead anywhere.
    """
    top = folder.resolve()
    homes = None if anywhere else [top, *_blobs(top)]
    with io_at(folder):
        return {path.relative_to(folder).as_posix(): path for path in _files(folder, (top,), homes)}


def _files(folder: Path, above: tuple[Path, ...], homes: Sequence[Path] | None) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            continue
        if path.is_symlink():
            _check(path, above, homes)
        if path.is_dir():
            yield from _files(path, (*above, path.resolve()), homes)
        elif path.is_file():
            yield path


def _check(link: Path, above: tuple[Path, ...], homes: Sequence[Path] | None) -> None:
    try:
        target = Path(os.path.realpath(link, strict=True))
    except OSError as error:
        raise BadInput(f"{link}: wanted a file or a folder, found a link to nothing ({link.readlink()})") from error
    if target in above:
        raise BadInput(f"{link}: wanted a file or a folder, found a link to a folder that it lies in ({target})")
    if homes is not None and not any(target.is_relative_to(home) for home in homes):
        raise BadInput(f"{link}: wanted what is inside the folder, found a link to {target} (--follow-links takes it)")


def _blobs(top: Path) -> Iterator[Path]:
    """Where a hub's cache keeps the contents of its snapshots: `models--OWNER--NAME/blobs`."""
    for place in top.parents:
        if place.name == "snapshots":
            yield place.with_name("blobs")
