"""Carry out a pipeline's plan here: look, plan, act, until every stage has ended or somebody says stop."""
# pyright: reportMissingTypeStubs=false

import signal
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace
from types import FrameType

from torchx.runner import get_runner

from fastgen_k8s.artifacts import Artifact, find_artifact, store_at
from fastgen_k8s.artifacts.manifest import MANIFEST
from fastgen_k8s.errors import BadInput, Stopped
from fastgen_k8s.pipeline.kinds import KINDS
from fastgen_k8s.pipeline.plan import (
    DONE,
    NO_PROGRESS,
    PAST_DEADLINE,
    Action,
    Failure,
    Observed,
    Record,
    Running,
    StageSeen,
    Start,
    StopJob,
    plan,
)
from fastgen_k8s.pipeline.resolve import bound, missing
from fastgen_k8s.printable import last_drawn
from fastgen_k8s.runner.history import History
from fastgen_k8s.runner.jobs import SCHEDULER, Ended, LocalJob, LocalJobs, path_of_this_python
from fastgen_k8s.runner.lock import only_runner
from fastgen_k8s.runner.pages import pages, publish
from fastgen_k8s.runner.prepare import Run
from fastgen_k8s.runner.words import last_words
from fastgen_k8s.view.progress import progress_of, shown
from fastgen_k8s.view.rows import PipelineView, StageRow
from fastgen_k8s.view.show import Show

_POLL, _POLL_REMOTE = 0.2, 1.0  # seconds between two looks, of which each asks the store for every stage
_STOPPING = (signal.SIGINT, signal.SIGTERM)


def carry_out(run: Run, show: Show) -> int:
    """Do it; the exit code of the failed stage, 0 when everything is there. Stopped when asked to stop."""
    with only_runner(run.root.here, run.root.uri, run.name):
        absent = missing(run.pipeline, run.chosen, lambda name: find_artifact(run.stages[name].output) is not None)
        if absent:
            where = ", ".join(f"{name} ({run.stages[name].output})" for name in absent)
            raise BadInput(f"wanted the artifacts of earlier stages, found none of {where}")
        with _signals() as received:
            runner = get_runner(extra_paths=path_of_this_python())
            try:
                runner.scheduler_run_opts(SCHEDULER)  # makes the scheduler, which puts handlers of its own
                _listen(received)
                return _Local(run, LocalJobs(runner, run.root), show, received).until_settled()
            finally:
                runner.close()


@contextmanager
def _signals() -> Generator[list[int]]:
    """Collect SIGINT and SIGTERM instead of dying of them."""
    received: list[int] = []
    before = [signal.getsignal(number) for number in _STOPPING]
    _listen(received)
    try:
        yield received
    finally:
        for number, handler in zip(_STOPPING, before, strict=True):
            signal.signal(number, handler)


def _listen(received: list[int]) -> None:
    def note(signum: int, _frame: FrameType | None) -> None:
        received.append(signum)

    for number in _STOPPING:
        signal.signal(number, note)


