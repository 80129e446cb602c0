"""What the build decides, without an engine."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from images.build import ROOT, command, main, names
from images.engine import NoEngine, engine
from images.offline import empty

VERSION = ("0.1.0", "abc")


@pytest.mark.parametrize(
    ("image", "base", "torch", "wanted"),
    [
        ("trainer", None, None, {"VERSION=0.1.0", "REVISION=abc"}),
        ("trainer", "b:1", "cu130", {"VERSION=0.1.0", "REVISION=abc", "BASE_IMAGE=b:1", "TORCH=cu130"}),
        ("controller", "b:1", "cu130", {"VERSION=0.1.0", "REVISION=abc", "BASE_IMAGE=b:1"}),
    ],
)
def test_an_image_gets_the_arguments_that_it_knows(
    image: str, base: str | None, torch: str | None, wanted: set[str]
) -> None:
    words = command(image, VERSION, base, torch, offline=False)
    given = {words[place + 1] for place, word in enumerate(words) if word == "--build-arg"}
    assert given == wanted


@pytest.mark.parametrize(("offline", "found"), [(True, True), (False, False)])
def test_only_a_build_without_network_is_cut_off(offline: bool, found: bool) -> None:
    assert ("none" in command("trainer", VERSION, None, None, offline)) is found


def test_an_image_is_called_by_version_and_commit_and_for_tests() -> None:
    assert names("trainer", VERSION) == ("fastgen-k8s/trainer:0.1.0-abc", "fastgen-k8s/trainer:test")


def test_an_unknown_image_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["teacher"])
    assert "unknown image 'teacher': there are trainer, controller" in capsys.readouterr().err


def test_without_docker_one_line_says_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with (
        pytest.raises(NoEngine, match=r"wanted a Docker engine.*found no engine that answers, no dockerd"),
        engine(tmp_path),
    ):
        pass


def test_an_emptied_wheelhouse_keeps_its_ignore_file(tmp_path: Path) -> None:
    for name in (".gitignore", "a.whl", "complete"):
        (tmp_path / name).write_text("")
    empty(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [".gitignore"]


def test_the_tools_have_the_versions_of_the_constraints() -> None:
    tools, project = pins(ROOT / "images" / "tools.txt"), pins(ROOT / "constraints.txt")
    shared = tools.keys() & project.keys()
    assert {name: tools[name] for name in shared} == {name: project[name] for name in shared}


def test_no_image_follows_a_moving_tag() -> None:
    bases = [line for path in (ROOT / "images").glob("*.Dockerfile") for line in path.read_text().splitlines()]
    assert [line for line in bases if "latest" in line or line.startswith("# syntax")] == []


def pins(path: Path) -> Mapping[str, str]:
    """Package and version of each line."""
    return dict(line.split("==") for line in path.read_text().splitlines() if "==" in line)
