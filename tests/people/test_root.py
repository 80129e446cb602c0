"""`status` and `logs` of a root on this machine, kept there by the runner's own functions."""

import json
import os
import time
from pathlib import Path

import pytest

from fastgen_k8s.artifacts import begin, store_at
from fastgen_k8s.lifecycle.decide import DONE, recorded
from fastgen_k8s.lifecycle.fold import Look, failed, fold
from fastgen_k8s.lifecycle.status import Outcome, StageStatus, rfc3339
from fastgen_k8s.pipeline.kinds import Kind
from fastgen_k8s.pipeline.resolve import Resolved, place
from fastgen_k8s.pipeline.spec import Stage
from fastgen_k8s.pipeline.work import Work
from fastgen_k8s.runner.history import History
from fastgen_k8s.runner.job import LocalJob
from fastgen_k8s.runner.lock import only_runner
from fastgen_k8s.runner.root import Root
from fastgen_k8s.training.metrics import StepLog
from tests.conftest import Say
from tests.s3_server import Server

KINDS: dict[str, Kind] = {"conditions": "encode", "kd": "train", "sf": "train"}
DIGEST, NOW = "d" * 64, time.time()


class Kept:
    """A root with a pipeline of three stages."""

    def __init__(self, root: str) -> None:
        self.root = Root.parse(root)
        self.stages = {name: self._resolved(name, kind) for name, kind in KINDS.items()}
        self.history = History(self.root.uri, "tiny", self.stages)
        self.standing = {name: StageStatus(name=name) for name in KINDS}
        self.history.note(self.standing)

    def output(self, name: str) -> str:
        """Where a stage writes."""
        return self.stages[name].output

    def start(self, name: str) -> None:
        """A job of a stage that has begun to work."""
        job = LocalJob(name, DIGEST[:16], self.output(name), NOW)
        self._note(fold(self.standing[name], Look(job), NOW))

    def run(self, name: str, code: int, artifact: bool = False, errors: str = "") -> None:
        """A job of a stage that has ended."""
        self.start(name)
        self.say(name, f"{name} works\n", errors)
        if artifact:
            begin(self.output(name), "training", DIGEST, {}).commit({})
            self._note(recorded(self.standing[name], Look(), DONE, 0, rfc3339(NOW)))
            return
        said = errors.rpartition("error: ")[2].strip()
        ended = failed(self.standing[name], Outcome.of(code, said), NOW)
        self._note(recorded(ended, Look(), f"failed with exit code {code}", code, rfc3339(NOW)))

    def say(self, name: str, text: str, errors: str = "") -> None:
        """What the agent of a stage writes."""
        folder = self.root.logs(name) / "torchx" / f"{name}-x" / "trainer" / "0"
        folder.mkdir(parents=True)
        (folder / "stdout.log").write_text(text)
        (folder / "stderr.log").write_text(errors)

    def log_steps(self, name: str) -> None:
        """Three steps that a stage logged."""
        log = StepLog(store_at(self.output(name)), "0001")
        for step in (1, 2, 3):
            log.add(step, {"step": step, "time": 1.5, "total": 1 / step, "flow": None, "lr/student": 1e-4})
        log.write()

    def _note(self, status: StageStatus) -> None:
        self.standing[status.name] = status
        self.history.note(self.standing)

    def _resolved(self, name: str, kind: Kind) -> Resolved:
        stage = Stage(name=name, kind=kind, experiment="closed_form/gaussian_kd")
        work = Work(kind=kind, experiment=stage.experiment, output=place(self.root.uri, name, DIGEST))
        return Resolved(stage, DIGEST, work)


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    """A root in which nothing has run."""
    (tmp_path / "root").mkdir()
    return Kept(str(tmp_path / "root"))


def states(said: str) -> dict[str, str]:
    """The state of each stage in a drawing."""
    return {words[0]: words[2] for words in map(str.split, said.splitlines()[-len(KINDS) :])}


def test_every_stage_of_the_pipeline_has_its_line(kept: Kept, say: Say) -> None:
    kept.run("conditions", 0, artifact=True)
    kept.run("kd", 65, errors="Traceback\nerror: no pairs\n")
    code, out, err = say("status", kept.root.uri)
    assert (code, err) == (0, "")
    assert out.splitlines()[0] == f"{kept.root.uri}: tiny"
    assert states(out) == {"conditions": "succeeded", "kd": "failed", "sf": "waiting"}
    assert out.splitlines()[-2].endswith("BadInput (65): failed with exit code 65: no pairs")


def test_a_moved_root_is_found_whole(kept: Kept, tmp_path: Path, say: Say) -> None:
    kept.run("kd", 0, artifact=True)
    (tmp_path / "root").rename(tmp_path / "moved")
    assert states(say("status", str(tmp_path / "moved"))[1])["kd"] == "succeeded"


@pytest.mark.parametrize(
    ("attempts", "state", "said"),
    [
        ([], "waiting", "kd      train   waiting"),
        ([{"started": 1.0}], "waiting", "Gone: the same run goes on where it was"),
        ([{"started": 1.0, "ended": 3.0, "code": 75}], "waiting", "the same run goes on where it was"),
        ([{"started": 1.0, "ended": 3.0, "code": 65}], "failed", "BadInput (65): failed with exit code 65"),
        ([{"started": 1.0, "ended": 3.0, "code": 0}], "succeeded", "2.0 s"),
    ],
)
def test_a_root_of_the_version_before_is_read(
    attempts: list[dict[str, object]], state: str, said: str, tmp_path: Path, say: Say
) -> None:
    output = place(str(tmp_path), "kd", DIGEST)
    stage = {"kind": "train", "experiment": "e", "digest": DIGEST, "output": output, "attempts": attempts}
    seconds = 2.0 if attempts and "ended" in attempts[0] else 0.0
    written = {"pipeline": "tiny", "versions": {}, "machine": "m", "stages": {"kd": stage | {"seconds": seconds}}}
    (tmp_path / "run.json").write_text(json.dumps(written))
    if state == "succeeded":
        begin(output, "training", DIGEST, {}).commit({})
    code, out, err = say("status", f"{tmp_path}/")
    [line] = [line for line in out.splitlines() if line.startswith("kd")]
    assert (code, err, line.split()[2]) == (0, "", state)
    assert " ".join(line.split()).endswith(" ".join(said.split()))


