"""Every reader of files, given damaged ones: it reads, or says in one line why not, and nothing else happens."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.readers.mutants import mutants

READERS = ("pth", "DCP", "safetensors", "manifest", "prompts", "YAML", "tokenizer")
ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    "count", [100, pytest.param(2000, marks=[pytest.mark.soak, pytest.mark.timeout(3600)])], ids=str
)
def test_a_damaged_file_is_read_or_refused_in_one_line_and_nothing_else_happens(count: int, tmp_path: Path) -> None:
    (tmp_path / "cwd").mkdir()
    (tmp_path / "neighbour").mkdir()
    (tmp_path / "neighbour/theirs.txt").write_text("somebody else's")
    subprocess.run(
        [sys.executable, "-m", "tests.readers.child", str(count), str(tmp_path)],
        cwd=tmp_path / "cwd",
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "HOME": str(tmp_path / "neighbour")},
        check=True,
        timeout=3600,
    )
    said = {path.stem: json.loads(path.read_text()) for path in (tmp_path / "said").iterdir()}
    print(json.dumps(said, indent=1))  # how many were read, where somebody wants to know
    assert {name: found["odd"] for name, found in said.items()} == {name: [] for name in READERS}
    assert all(found["read"] + found["refused"] == count for found in said.values())
    assert all(found["refused"] for found in said.values())


def test_the_same_seed_gives_the_same_mutants_and_all_of_them_differ_from_what_was_valid() -> None:
    files = {"a": bytes(range(200)), "b": b"count: 12"}
    made = list(mutants(files, 0, 50))
    assert made == list(mutants(files, 0, 50)) != list(mutants(files, 1, 50))
    assert sum(data != files[name] for name, data in made) > 40
