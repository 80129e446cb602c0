"""Metrics: segments of successive groups, merged into one series."""

import sys
from pathlib import Path
from typing import Any

import pytest

from fastgen_k8s.artifacts import store_at
from fastgen_k8s.artifacts.metrics import merge, merged_file, read_metrics, to_lines
from fastgen_k8s.errors import BadInput, Misdescribed
from fastgen_k8s.training.metrics import StepLog, open_trackers


def series(first: int, last: int, total: float) -> list[dict[str, Any]]:
    """Lines of some steps with one loss."""
    return [{"step": step, "total": total} for step in range(first, last + 1)]


@pytest.mark.parametrize(
    ("groups", "wanted"),
    [
        ([], []),
        ([series(1, 3, 0.1)], series(1, 3, 0.1)),
        ([series(1, 3, 0.1), series(4, 5, 0.2)], series(1, 3, 0.1) + series(4, 5, 0.2)),
        ([series(1, 4, 0.1), series(3, 5, 0.2)], series(1, 2, 0.1) + series(3, 5, 0.2)),
        ([series(1, 4, 0.1), series(2, 2, 0.2)], series(1, 1, 0.1) + series(2, 2, 0.2)),
        ([series(1, 2, 0.1), [], series(2, 3, 0.2)], series(1, 1, 0.1) + series(2, 3, 0.2)),
        ([list(reversed(series(-1, 2, 0.1)))], series(-1, 2, 0.1)),
    ],
)
def test_a_later_group_overrides_from_its_first_step(groups: list[list[dict[str, Any]]], wanted: object) -> None:
    assert merge(groups) == wanted


def test_groups_are_merged_in_the_order_of_their_prefixes(tmp_path: Path) -> None:
    store = store_at(str(tmp_path))
    for prefix, lines in (("0002-aa", series(3, 4, 0.2)), ("0001-ff", series(1, 3, 0.1))):
        log = StepLog(store, prefix)
        for line in lines:
            log.add(line["step"], line)
        log.write()
    assert read_metrics(store) == series(1, 2, 0.1) + series(3, 4, 0.2)


def test_a_long_log_is_kept_in_several_segments(tmp_path: Path) -> None:
    store = store_at(str(tmp_path))
    log, lines = StepLog(store, "0001-aa"), series(1, 2500, 0.1)
    for line in lines:
        log.add(line["step"], line)
    log.write()
    assert (read_metrics(store), len(store.keys("log/"))) == (lines, 3)


def test_a_copy_without_segments_is_read_from_its_own_file(tmp_path: Path) -> None:
    store = store_at(str(tmp_path))
    store.put(merged_file("0002-aa"), to_lines(series(1, 3, 0.1)))
    assert read_metrics(store) == series(1, 3, 0.1)


def test_lines_without_a_step_are_no_metrics(tmp_path: Path) -> None:
    store = store_at(str(tmp_path))
    store.put("log/0001-aa/00000001.jsonl", to_lines([{"event": "started"}, *series(1, 1, 0.1)]))
    assert read_metrics(store) == series(1, 1, 0.1)


@pytest.mark.parametrize(
    ("line", "found"),
    [
        (b"step 1\n", "wanted JSON lines, found b'step 1"),
        (b"[1]\n", r"wanted JSON objects with a whole 'step', found \[1\]"),
        (b'{"step": "one"}\n', "wanted JSON objects with a whole 'step'"),
    ],
)
def test_a_segment_that_is_not_json_lines_is_refused(tmp_path: Path, line: bytes, found: str) -> None:
    store = store_at(str(tmp_path))
    store.put("log/0001-aa/00000001.jsonl", line)
    with pytest.raises(BadInput, match=found):
        read_metrics(store)


def test_a_missing_tracker_is_named(tmp_path: Path) -> None:
    with pytest.raises(Misdescribed, match="'wandb' wants the package wandb"):
        open_trackers(("wandb",), tmp_path, "0001-aa", "work")


def test_tensorboard_gets_a_file_of_events(tmp_path: Path) -> None:
    (tracker,) = open_trackers(("tensorboard",), tmp_path, "0001-aa", "work")
    tracker.add(1, {"total": 0.5})
    tracker.close()
    assert [path.parent.name for path in tmp_path.rglob("events*")] == ["0001-aa"]


def test_later_groups_of_a_work_go_on_with_its_run_in_wandb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "wandb.py").write_text(
        "ids = []\nclass Run:\n    def finish(self): pass\n"
        "def init(**settings): ids.append(settings['id']); return Run()\n"
    )
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    for group, work in (("0001-aa", "w1"), ("0002-bb", "w1"), ("0001-cc", "w2")):
        open_trackers(("wandb",), tmp_path, group, work)
    assert sys.modules.pop("wandb").ids == ["w1", "w1", "w2"]
