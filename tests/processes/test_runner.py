"""Whole runs as processes: what is done once, what goes on after a kill, and what a failure says."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from fastgen_k8s.pipeline.work import GRACE
from fastgen_k8s.runner import processes

pytestmark = pytest.mark.processes

KD = "closed_form/gaussian_kd"
FEW = ("pairs.samples_per_prompt=4", "pairs.block_size=4")
MANY = ("pairs.samples_per_prompt=300", "pairs.block_size=4")  # some seconds of work
ROOT = "root$$5 #1"  # words that TorchX, and an address, would read
PATIENCE = 180.0  # seconds, for a busy machine


@pytest.fixture
def place(tmp_path: Path, gaussian_conditions: Path) -> Iterator[Path]:
    """A folder with a pipeline of one stage that takes a while; no agent outlives it."""
    write_pipeline(tmp_path, pairs_stage(str(gaussian_conditions), MANY))
    yield tmp_path
    processes.send(processes.find(tmp_path / ROOT), signal.SIGKILL)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a pipeline of two stages, one run alone first, then both."""
    place = tmp_path_factory.mktemp("finished")
    (place / "prompts.txt").write_text("turning left\nturning right\n")
    write_pipeline(place, encode_stage(place / "prompts.txt"), pairs_stage("conditions", FEW))
    alone = run(place, "--only", "conditions")
    assert (alone.returncode, jobs(place, "conditions"), jobs(place, "made")) == (0, 1, 0), alone.stderr
    both = run(place)
    assert both.returncode == 0, both.stderr
    return place


def encode_stage(prompts: Path) -> dict[str, object]:
    """Encode these prompts."""
    return {"name": "conditions", "kind": "encode", "experiment": KD, "inputs": {"prompts": str(prompts)}}


def pairs_stage(conditions: str, overrides: tuple[str, ...]) -> dict[str, object]:
    """Make pairs of these conditions."""
    stage: dict[str, object] = {"name": "made", "kind": "pairs", "experiment": KD, "overrides": list(overrides)}
    return stage | {"inputs": {"conditions": conditions}, "placement": {"grace": 20}}


def write_pipeline(place: Path, *stages: dict[str, object]) -> None:
    """A pipeline file of these stages."""
    described = {
        "apiVersion": "fastgen-k8s.github.io/v1alpha1",
        "kind": "DistillationPipeline",
        "metadata": {"name": "tiny"},
        "spec": {"stages": list(stages)},
    }
    (place / "tiny.yaml").write_text(yaml.safe_dump(described))


def command(place: Path, *words: str) -> list[str]:
    """A run of that pipeline."""
    return [sys.executable, "-m", "fastgen_k8s", "run", str(place / "tiny.yaml"), "--root", str(place / ROOT), *words]


