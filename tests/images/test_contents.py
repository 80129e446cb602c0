"""What is in an image, and what must not be."""

import json
import tomllib
from collections.abc import Mapping

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from images.build import EXTRAS, ROOT, bill, for_tests, stamp
from images.engine import Engine
from images.lock import entries
from tests.images.conftest import NOBODY, Facts

pytestmark = pytest.mark.images
LARGEST: Mapping[str, int] = {"trainer": 1_400, "controller": 250}
"""MB of an image that runs on CPU; measured 1,351 and 238."""
MODULES: Mapping[str, set[str]] = {
    "trainer": {"torch", "numpy", "diffusers", "boto3", "fastgen_k8s.agent"},
    "controller": {"kubernetes", "boto3", "fastgen_k8s.agent"},
}


def constraints() -> dict[str, str]:
    """The version of each package."""
    pairs = (pin.split("==") for pin in entries((ROOT / "constraints.txt").read_text()))
    return {canonicalize_name(name): version for name, version in pairs}


def test_it_is_no_larger_than_it_was(facts: Facts, image: str) -> None:
    if not facts.versions.get("torch", "+cpu").endswith("+cpu"):
        pytest.skip(f"torch {facts.versions['torch']} brings CUDA: wanted 2.13.0+cpu for the bound to mean anything")
    assert facts.size / 1e6 < LARGEST[image]


def test_no_compiler_and_no_installer_is_left(facts: Facts) -> None:
    assert facts.programs == []


def test_it_holds_its_own_plane_only(facts: Facts, image: str) -> None:
    assert set(facts.modules) == MODULES[image]


def test_every_version_is_that_of_the_constraints(facts: Facts) -> None:
    wanted = {"fastgen-k8s": stamp()[0], **constraints()}
    found = {canonicalize_name(name): version.partition("+")[0] for name, version in facts.versions.items()}
    assert found == {name: wanted.get(name) for name in found}


def test_every_package_that_its_extra_names_is_there(facts: Facts, image: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    named = [*project["dependencies"], *project["optional-dependencies"][EXTRAS[image]]]
    found = {canonicalize_name(name) for name in facts.versions}
    assert {canonicalize_name(Requirement(text).name) for text in named} <= found


def test_its_bill_of_materials_is_valid_and_lists_exactly_what_is_installed(facts: Facts, image: str) -> None:
    said = bill(image).read_text()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(said) is None
    parts = [one for one in json.loads(said)["components"] if not one["purl"].startswith("pkg:deb/")]
    assert {one["name"]: one["version"] for one in parts if one["name"] != "python"} == facts.versions
    assert len(parts) == len(facts.versions) + 1


def test_its_user_is_nobody_and_its_argv_is_the_caller_s(facts: Facts) -> None:
    assert (facts.config["User"], facts.config["Entrypoint"]) == (NOBODY, None)


def test_its_labels_say_what_it_was_made_from(facts: Facts, image: str) -> None:
    version, revision = stamp()
    prefix = "org.opencontainers.image."
    wanted = {"title": f"fastgen-k8s {image}", "version": version, "revision": revision, "licenses": "Apache-2.0"}
    labels = facts.config["Labels"]
    assert {name: labels.get(prefix + name) for name in wanted} == wanted


def test_its_user_can_change_nothing_in_it(facts: Facts) -> None:
    assert facts.writable == []


def test_no_program_raises_its_user(facts: Facts) -> None:
    assert facts.raised == []


def test_all_python_in_it_is_compiled(facts: Facts) -> None:
    assert facts.uncompiled == []


def test_no_cache_of_the_build_is_left(running: Engine, facts: Facts, image: str) -> None:
    root = ["run", "--rm", "--network=none", "--user=0", for_tests(image)]  # only root may look into its own home
    assert [*facts.caches, running.ask(*root, "find", "/root", "-name", ".cache")] == [""]