def test_who_runs_it_is_said(kept: Kept, say: Say) -> None:
    with only_runner(kept.root.here):
        assert f"run by process {os.getpid()}" in say("status", kept.root.uri)[1]


def test_a_watch_ends_with_the_code_of_the_failed_stage(kept: Kept, say: Say) -> None:
    kept.run("conditions", 0, artifact=True)
    kept.run("kd", 65)
    code, out, _ = say("status", kept.root.uri, "--watch")
    assert (code, "failed, BadInput (65): failed with exit code 65" in out) == (65, True)


def test_a_watch_of_what_is_done_ends_well(kept: Kept, say: Say) -> None:
    for name in KINDS:
        kept.run(name, 0, artifact=True)
    assert say("status", kept.root.uri, "--watch")[0] == 0


@pytest.mark.parametrize(("words", "stage"), [([], "kd"), (["conditions"], "conditions")])
def test_the_log_is_that_of_the_stage_asked_for_or_of_the_one_that_ran_last(
    words: list[str], stage: str, kept: Kept, say: Say
) -> None:
    for name in ("conditions", "kd"):
        kept.run(name, 0, artifact=True)
    assert say("logs", kept.root.uri, *words) == (0, f"trainer/0 {stage} works\n", "")


def test_a_log_that_is_followed_ends_with_its_job(kept: Kept, say: Say) -> None:
    kept.run("kd", 0, artifact=True)
    assert say("logs", kept.root.uri, "--follow") == (0, "trainer/0 kd works\n", "")


def test_where_logs_are_gone_the_stored_steps_are_read_and_that_is_said(kept: Kept, say: Say) -> None:
    kept.log_steps("kd")
    kept.start("kd")
    code, out, err = say("logs", kept.root.uri, "kd")
    assert code == 0
    assert out.splitlines()[1] == "step=2 loss=0.5 flow=None lr/student=0.0001"
    assert err == f"stage kd: its logs are gone, these are its metrics in {kept.output('kd')}\n"


def test_where_a_log_is_empty_the_stored_steps_say_more(kept: Kept, say: Say) -> None:
    kept.log_steps("kd")
    kept.start("kd")
    kept.say("kd", "")
    code, out, err = say("logs", kept.root.uri, "kd")
    assert (code, len(out.splitlines())) == (0, 3)
    assert err == f"stage kd: its log is empty, these are its metrics in {kept.output('kd')}\n"


def test_a_stage_that_said_nothing_and_makes_no_steps_is_no_mistake(kept: Kept, say: Say) -> None:
    kept.start("conditions")
    kept.say("conditions", "")
    assert say("logs", kept.root.uri) == (0, "", "")


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["status", "nothing/"], 65, "wanted the run.json of a run, found none"),
        (["status", "broken/"], 65, "run.json: wanted JSON"),
        (["logs", "root/"], 65, "wanted a stage that runs or ran, found none"),
        (["logs", "root/", "kdd"], 64, "unknown stage 'kdd': did you mean 'kd'?"),
        (["logs", "root/", "sf"], 65, "stage sf: it has no logs; wanted metrics in"),
    ],
)
def test_what_is_not_there_is_one_line(
    words: list[str], code: int, said: str, kept: Kept, say: Say, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert kept.root.here == tmp_path / "root"
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "run.json").write_text("[")
    monkeypatch.chdir(tmp_path)
    ended, out, err = say(*words)
    assert (ended, out, len(err.splitlines())) == (code, "", 1)
    assert said in err


def test_a_stage_at_work_elsewhere_is_drawn_from_its_progress_in_the_bucket(s3: Server, say: Say) -> None:
    kept = Kept(s3.place())
    kept.start("kd")
    said = {"step": 3, "steps": 9, "eta_seconds": 4, "losses": {"total": 0.5}}
    store_at(kept.output("kd")).put("progress.json", json.dumps(said).encode())
    *_, line, _ = say("status", kept.root.uri)[1].splitlines()
    assert line.endswith("3/9, 4 s left, loss 0.5; on another machine")


LINE = "\x1b[32m12:00\x1b[0m \r 10%|#  |\r100%|###| \u202e\x07\n"


def test_a_log_is_cleaned_unless_it_is_wanted_raw(kept: Kept, say: Say) -> None:
    kept.run("conditions", 0, artifact=True)
    kept.start("kd")
    kept.say("kd", LINE)
    assert say("logs", kept.root.uri, "kd") == (0, "trainer/0 100%|###|   \n", "")
    assert say("logs", kept.root.uri, "kd", "--raw") == (0, f"trainer/0 {LINE}", "")


def test_stored_metrics_are_cleaned_unless_they_are_wanted_raw(kept: Kept, say: Say) -> None:
    kept.start("kd")
    log = StepLog(store_at(kept.output("kd")), "0001")
    log.add(1, {"step": 1, "total": 0.5, "flow\x1b[2J": 1.0})
    log.write()
    assert say("logs", kept.root.uri, "kd")[1] == "step=1 loss=0.5 flow [2J=1\n"
    assert say("logs", kept.root.uri, "kd", "--raw")[1] == "step=1 loss=0.5 flow\x1b[2J=1\n"
