"""What the build decides, without an engine."""

import hashlib
import json
import re
import tomllib
import uuid
from collections.abc import Mapping
from pathlib import Path

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from images.build import ROOT, Wanted, command, main, names
from images.engine import EngineFailed, NoEngine, reached
from images.lock import entries, with_hashes
from images.offline import empty
from images.sbom import Debian, Found, bom, text, wheels_in
from machine.images import built

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


def test_an_image_is_called_by_version_and_commit_as_the_manifests_call_it_and_for_tests() -> None:
    assert names("trainer", VERSION) == (
        "fastgen-k8s/trainer:0.1.0-abc",
        "fastgen-k8s/trainer:0.1.0",
        "fastgen-k8s/trainer:test",
    )


def test_an_unknown_image_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["teacher"])
    assert "unknown image 'teacher': there are trainer, controller" in capsys.readouterr().err


def test_without_docker_one_line_says_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NoEngine, match=r"wanted a Docker engine, found none that answers"):
        reached()
    with (
        pytest.raises(NoEngine, match=r"wanted a Docker engine.*found no engine that answers, no dockerd"),
        built(Wanted(["trainer"])),
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
    defaults = [line.partition("=")[2] for line in bases if line.startswith("ARG BASE_IMAGE=")]
    assert len(set(defaults)) == 1
    assert re.fullmatch(r"[a-z.]+/[a-z0-9/.:-]+@sha256:[0-9a-f]{64}", defaults[0])


@pytest.mark.parametrize("file", ["constraints.txt", "tools.txt", "images/tools.txt", "images/torch.txt"])
def test_every_package_has_one_version_and_the_hashes_of_its_files(file: str) -> None:
    text = (ROOT / file).read_text()
    found = entries(text)
    assert len(found) == len([line for line in text.splitlines() if line[:1] not in ("#", " ")])
    assert [pin for pin, hashes in found.items() if not hashes] == []
    assert "://" not in text  # no index by name


def test_the_project_is_built_by_the_backend_that_has_hashes() -> None:
    [backend] = tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]["requires"]
    assert backend in entries((ROOT / "images" / "tools.txt").read_text())


def test_a_pin_without_a_hash_is_refused() -> None:
    lock = f"a==1 \\\n    --hash=sha256:{'0' * 64}\nb==1\n"
    assert with_hashes(["a==1"], [lock]) == lock.removesuffix("b==1\n")
    with pytest.raises(EngineFailed, match=r"wanted hashes of b==1 in constraints.txt or images/torch.txt, found none"):
        with_hashes(["a==1", "b==1"], [lock])


def test_a_bill_of_materials_names_each_part_and_the_file_that_it_came_from(tmp_path: Path) -> None:
    (tmp_path / "A_b-1.0+cpu-py3-none-any.whl").write_bytes(b"")
    debian: Debian = {"name": "libc6", "version": "2.36-9", "architecture": "amd64"}
    found: Found = {
        "python": "3.11.2",
        "distro": "debian-12",
        "distributions": [("A.b", "1.0+cpu"), ("fastgen-k8s", "0.1.0")],
        "packages": [debian],
    }
    made = text(bom("fastgen-k8s/trainer", found, wheels_in(tmp_path), uuid.UUID(int=0)))
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(made) is None
    parts = {one["purl"]: one for one in json.loads(made)["components"]}
    assert set(parts) == {
        "pkg:generic/python@3.11.2",
        "pkg:pypi/a-b@1.0%2Bcpu",
        "pkg:generic/fastgen-k8s@0.1.0",
        "pkg:deb/debian/libc6@2.36-9?arch=amd64&distro=debian-12",
    }
    [file] = parts["pkg:pypi/a-b@1.0%2Bcpu"]["externalReferences"]
    digest = {"alg": "SHA-256", "content": hashlib.sha256(b"").hexdigest()}
    assert file == {"type": "distribution", "url": "A_b-1.0+cpu-py3-none-any.whl", "hashes": [digest]}


def pins(path: Path) -> Mapping[str, str]:
    """The version of each package."""
    pairs = (pin.split("==") for pin in entries(path.read_text()))
    return dict(pairs)
