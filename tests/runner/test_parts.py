"""The runner's small parts: what it finds, remembers and reads."""

import json
import os
from pathlib import Path

import pytest

from fastgen_k8s.errors import BadInput, Stopped
from fastgen_k8s.lifecycle.status import StageStatus
from fastgen_k8s.pipeline.resolve import Resolved
from fastgen_k8s.pipeline.spec import Stage
from fastgen_k8s.pipeline.work import Work
from fastgen_k8s.runner.history import History
from fastgen_k8s.runner.jobs import last_words
from fastgen_k8s.runner.lock import holder, only_runner
from fastgen_k8s.runner.processes import Agent, agent_of

STAGE = Stage(name="kd", kind="train", experiment="closed_form/gaussian_kd")

KEPT = {"kind", "experiment", "digest", "output", "seconds", "status"}


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


@pytest.mark.parametrize(
    ("root", "said"),
    [("file", "found a file"), ("file/below", "found a file"), ("l" * 300, "File name too long")],
)
def test_a_root_that_can_be_no_folder_is_refused(root: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("kept")
    with pytest.raises(BadInput, match=said), only_runner(tmp_path / root):
        pass
    assert (tmp_path / "file").read_text() == "kept"


def status(name: str, state: str = "Succeeded", **said: object) -> StageStatus:
    """A stage in a state."""
    return StageStatus.parse({"name": name, "state": state, "attempt": 1} | said, "test")


def test_a_stage_is_left_as_it_was_with_the_time_that_it_took(tmp_path: Path) -> None:
    history = History(str(tmp_path), "tiny", {"kd": resolved()})
    history.seconds["kd"] += 5
    history.note({"kd": status("kd")})
    again = History(str(tmp_path), "tiny", {"kd": resolved()})
    assert (again.left("kd"), again.seconds["kd"]) == (status("kd"), 5)


def test_another_digest_begins_a_new_history(tmp_path: Path) -> None:
    history = History(str(tmp_path), "tiny", {"kd": resolved()})
    history.seconds["kd"] += 5
    history.note({"kd": status("kd")})
    other = History(str(tmp_path), "tiny", {"kd": resolved("e" * 64)})
    assert (other.left("kd"), other.seconds["kd"]) == (StageStatus(name="kd"), 0)
    other.note({"kd": status("kd", "Running")})
    assert (stages(tmp_path)["kd"]["digest"], stages(tmp_path)["kd"]["seconds"]) == ("e" * 64, 0)


def test_a_step_is_no_reason_to_write(tmp_path: Path) -> None:
    history = History(str(tmp_path), "tiny", {"kd": resolved()})
    history.note({"kd": status("kd", "Running")})
    (tmp_path / "run.json").unlink()
    history.note({"kd": status("kd", "Running", progress={"step": 3, "total": 9}, checkpoint=2)})
    assert not (tmp_path / "run.json").exists()
    history.note({"kd": status("kd")})
    assert (tmp_path / "run.json").exists()


def test_stages_stand_in_the_order_of_the_pipeline_and_what_else_was_run_behind_them(tmp_path: Path) -> None:
    pipeline = {name: resolved(name=name) for name in ("pairs", "kd", "sf")}
    for name in ("other", "kd"):
        History(str(tmp_path), "tiny", {name: resolved(name=name)}).note({name: status(name)})
    History(str(tmp_path), "tiny", pipeline).note({"pairs": status("pairs")})
    assert list(stages(tmp_path)) == ["pairs", "kd", "other"]
    History(str(tmp_path), "tiny", pipeline).note({name: status(name) for name in pipeline})
    assert list(stages(tmp_path)) == ["pairs", "kd", "sf", "other"]


@pytest.mark.parametrize(
    ("attempts", "state", "code"),
    [
        ([], "Waiting", None),
        ([{"started": 1.0}], "Running", None),
        ([{"started": 1.0, "ended": 3.0}], "Waiting", None),
        ([{"started": 1.0, "ended": 3.0, "code": 75}], "Waiting", None),
        ([{"started": 1.0, "ended": 3.0, "code": 65}], "Failed", 65),
        ([{"started": 1.0, "ended": 3.0, "code": 1}, {"started": 4.0}], "Running", None),
    ],
)
def test_what_the_version_before_wrote_is_read_and_written_anew(
    attempts: list[dict[str, object]], state: str, code: int | None, tmp_path: Path
) -> None:
    entry = {
        "kind": "train",
        "experiment": "e",
        "digest": "d" * 64,
        "output": "o",
        "attempts": attempts,
        "seconds": 2.0,
    }
    written = {"pipeline": "tiny", "versions": {}, "machine": "m", "stages": {"kd": entry}}
    (tmp_path / "run.json").write_text(json.dumps(written))
    history = History(str(tmp_path), "tiny", {"kd": resolved()})
    left = history.left("kd")
    assert (left.state, left.exitCode, left.attempt, history.seconds["kd"]) == (state, code, len(attempts), 2.0)
    history.note({"kd": status("kd")})
    assert (set(stages(tmp_path)["kd"]), stages(tmp_path)["kd"]["seconds"]) == (KEPT, 2.0)


def test_a_history_that_is_no_history_is_refused(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text("[")
    with pytest.raises(BadInput, match=r"run\.json: wanted JSON"):
        History(str(tmp_path), "tiny", {})


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
