"""The runner's small parts: what it finds, remembers and reads."""

import json
import os
from pathlib import Path
from typing import cast

import pytest

from fastgen_k8s.errors import BadInput, Stopped
from fastgen_k8s.pipeline.resolve import Resolved
from fastgen_k8s.pipeline.spec import Stage
from fastgen_k8s.pipeline.work import Work
from fastgen_k8s.runner.history import History
from fastgen_k8s.runner.lock import holder, only_runner
from fastgen_k8s.runner.processes import Agent, agent_of
from fastgen_k8s.runner.words import last_words

STAGE = Stage(name="kd", kind="train", experiment="closed_form/gaussian_kd")


def resolved(digest: str = "d" * 64, name: str = "kd") -> Resolved:
    """A stage of that digest."""
    work = Work(kind="train", experiment=STAGE.experiment, output=f"root/{name}/{digest[:16]}")
    return Resolved(STAGE.model_copy(update={"name": name}), digest, work)


@pytest.mark.parametrize(
    ("words", "output"),
    [
        (["python", "-m", "fastgen_k8s.agent", "--kind", "train", "--output", "root/kd/d"], "root/kd/d"),
        (["python", "-m", "fastgen_k8s.agent", "--output", "a b/c"], "a b/c"),
        (["python", "-m", "fastgen_k8s.agent", "--kind", "train"], None),
        (["python", "-m", "fastgen_k8s.agents", "--output", "root/kd/d"], None),
        (["grep", "fastgen_k8s.agent", "--output", "root/kd/d"], None),
        ([], None),
    ],
)
def test_an_agent_is_known_by_its_words(words: list[str], output: str | None) -> None:
    assert agent_of(7, words) == (Agent(7, output) if output else None)


def test_a_root_is_held_by_one_and_free_again_afterwards(tmp_path: Path) -> None:
    with only_runner(tmp_path):
        with pytest.raises(Stopped, match=f"found process {os.getpid()}"), only_runner(tmp_path):
            pass
        assert (tmp_path / "run.lock").read_text() == f"{os.getpid()}\n"
    with only_runner(tmp_path):
        pass


def test_the_holder_of_a_root_is_known_while_it_lives(tmp_path: Path) -> None:
    assert holder(tmp_path) is None
    with only_runner(tmp_path, pipeline="shapes"):
        assert holder(tmp_path) == os.getpid()
        with pytest.raises(Stopped, match=f"process {os.getpid()} with pipeline shapes: "), only_runner(tmp_path):
            pass
    assert holder(tmp_path) is None


@pytest.mark.parametrize("left", ["", "soon\n", "999999999\n", "9" * 30])
def test_what_a_killed_runner_left_holds_no_root(left: str, tmp_path: Path) -> None:
    (tmp_path / "run.lock").write_text(left)
    assert holder(tmp_path) is None


def stages(root: Path) -> dict[str, dict[str, object]]:
    """What `run.json` says of each stage."""
    return json.loads((root / "run.json").read_text())["stages"]


def attempts(stage: dict[str, object]) -> list[dict[str, object]]:
    """The attempts of one of them."""
    return cast("list[dict[str, object]]", stage["attempts"])


@pytest.mark.parametrize(
    ("root", "said"),
    [("file", "found a file"), ("file/below", "found a file"), ("l" * 300, "File name too long")],
)
def test_a_root_that_can_be_no_folder_is_refused(root: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("kept")
    with pytest.raises(BadInput, match=said), only_runner(tmp_path / root):
        pass
    assert (tmp_path / "file").read_text() == "kept"


def test_the_times_of_a_stage_add_up_over_its_attempts(tmp_path: Path) -> None:
    history = History(str(tmp_path), "tiny")
    for code in (1, 0):
        history.started(resolved())
        history.ended(resolved(), code)
    again = History(str(tmp_path), "tiny")
    assert [attempt["code"] for attempt in attempts(stages(tmp_path)["kd"])] == [1, 0]
    assert again.seconds(resolved()) == pytest.approx(history.seconds(resolved()))


def test_an_end_that_nobody_saw_is_filled_in_later(tmp_path: Path) -> None:
    History(str(tmp_path), "tiny").started(resolved())
    began = json.loads((tmp_path / "run.json").read_text())["stages"]["kd"]["attempts"][0]["started"]
    later = History(str(tmp_path), "tiny")
    later.ended(resolved(), None, began + 5)
    later.ended(resolved(), None, began + 9)  # it has ended already
    assert later.seconds(resolved()) == pytest.approx(5)


def test_another_digest_begins_a_new_history(tmp_path: Path) -> None:
    history = History(str(tmp_path), "tiny")
    history.started(resolved())
    history.started(resolved("e" * 64))
    assert stages(tmp_path)["kd"]["digest"] == "e" * 64
    assert len(attempts(stages(tmp_path)["kd"])) == 1


def test_planned_stages_stand_in_the_order_of_the_pipeline_and_keep_their_times(tmp_path: Path) -> None:
    history = History(str(tmp_path), "tiny")
    for name in ("other", "kd"):
        history.started(resolved(name=name))
    pipeline = {name: resolved(name=name) for name in ("pairs", "kd", "sf")}
    History(str(tmp_path), "tiny").planned(pipeline, {"pairs"})
    assert {name: len(attempts(stage)) for name, stage in stages(tmp_path).items()} == {"pairs": 0, "kd": 1, "other": 1}
    History(str(tmp_path), "tiny").planned(pipeline, pipeline.keys())
    assert list(stages(tmp_path)) == ["pairs", "kd", "sf", "other"]


def test_a_history_that_is_no_history_is_refused(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text("[")
    with pytest.raises(BadInput, match=r"run\.json: wanted JSON"):
        History(str(tmp_path), "tiny")


@pytest.mark.parametrize(
    ("log", "said"),
    [
        ("a\nerror: it broke\nb\n", ["it broke"]),
        ("error: first\nerror: last\n", ["last"]),
        ("Traceback\n  boom\n\n", ["Traceback", "  boom"]),
        ("".join(f"{n}\n" for n in range(30)), [str(n) for n in range(10, 30)]),
        ("", []),
    ],
)
def test_the_last_words_are_the_error_or_the_end_of_the_log(log: str, said: list[str], tmp_path: Path) -> None:
    (tmp_path / "log").write_text(log)
    assert last_words(tmp_path / "log") == said
