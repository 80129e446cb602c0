"""`make images`: build both images, save them as docker archives and write their bills of materials; offline too."""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from fastgen_k8s import __version__
from fastgen_k8s.errors import FastgenError, refuse
from images import sbom
from images.engine import Engine, engine
from images.offline import base_image, empty, wheelhouse

ROOT = Path(__file__).resolve().parent.parent
EXTRAS: Mapping[str, str] = {"trainer": "train", "controller": "controller"}
"""Each image and the optional dependencies that it installs."""
KEPT = "6GB"  # of steps, in a private engine: two builds' worth


def main(argv: Sequence[str]) -> int:
    """Build, save, and say how long each step took."""
    parser = argparse.ArgumentParser(prog="python -m images.build", description=__doc__)
    parser.add_argument("images", nargs="*", metavar="IMAGE", help="trainer, controller; both when none is named")
    parser.add_argument("--base", help="the base image; by default Debian's Python where the engine has no network")
    parser.add_argument("--torch", help="base, cpu, or index: see docs/images.md")
    parser.add_argument("--offline", action="store_true", help="fetch everything beforehand, build without network")
    given = parser.parse_args(argv)
    if unknown := sorted(set(given.images) - set(EXTRAS)):
        parser.error(f"unknown image {unknown[0]!r}: there are {', '.join(EXTRAS)}")
    try:
        with engine(cache() / "engine") as running:
            build(running, given.images or list(EXTRAS), given.base, given.torch, given.offline or running.private)
    except FastgenError as error:
        return refuse(error)
    return 0


def cache() -> Path:
    """Where the base image and a private engine's own images are kept from one build to the next."""
    home = Path(os.environ.get("XDG_CACHE_HOME", "") or Path.home() / ".cache")
    return Path(os.environ.get("FASTGEN_IMAGES_CACHE", "") or home / "fastgen-k8s" / "images")


def build(running: Engine, images: Sequence[str], base: str | None, torch: str | None, offline: bool) -> None:
    """Fetch what the build cannot, build each image, save each."""
    wheels = ROOT.parent / "shared" / "wheels"  # a CPU build of torch, where one is at hand
    local = wheels if any(wheels.glob("torch-*.whl")) else None
    if offline:
        with step("wheelhouse"):
            wheelhouse(ROOT, list(EXTRAS.values()), local)
        if base is None:
            with step("base"):
                base = base_image(running, cache())
    else:
        empty(ROOT / "images" / "wheels")
        torch = torch or "cpu"
    torch = None if torch == "index" else torch
    version = stamp()
    for image in images:
        with step(f"build {image}"):
            running.do(*command(image, version, base, torch, offline))
        with step(f"save {image}"):
            save(running, image)
        with step(f"bill of {image}"):
            sbom.write(running, for_tests(image), sbom.wheels_in(ROOT / "images" / "wheels"), bill(image))
        if running.private:  # what no image refers to any more, but for the steps that a next build starts from
            running.ask("image", "prune", "--force")
            running.ask("builder", "prune", "--force", "--keep-storage", KEPT)
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
