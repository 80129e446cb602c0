"""The images of the cluster: what every node needs, and the trainer's, as docker archives on this machine."""

import hashlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from tests.cluster import archive
from tests.cluster.build import alone
from tests.cluster.daemons import run
from tests.cluster.node_files import PAUSE_IMAGE
from tests.cluster.programs import cache

BASE_IMAGE = "localhost/base:1"
TRAINER_IMAGE, CONTROLLER_IMAGE = "fastgen-k8s/trainer:test", "fastgen-k8s/controller:test"
_SUITE, _PACKAGES = "bookworm", ("python3", "libstdc++6")
_PAUSE_SOURCE = Path(__file__).with_name("pause.c")
_ROOT = Path(__file__).parents[2]


def base() -> Path:
    """Debian with Python: what small test pods run."""
    return _made("base", repr((_SUITE, _PACKAGES, BASE_IMAGE)))


def pause() -> Path:
    """The image of a pod's first container, which holds its namespaces."""
    return _made("pause", _PAUSE_SOURCE.read_text())


def trainer() -> Path:
    """The trainer's image as `make images` leaves it, or wherever FASTGEN_TRAINER_ARCHIVE says."""
    return Path(os.environ.get("FASTGEN_TRAINER_ARCHIVE") or _ROOT / "images" / "build" / "trainer.tar")


def controller() -> Path:
    """The controller's image as `make images` leaves it, or wherever FASTGEN_CONTROLLER_ARCHIVE says."""
    return Path(os.environ.get("FASTGEN_CONTROLLER_ARCHIVE") or _ROOT / "images" / "build" / "controller.tar")


def ours() -> tuple[Path, Path]:
    """Both images that this project makes."""
    return trainer(), controller()


def there() -> list[Path]:
    """What a node is given: the images of small tests, and ours where they have been built."""
    return [path for path in (pause(), base(), *ours()) if path.exists()]


def make_base(target: Path, work: Path) -> None:
    """A root file system from Debian's packages, as one layer."""
    layer = work / "base.tar"
    run("mmdebstrap", "--quiet", "--variant=minbase", f"--include={','.join(_PACKAGES)}", _SUITE, layer)
    environment = {"PATH": "/usr/local/bin:/usr/bin:/bin", "PYTHONUNBUFFERED": "1"}
    archive.write(archive.Image(BASE_IMAGE, environment=environment), [layer], target)


def make_pause(target: Path, work: Path) -> None:
    """One static program."""
    run("gcc", "-static", "-Os", "-s", "-o", work / "pause", _PAUSE_SOURCE)
    archive.single_file(work / "pause", "pause", work / "pause.tar")
    image = archive.Image(PAUSE_IMAGE, user="65535", entrypoint=("/pause",))
    archive.write(image, [work / "pause.tar"], target)


def make(target: Path, how: Callable[[Path, Path], None]) -> bool:
    """Make an archive unless it is there; whether it was made."""
    with alone("images"):
        if target.exists():
            return False
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent) as work:
            how(target, Path(work))
    return True


def recipes() -> tuple[tuple[Path, Callable[[Path, Path], None]], ...]:
    """The images that every node needs, and how each is made."""
    return (pause(), make_pause), (base(), make_base)


def _made(name: str, recipe: str) -> Path:
    return cache() / "images" / f"{name}-{hashlib.sha256(recipe.encode()).hexdigest()[:12]}.tar"
