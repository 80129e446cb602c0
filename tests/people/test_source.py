"""What a person means: a place or a name, and which stage."""

from pathlib import Path

import pytest

from fastgen_k8s.errors import BadInput, Misdescribed
from fastgen_k8s.people.source import is_root, pick
from fastgen_k8s.view.rows import StageRow


@pytest.mark.parametrize(
    ("given", "namespace", "root"),
    [
        ("s3://bucket/run", None, True),
        ("runs/demo", None, True),
        ("./demo", None, True),
        ("demo", None, True),  # there is such a folder
        ("demo", "fastgen", False),
        ("shapes", None, False),
    ],
)
def test_a_slash_or_a_folder_means_a_place(
    given: str, namespace: str | None, root: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "demo").mkdir()
    monkeypatch.chdir(tmp_path)
    assert is_root(given, namespace) == root


@pytest.mark.parametrize(
    ("states", "asked", "chosen"),
    [
        (["succeeded", "running", "waiting"], None, "s1"),
        (["failed", "running"], None, "s1"),
        (["failed", "queued"], None, "s1"),
        (["succeeded", "failed", "waiting"], None, "s1"),
        (["succeeded", "succeeded", "waiting"], None, "s1"),
        (["succeeded", "running"], "s0", "s0"),
        (["succeeded", "waiting"], "s1", "s1"),
    ],
)
def test_the_stage_is_the_one_asked_for_or_the_one_of_interest(
    states: list[str], asked: str | None, chosen: str
) -> None:
    rows = [StageRow(f"s{n}", "train", state, attempt=int(state != "waiting")) for n, state in enumerate(states)]
    assert pick(rows, asked).stage == chosen


def test_an_unknown_stage_is_refused_with_the_nearest() -> None:
    with pytest.raises(Misdescribed, match="unknown stage 'kdd': did you mean 'kd'"):
        pick([StageRow("kd", "train", "waiting")], "kdd")


def test_where_nothing_ran_there_is_nothing_to_read() -> None:
    with pytest.raises(BadInput, match="found none"):
        pick([StageRow("kd", "train", "waiting", attempt=0)], None)
