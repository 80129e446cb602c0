"""Two checkouts by turns: all processes count, and what is measured is what the row says."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.against import ROWS, Run, Words, against, line, main
from benchmarks.tree import Spent

BUSY = "import time\nwhile time.process_time() < {}: pass\n"


def _spent(program: str) -> Spent:
    command = [sys.executable, "benchmarks/tree.py", sys.executable, "-c", program]
    return Spent.parse(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout)


@pytest.mark.parametrize("wait", ["", ".wait()"], ids=["left behind", "waited for"])
def test_a_childs_time_counts_whether_or_not_its_parent_waits_for_it(wait: str) -> None:
    found = _spent(f"import subprocess, sys\nsubprocess.Popen([sys.executable, '-c', {BUSY.format(0.3)!r}]){wait}")
    assert found.cpu > 0.3
    assert found.wall > 0.3


def test_a_command_that_fails_is_no_measurement() -> None:
    with pytest.raises(subprocess.CalledProcessError):
        _spent("raise SystemExit(3)")


def test_a_row_runs_in_both_checkouts_with_what_it_has_prepared(tmp_path: Path) -> None:
    for name in ("old", "new"):
        (tmp_path / name / ".venv").mkdir(parents=True)
        (tmp_path / name / ".venv" / "bin").symlink_to(Path(sys.executable).parent)
    calls = tmp_path / "calls"
    program = f"import os, sys; print(os.path.basename(os.getcwd()), sys.argv[1], file=open({str(calls)!r}, 'a'))"

    def row(folder: Path, old: Run) -> Callable[[Path], Words]:
        old(["-c", program, "made"])
        return lambda output: ["-c", program, output.name]

    turns = against(tmp_path / "old", tmp_path / "new", row, 1)
    assert calls.read_text().splitlines() == ["old made", "old old-0", "new new-0", "old old-1", "new new-1"]
    assert len(turns) == 1


def test_a_line_says_ratios_of_pairs() -> None:
    turns = [(Spent(4, 8), Spent(2, 2)), (Spent(4, 8), Spent(2, 2)), (Spent(1, 1), Spent(9, 9))]
    cpu, wall = "cpu 0.50x (4.00 s before, 2.00 s now)", "wall 0.25x (8.00 s before, 2.00 s now)"
    assert line("x", turns) == f"x: {cpu}, {wall}, median of 3 alternating pairs"


def test_a_row_that_is_none_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([".", "none"]) == 64
    said = capsys.readouterr().err
    assert all(name in said for name in ROWS)