def run(place: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """The run, to its end."""
    return subprocess.run(command(place, *words), capture_output=True, text=True, check=False, timeout=PATIENCE)


def begin(place: Path, *words: str) -> subprocess.Popen[str]:
    """The run, in the background."""
    return subprocess.Popen(command(place, *words), stderr=subprocess.PIPE, text=True)


def looking(place: Path, *words: str) -> subprocess.Popen[str]:
    """A command that looks at the root, in the background."""
    verb, *options = words
    command = [sys.executable, "-m", "fastgen_k8s", verb, str(place / ROOT), *options]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def line_of(process: subprocess.Popen[str], word: str) -> str:
    """The first line that a process prints with a word in it."""
    assert process.stdout is not None
    return next(line for line in process.stdout if word in line)


def until(condition: Callable[[], object]) -> None:
    """Wait for something that another process does."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.05)


def killed_after_a_block(place: Path) -> None:
    """A runner that was killed while its stage was at work."""
    with begin(place) as killed:
        until(lambda: blocks(place))
        killed.kill()


def jobs(place: Path, stage: str) -> int:
    """How many jobs of a stage were ever started."""
    return len(list((place / ROOT / "run.logs" / stage / "torchx").glob("*")))


def blocks(place: Path) -> dict[str, int]:
    """The blocks of pairs that are there, with the times at which they were written."""
    return {path.name: path.stat().st_mtime_ns for path in (place / ROOT / "made").glob("*/blocks/*.json")}


def grace_of(agent: processes.Agent) -> str:
    """Seconds that an agent was told to give its workers."""
    words = Path(f"/proc/{agent.pid}/environ").read_text().split("\0")
    return next(word.partition("=")[2] for word in words if word.startswith(f"{GRACE}="))


def test_a_second_run_does_nothing_and_keeps_the_times_that_the_version_before_wrote(finished: Path) -> None:
    file = finished / ROOT / "run.json"
    first = json.loads(file.read_text())
    assert all(stage["seconds"] > 0 and stage["status"]["state"] == "Succeeded" for stage in first["stages"].values())
    times = {name: stage["seconds"] for name, stage in first["stages"].items()}
    for stage in first["stages"].values():
        del stage["status"]
        stage["attempts"] = [{"started": 1.0, "ended": 1.0 + stage["seconds"], "code": 0}]
    file.write_text(json.dumps(first))
    again = run(finished)
    assert again.returncode == 0, again.stderr
    assert again.stderr.count("up to date") == 2
    assert [jobs(finished, "conditions"), jobs(finished, "made")] == [1, 1]
    stages = json.loads(file.read_text())["stages"]
    assert {name: stage["seconds"] for name, stage in stages.items()} == times
    assert [(stage["status"]["state"], stage["status"]["attempt"]) for stage in stages.values()] == [
        ("Succeeded", 1)
    ] * 2


def test_a_changed_setting_runs_only_what_depends_on_it(finished: Path) -> None:
    changed = run(finished, "made.pairs.seed=3")
    assert changed.returncode == 0, changed.stderr
    assert [jobs(finished, "conditions"), jobs(finished, "made")] == [1, 2]
    assert len(list((finished / ROOT / "made").iterdir())) == 2


def test_stages_left_out_have_to_be_there(tmp_path: Path) -> None:
    (tmp_path / "prompts.txt").write_text("turning left\n")
    write_pipeline(tmp_path, encode_stage(tmp_path / "prompts.txt"), pairs_stage("conditions", FEW))
    refused = run(tmp_path, "--from", "made")
    assert (refused.returncode, jobs(tmp_path, "made")) == (65, 0)
    assert refused.stderr.startswith("error: wanted the artifacts of earlier stages, found none of conditions")


def test_a_failed_stage_ends_the_run_with_its_words_and_code(tmp_path: Path) -> None:
    (tmp_path / "prompts.txt").write_text("turning round\n")
    write_pipeline(tmp_path, encode_stage(tmp_path / "prompts.txt"), pairs_stage("conditions", FEW))
    failed = run(tmp_path)
    assert (failed.returncode, jobs(tmp_path, "conditions"), jobs(tmp_path, "made")) == (65, 1, 0)
    [line] = [line for line in failed.stderr.splitlines() if line.startswith("error: ")]
    assert line.startswith("error: stage conditions failed with exit code 65: ")
    assert "turning round" in line


def test_what_runs_beside_a_stage_that_fails_goes_on_to_its_end(tmp_path: Path, gaussian_conditions: Path) -> None:
    (tmp_path / "prompts.txt").write_text("turning round\n")
    write_pipeline(tmp_path, pairs_stage(str(gaussian_conditions), MANY), encode_stage(tmp_path / "prompts.txt"))
    failed = run(tmp_path, "--parallel", "2")
    assert (failed.returncode, "stage conditions failed with exit code 65" in failed.stderr) == (65, True)
    assert "asked to stop" not in failed.stderr
    assert len(list((tmp_path / ROOT / "made").glob("*/artifact.json"))) == 1


def test_a_killed_run_goes_on_with_the_job_that_it_left(place: Path) -> None:
    killed_after_a_block(place)
    assert len(processes.find(place / ROOT)) == 1
    again = run(place)
    assert again.returncode == 0, again.stderr
    assert "found running" in again.stderr
    assert jobs(place, "made") == 1
    assert processes.find(place / ROOT) == []


def test_a_job_left_behind_ends_when_its_settings_changed(place: Path) -> None:
    killed_after_a_block(place)
    again = run(place, "made.pairs.samples_per_prompt=4")
    assert again.returncode == 0, again.stderr
    assert "asked to stop: its settings or inputs changed" in again.stderr
    assert processes.find(place / ROOT) == []


def test_a_run_whose_agent_was_killed_too_goes_on_where_it_was(place: Path) -> None:
    killed_after_a_block(place)
    processes.send(processes.find(place / ROOT), signal.SIGKILL)
    until(lambda: not processes.find(place / ROOT))
    before = blocks(place)
    again = run(place)
    assert again.returncode == 0, again.stderr
    assert before.items() <= blocks(place).items()


def test_a_crashed_job_is_started_again(place: Path) -> None:
    with begin(place) as running:
        until(lambda: blocks(place))
        processes.send(processes.find(place / ROOT), signal.SIGKILL)
        _, said = running.communicate(timeout=PATIENCE)
    assert running.returncode == 0, said
    assert "ended with exit code 137" in said
    assert jobs(place, "made") == 2


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_a_run_that_is_asked_to_stop_leaves_nothing_running(place: Path, signum: signal.Signals) -> None:
    with begin(place) as running:
        until(lambda: blocks(place))
        assert [grace_of(agent) for agent in processes.find(place / ROOT)] == ["20"]  # as its placement says
        running.send_signal(signum)
        _, said = running.communicate(timeout=PATIENCE)
    assert running.returncode == 75, said
    assert said.splitlines()[-1] == "error: asked to stop; the same command goes on where this run was"
    assert processes.find(place / ROOT) == []


def test_a_root_has_one_runner_at_a_time(place: Path) -> None:
    with begin(place) as running:
        until(lambda: blocks(place))
        other = run(place)
        running.send_signal(signal.SIGTERM)
        running.communicate(timeout=PATIENCE)
    assert other.returncode == 75
    assert other.stderr == (
        f"error: {place / ROOT}: wanted no other runner, found process {running.pid} with pipeline tiny: "
        "what it makes here is taken when it has ended\n"
    )
    assert jobs(place, "made") == 1


def test_a_deadline_ends_a_stage(place: Path) -> None:
    ended = run(place, "made.deadline=1")
    assert ended.returncode == 75
    assert "error: stage made past its deadline of 1 s" in ended.stderr


def test_a_stage_that_makes_no_progress_is_ended_and_counted_as_a_crash(place: Path) -> None:
    ended = run(place, "made.progressDeadlineSeconds=1", "made.retries=0")
    assert (ended.returncode, "error: stage made made no progress" in ended.stderr) == (1, True), ended.stderr


def test_a_run_is_watched_and_followed_until_it_fails(place: Path) -> None:
    endless = ("made.pairs.samples_per_prompt=100000", "made.retries=0")
    with begin(place, *endless) as running:
        until(lambda: blocks(place))
        with looking(place, "status", "--watch") as watching, looking(place, "logs", "--follow") as following:
            shown, said = line_of(watching, "running"), line_of(following, "trainer/0 ")
            processes.send(processes.find(place / ROOT), signal.SIGKILL)
            rest, _ = watching.communicate(timeout=PATIENCE)
            following.communicate(timeout=PATIENCE)
        running.communicate(timeout=PATIENCE)
    assert ("stage=made" in shown, said.startswith("trainer/0 ")) == (True, True)
    assert "failed, Crashed (137): failed with exit code 137" in rest
    assert [watching.returncode, following.returncode, running.returncode] == [137, 0, 137]
