"""Both images, built, in an engine that runs as long as the tests; and what each says of itself."""

import json
import os
import subprocess
import uuid
from collections.abc import Generator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, TypedDict, cast

import pytest

from images.build import EXTRAS, Wanted, for_tests
from images.engine import Engine, NoEngine
from machine.images import built

REQUIRED = "FASTGEN_IMAGES_REQUIRED"
NOBODY = "10001:10001"
# What a pod of a namespace that enforces `restricted` gets, and no network.
RESTRICTED = [
    *("--network=none", "--read-only", "--tmpfs=/tmp:mode=1777", f"--user={NOBODY}"),
    *("--cap-drop=ALL", "--security-opt=no-new-privileges"),
]
FACTS = (Path(__file__).parent / "facts.py").read_text()


class Config(TypedDict):
    """What an image says of itself, as far as it is tested."""

    User: str
    Entrypoint: list[str] | None
    Labels: dict[str, str]


class Facts(NamedTuple):
    """What was found in an image, from outside and from inside."""

    size: int
    config: Config
    versions: Mapping[str, str]
    programs: Sequence[str]
    modules: Sequence[str]
    writable: Sequence[str]
    raised: Sequence[str]
    uncompiled: Sequence[str]
    caches: Sequence[str]


@pytest.fixture(scope="session")
def running() -> Generator[Engine]:
    """An engine that holds both images as they are in this working tree."""
    try:
        with built(Wanted(list(EXTRAS))) as found:
            yield found
    except NoEngine as error:
        if os.environ.get(REQUIRED):
            raise
        pytest.skip(f"{error} ({REQUIRED}=1 makes this a failure)")


@pytest.fixture(scope="session", params=list(EXTRAS))
def image(request: pytest.FixtureRequest) -> str:
    """Each image's short name."""
    return cast(str, request.param)


@pytest.fixture(scope="session")
def facts(running: Engine, image: str) -> Facts:
    """What is in the image."""
    outside = json.loads(running.ask("image", "inspect", for_tests(image)))[0]
    done = inside(running, image, ["python", "-c", FACTS])
    assert done.returncode == 0, done.stderr
    return Facts(size=outside["Size"], config=outside["Config"], **json.loads(done.stdout))


def inside(
    running: Engine, image: str, command: Sequence[str], options: Sequence[str] = ()
) -> subprocess.CompletedProcess[str]:
    """Run a command in a container that is as confined as a pod, to its end."""
    name = f"fastgen-test-{uuid.uuid4().hex}"
    try:
        return running.run(
            ["run", "--rm", "--name", name, *RESTRICTED, *options, for_tests(image), *command], timeout=120
        )
    except subprocess.TimeoutExpired:
        running.run(["rm", "--force", name])  # the client's end is not the container's
        raise
