"""The way from the README to who trusts whom, and from there to where it is checked, leads somewhere."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MODEL = (ROOT / "docs/threat-model.md").read_text()
NAMED = re.findall(r"`([^`\s]+)`", MODEL)
FILES = [name for name in NAMED if "/" in name and "=" not in name]
OBJECTS = [name for name in NAMED if name.startswith("fastgen-")]
OPTIONS = re.findall(r"`(--[a-z-]+)", MODEL)


def places(name: str) -> list[Path]:
    """Where a file may be that the page calls by its shortest name."""
    return [ROOT / top / name for top in (".", "fastgen_k8s", "fastgen_k8s/networks", "manifests")]


def text(*tops: str) -> str:
    """Everything that stands in some folders."""
    files = [path for top in tops for path in sorted((ROOT / top).rglob("*")) if path.suffix in (".py", ".yaml", ".md")]
    return "\n".join(path.read_text() for path in files)


def test_the_readme_points_to_the_security_policy_and_that_to_the_model() -> None:
    assert "(SECURITY.md)" in (ROOT / "README.md").read_text()
    assert "(docs/threat-model.md)" in (ROOT / "SECURITY.md").read_text()
    assert "(../SECURITY.md)" in MODEL


@pytest.mark.parametrize("name", sorted(set(FILES)))
def test_a_file_that_the_model_names_is_there(name: str) -> None:
    assert any(place.exists() for place in places(name))


@pytest.mark.parametrize("name", sorted(set(OBJECTS)))
def test_an_object_that_the_model_names_is_in_the_manifests_or_their_page(name: str) -> None:
    assert name in text("manifests") + (ROOT / "docs/manifests.md").read_text()


@pytest.mark.parametrize("name", sorted(set(OPTIONS)))
def test_an_option_that_the_model_names_is_one_of_ours(name: str) -> None:
    assert f'"{name}' in text("fastgen_k8s")
