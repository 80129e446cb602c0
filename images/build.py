"""Build both images with Docker, save them as docker archives and write their bills of materials."""

import argparse
import subprocess
import sys
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from fastgen_k8s import __version__
from fastgen_k8s.errors import FastgenError, refuse
from images import sbom
from images.engine import Engine, reached
from images.offline import empty, wheelhouse

ROOT = Path(__file__).resolve().parent.parent
EXTRAS: Mapping[str, str] = {"trainer": "train", "controller": "controller"}
"""Each image and the optional dependencies that it installs."""


class Wanted(NamedTuple):
    """What to build, and where its parts come from."""

    images: Sequence[str]
    base: str | None = None  # None: the Dockerfiles' own
    torch: str | None = None
    offline: bool = False
    wheels: Path | None = None  # of the caller's own, used beside the index's


def main(argv: Sequence[str]) -> int:
    """Build, save, and say how long each step took."""
    wanted = parsed(argv)
    try:
        build(reached(), wanted)
    except FastgenError as error:
        return refuse(error)
    return 0


def parsed(argv: Sequence[str]) -> Wanted:
    """What a command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m images.build", description=__doc__)
    parser.add_argument("images", nargs="*", metavar="IMAGE", help="trainer, controller; both when none is named")
    parser.add_argument("--base", help="the base image; by default that of the Dockerfiles")
    parser.add_argument("--torch", help="base, cpu, or index: see docs/images.md")
    parser.add_argument("--offline", action="store_true", help="fetch all wheels beforehand, build without network")
    parser.add_argument("--wheels", type=Path, help="with --offline: a folder of wheels of your own, such as torch's")
    given = parser.parse_args(argv)
    if unknown := sorted(set(given.images) - set(EXTRAS)):
        parser.error(f"unknown image {unknown[0]!r}: there are {', '.join(EXTRAS)}")
    return Wanted(given.images or list(EXTRAS), given.base, given.torch, given.offline, given.wheels)


def build(running: Engine, wanted: Wanted) -> None:
    """Fetch what the build cannot, build each image, save each."""
    wheels = ROOT / "images" / "wheels"
    if wanted.offline:
        with step("wheelhouse"):
            wheelhouse(ROOT, list(EXTRAS.values()), wanted.wheels)
    else:
        empty(wheels)
        wanted = wanted._replace(torch=wanted.torch or "cpu")
    torch = None if wanted.torch == "index" else wanted.torch
    version = stamp()
    for image in wanted.images:
        with step(f"build {image}"):
            running.do(*command(image, version, wanted.base, torch, wanted.offline))
        with step(f"save {image}"):
            save(running, image)
        with step(f"bill of {image}"):
            sbom.write(running, for_tests(image), sbom.wheels_in(wheels), bill(image))
        size = int(running.ask("image", "inspect", "--format", "{{.Size}}", for_tests(image)))
        print(f"{image}: {size / 1e6:.0f} MB, {names(image, version)[0]}", flush=True)


def command(image: str, version: tuple[str, str], base: str | None, torch: str | None, offline: bool) -> list[str]:
    """The client's words that build an image."""
    arguments = {"VERSION": version[0], "REVISION": version[1]}
    arguments |= {"BASE_IMAGE": base} if base else {}
    arguments |= {"TORCH": torch} if torch and image == "trainer" else {}
    return [
        *("build", "--file", f"images/{image}.Dockerfile", "--progress", "plain", "--quiet"),
        *(word for name, value in arguments.items() for word in ("--build-arg", f"{name}={value}")),
        *(word for name in names(image, version) for word in ("--tag", name)),
        *(["--network", "none"] if offline else []),
        str(ROOT),
    ]


def names(image: str, version: tuple[str, str]) -> tuple[str, str, str]:
    """What an image is called: by what it was made from, in the manifests, and for tests."""
    return f"fastgen-k8s/{image}:{version[0]}-{version[1]}", in_manifests(image), for_tests(image)


def in_manifests(image: str) -> str:
    """The name that the manifests run where there is no registry: a node that has the archive has it."""
    return f"fastgen-k8s/{image}:{__version__}"


def for_tests(image: str) -> str:
    """The name that tests use."""
    return f"fastgen-k8s/{image}:test"


def archive(image: str) -> Path:
    """Where an image is saved."""
    return ROOT / "images" / "build" / f"{image}.tar"


def bill(image: str) -> Path:
    """Where the bill of materials of an image is written."""
    return archive(image).with_suffix(".cdx.json")


def stamp() -> tuple[str, str]:
    """The project's version and the commit; `dirty` when the working tree differs from it."""
    version = __version__
    words = ["git", "describe", "--always", "--dirty", "--abbrev=12"]
    found = subprocess.run(words, cwd=ROOT, check=False, capture_output=True, text=True)
    return version, found.stdout.strip() or "unknown"


def save(running: Engine, image: str) -> None:
    """Write the archive, unless it holds this very image under the same names."""
    path = archive(image)
    path.parent.mkdir(exist_ok=True)
    kept = (in_manifests(image), for_tests(image))
    mark, found = path.with_suffix(".id"), running.ask("image", "inspect", "--format", "{{.Id}}", for_tests(image))
    said = "\n".join((found, *kept))
    if path.exists() and mark.exists() and mark.read_text() == said:
        return
    mark.unlink(missing_ok=True)
    running.do("save", "--output", str(path), *kept)
    mark.write_text(said)


@contextmanager
def step(name: str) -> Generator[None]:
    """Say how long something took."""
    begun = time.monotonic()
    yield
    print(f"{name}: {time.monotonic() - begun:.1f} s", flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