class _Local:
    """One run under way."""

    def __init__(self, run: Run, jobs: LocalJobs, show: Show, received: list[int]) -> None:
        self._run, self._jobs, self._show, self._received = run, jobs, show, received
        self._history = History(run.root.uri, run.name)
        self._seen = {name: StageSeen(stage.digest) for name, stage in run.stages.items()}
        self._made: dict[str, str] = {}  # sha256 of the artifact.json of stages, as seen first
        self._words: dict[str, list[str]] = {}  # of stages that failed
        self._failed: Record | None = None
        self._started: set[str] = set()
        self._steps: dict[str, tuple[int | None, float]] = {}  # a job's last step, and when it was seen first

    def until_settled(self) -> int:
        """Look, plan and act until nothing is left to do."""
        with self._show:
            self._greet()
            while True:
                for ended in self._jobs.poll():
                    self._take(ended)
                for action in plan(self._run.pipeline, self._observe()):
                    self._act(action)
                self._show.look(
                    PipelineView(tuple(self._row(name) for name in self._run.stages if name in self._run.chosen))
                )
                if not self._jobs.alive and self._over():
                    break
                time.sleep(_POLL_REMOTE if self._run.root.remote else _POLL)
        return self._result()

    # --- look ---

    def _greet(self) -> None:
        """Take over what a killed runner left: its jobs, and the times it could not write."""
        self._history.planned(self._run.stages, self._run.chosen)
        for job in self._jobs.alive:
            self._show.event(job.stage, "found running, left by an earlier run")
            if job.stage not in self._seen:
                self._jobs.stop(job, "no stage of this pipeline", 0)
            elif job.output == self._run.stages[job.stage].output:
                self._started.add(job.stage)
        busy = {job.output for job in self._jobs.alive}
        for stage in self._run.stages.values():
            if stage.output not in busy and find_artifact(stage.output) is not None:
                made = store_at(stage.output).stat(MANIFEST)
                self._history.ended(stage, None, made and made.written)

    def _observe(self) -> Observed:
        for name, seen in self._seen.items():
            artifact = None if seen.whole else find_artifact(self._run.stages[name].output)
            self._made |= {} if artifact is None else {name: artifact.sha256}
            running = tuple(
                Running(job.digest, job.since, job.stopping is not None, self._progressed(job))
                for job in self._jobs.alive
                if job.stage == name
            )
            self._seen[name] = replace(_with(seen, artifact), running=running)
        hold = None if self._failed is None else f"stage {self._failed.stage} failed"
        now, stopping = time.monotonic(), bool(self._received)
        return Observed(self._seen, now, self._run.parallel, stopping, self._run.chosen, hold)

    def _progressed(self, job: LocalJob) -> float | None:
        """When a job made its last step, where somebody waits for it."""
        if job.stage not in self._run.stages or self._run.stages[job.stage].stage.progressDeadlineSeconds is None:
            return None
        step = progress_of(job.output).step
        if self._steps.get(job.output, (None, 0.0))[0] != step:
            self._steps[job.output] = step, time.monotonic()
        return max(job.since, self._steps.get(job.output, (None, job.since))[1])

    def _take(self, ended: Ended) -> None:
        """Note how a job ended."""
        job, stage = ended.job, self._run.stages.get(ended.job.stage)
        if stage is None or stage.output != job.output:
            return
        self._history.ended(stage, ended.code)
        if find_artifact(stage.output) is not None or ended.code is None:
            return
        late, stalled = job.stopping == PAST_DEADLINE, job.stopping == NO_PROGRESS
        if not late and not stalled and (job.stopping is not None or ended.code == Stopped.code):
            self._show.event(job.stage, "stopped")
            return
        seen = self._seen[job.stage]
        code = Stopped.code if late else 1 if stalled else ended.code or 1
        failure = Failure(code, time.monotonic(), stalled)
        self._seen[job.stage] = replace(seen, failures=(*seen.failures, failure))
        self._words[job.stage] = [*last_words(ended.log), f"log: {ended.log}"]
        self._show.event(job.stage, f"ended with exit code {ended.code}" + ("" if ended.code else " and no artifact"))

    # --- act ---

    def _act(self, action: Action) -> None:
        match action:
            case Start(name, attempt):
                self._jobs.start(bound(self._run.pipeline, self._run.stages[name], self._made))
                self._history.started(self._run.stages[name])
                self._started.add(name)
                self._show.event(name, "started" if attempt == 1 else f"started, attempt {attempt}")
            case StopJob(name, digest, why):
                for job in self._jobs_of(name, digest):
                    self._show.event(name, f"asked to stop: {why}")
                    self._jobs.stop(job, why, self._run.stages[name].stage.placement.grace)
            case Record(name, outcome, code):
                self._record(name, action, outcome, code)
            case _:
                pass
        if len(self._received) > 1:  # asked twice: no more patience
            for job in self._jobs.alive:
                self._jobs.kill(job)

    def _record(self, name: str, record: Record, outcome: str, code: int) -> None:
        self._seen[name] = replace(self._seen[name], outcome=outcome)
        if code:
            self._failed = self._failed or record
            self._show.event(name, outcome)
            return
        stage = self._run.stages[name]
        took = f"done in {self._history.seconds(stage):.1f} s"
        self._show.event(name, took if name in self._started else "up to date")
        if KINDS[stage.work.kind].shows:
            publish(stage)

    def _jobs_of(self, stage: str, digest: str) -> list[LocalJob]:
        return [job for job in self._jobs.alive if job.stage == stage and job.digest == digest]

    # --- tell ---

    def _over(self) -> bool:
        settled = all(self._seen[name].outcome is not None for name in self._run.chosen)
        return settled or bool(self._received) or self._failed is not None

    def _result(self) -> int:
        """How it went; says why on stderr where it went wrong."""
        if self._failed is not None:
            *said, log = self._words.get(self._failed.stage, [""])
            heading = f"error: stage {self._failed.stage} {self._failed.outcome}"
            lines = [f"{heading}: {said[0]}"] if len(said) == 1 else [heading, *said]
            print(*map(last_drawn, lines), *([log] if log else []), sep="\n", file=sys.stderr)
            return self._failed.code
        if self._received and any(self._seen[name].outcome is None for name in self._run.chosen):
            raise Stopped("asked to stop; the same command goes on where this run was")
        for page in pages(self._run.stages[name] for name in self._run.chosen):
            print(page)
        return 0

    def _row(self, name: str) -> StageRow:
        seen, stage = self._seen[name], self._run.stages[name]
        jobs = self._jobs_of(name, seen.digest[:16])
        if jobs:
            state = "running" if jobs[0].stopping is None else "stopping"
            so_far = progress_of(stage.output)
            took = time.monotonic() - jobs[0].since
            return StageRow(name, stage.work.kind, state, took, shown(so_far), share=so_far.share)
        if seen.outcome is None:
            return StageRow(name, stage.work.kind, "waiting")
        if seen.outcome != DONE:
            return StageRow(name, stage.work.kind, "failed", self._history.seconds(stage), seen.outcome)
        state = "done" if name in self._started else "up to date"
        return StageRow(name, stage.work.kind, state, self._history.seconds(stage))


def _with(seen: StageSeen, artifact: Artifact | None) -> StageSeen:
    return seen if artifact is None else replace(seen, whole=True, facts=artifact.manifest.facts)
