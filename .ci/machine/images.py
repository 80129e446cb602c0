"""`make images`: the images of `images.build`, on a machine without Docker too."""

import os
import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

from fastgen_k8s.errors import FastgenError, refuse
from images.build import ROOT, Wanted, build, parsed, step
from images.engine import Engine, NoEngine, reached
from machine.base import base_image
from machine.engine import private_engine

KEPT = "6GB"  # of steps, in a private engine: two builds' worth
WHEELS = ROOT.parent / "shared" / "wheels"  # a CPU build of torch, where one is at hand


def main(argv: Sequence[str]) -> int:
    """Build with the engine that is reachable, else with a private one for the time being."""
    wanted = parsed(argv)
    try:
        with built(wanted):
            return 0
    except FastgenError as error:
        return refuse(error)


@contextmanager
def built(wanted: Wanted) -> Generator[Engine]:
    """An engine that holds the images, as long as this is open; a private one reaches neither registry nor index."""
    try:
        running = reached()
    except NoEngine:
        running = None
    if running is not None:
        build(running, with_parts(running, wanted) if wanted.offline else wanted)
        yield running
        return
    with private_engine(cache() / "engine") as running:
        build(running, with_parts(running, wanted._replace(offline=True)))
        # What no image refers to any more, but for the steps that a next build starts from.
        running.ask("image", "prune", "--force")
        running.ask("builder", "prune", "--force", "--keep-storage", KEPT)
        yield running


def with_parts(running: Engine, wanted: Wanted) -> Wanted:
    """The same with a base of Debian's packages and the wheels at hand, where none are named."""
    own = WHEELS if any(WHEELS.glob("torch-*.whl")) else None
    if wanted.base is not None:
        return wanted._replace(wheels=wanted.wheels or own)
    with step("base"):
        return wanted._replace(base=base_image(running, cache()), wheels=wanted.wheels or own)


def cache() -> Path:
    """Where the base image and a private engine's own images are kept from one build to the next."""
    home = Path(os.environ.get("XDG_CACHE_HOME", "") or Path.home() / ".cache")
    return Path(os.environ.get("FASTGEN_IMAGES_CACHE", "") or home / "fastgen-k8s" / "images")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
