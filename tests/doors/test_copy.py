"""The copy that the door tests work in is a package of its own."""

from pathlib import Path

import pytest

from tests.doors.copy import PackageCopy

pytestmark = pytest.mark.processes


def test_a_process_of_the_copy_imports_the_copy(tmp_path: Path) -> None:
    copy = PackageCopy(tmp_path)
    copy.add("fastgen_k8s/addition.py", "import fastgen_k8s\nprint(fastgen_k8s.__file__)\n")
    copy.insert("fastgen_k8s/__main__.py", "import fastgen_k8s.addition", after="from fastgen_k8s.cli import main")
    said = copy.call(["-m", "fastgen_k8s", "--help"])
    assert said.stdout.splitlines()[0] == str(tmp_path / "fastgen_k8s/__init__.py"), said.stderr
