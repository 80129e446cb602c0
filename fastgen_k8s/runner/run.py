"""Carry out a pipeline's plan here: look, plan, act, until every stage has ended or somebody says stop."""
# pyright: reportMissingTypeStubs=false

import signal
import sys
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from datetime import datetime
from types import FrameType

from torchx.runner import get_runner

from fastgen_k8s.artifacts import Artifact, find_artifact, store_at
from fastgen_k8s.artifacts.manifest import MANIFEST
from fastgen_k8s.errors import BadInput, Stopped
from fastgen_k8s.lifecycle.decide import decide
from fastgen_k8s.lifecycle.fold import Look, again, begun, fold
from fastgen_k8s.lifecycle.status import LIVE, SETTLED, Outcome, StageStatus, code_of, seconds
from fastgen_k8s.pipeline.kinds import KINDS
from fastgen_k8s.pipeline.resolve import bound, missing
from fastgen_k8s.printable import last_drawn
from fastgen_k8s.runner.history import History
from fastgen_k8s.runner.job import LocalJob, at_work
from fastgen_k8s.runner.jobs import SCHEDULER, Ended, LocalJobs, last_words, path_of_this_python
from fastgen_k8s.runner.lock import only_runner
from fastgen_k8s.runner.pages import pages, publish
from fastgen_k8s.runner.prepare import Run
from fastgen_k8s.view.rows import PipelineView, StageRow
from fastgen_k8s.view.show import Show
from fastgen_k8s.view.stage import row

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
        self._history = History(run.root.uri, run.name, run.stages)
        self._digests = {name: stage.digest for name, stage in run.stages.items()}
        self._made: dict[str, Artifact] = {}  # by stage, as seen first
        self._words: dict[str, list[str]] = {}  # of stages that failed
        self._started: set[str] = set()
        self._standing: dict[str, StageStatus] = {}

    def until_settled(self) -> int:
        """Look, decide and act until nothing is left to do."""
        with self._show:
            self._greet()
            while True:
                self._step()
                self._show.look(PipelineView(tuple(self._rows())))
                if not self._jobs.alive and self._over():
                    break
                time.sleep(_POLL_REMOTE if self._run.root.remote else _POLL)
        return self._result()

    # --- look ---

    def _greet(self) -> None:
        """Take over what a killed runner left: its jobs, and the times it could not write."""
        self._standing = {name: self._left(name) for name in self._run.stages}
        for job in list(self._jobs.alive):
            self._show.event(job.stage, "found running, left by an earlier run")
            if job.stage not in self._run.stages:
                self._jobs.stop(job, 0)
            elif job.output == self._run.stages[job.stage].output:
                self._started.add(job.stage)

    def _left(self, name: str) -> StageStatus:
        """A stage as an earlier run left it: its job goes on, if it has one; else it is tried anew."""
        left, job, output = self._history.left(name), self._jobs.of(name), self._run.stages[name].output
        if job is not None and left.state in LIVE:
            job.attempt, job.began = left.attempt, seconds(left.startedAt) if left.startedAt else job.began
            return left
        if left.state in LIVE:
            made = None if find_artifact(output) is None else store_at(output).stat(MANIFEST)
            ended = None if made is None else made.written
            if ended is not None and left.startedAt is not None:
                self._history.seconds[name] += max(0.0, ended - seconds(left.startedAt))
            left = fold(left, Look(), ended or time.time())
        if job is not None:
            job.attempt = left.attempt + 1
        return again(left, same=True).model_copy(update={"sha256": None})

    def _look(self, name: str, ended: Ended | None) -> Look:
        """What is found of a stage."""
        status, job, output = self._standing[name], self._jobs.of(name), self._run.stages[name].output
        if status.state in SETTLED:
            return Look(job)
        found = self._made.get(name) or find_artifact(output)
        if found is not None:
            self._made[name] = found
            return Look(job, facts=found.manifest.facts, sha256=found.sha256)
        if ended is not None:
            return self._end(status, ended)
        return Look() if job is None else at_work(job)

    def _end(self, status: StageStatus, ended: Ended) -> Look:
        """How a job ended that left no artifact; one that was asked to end has not failed by that."""
        if ended.code is None:
            return Look()
        late = status.exitClass in ("DeadlineExceeded", "Stalled")
        if ended.code == Stopped.code or (status.state == "Stopping" and not late):
            self._show.event(status.name, "stopped")
            return Look()
        words = last_words(ended.log)
        self._words[status.name] = [*words, f"log: {ended.log}"]
        self._show.event(status.name, f"ended with exit code {ended.code}" + ("" if ended.code else " and no artifact"))
        said = words[0] if len(words) == 1 else ""
        return Look() if status.state == "Stopping" else Look(outcome=Outcome.of(ended.code or 1, said))

    # --- act ---

    def _step(self) -> None:
        """One look, and what follows from it."""
        ended = {one.job.stage: one for one in self._jobs.poll() if self._is_ours(one.job)}
        for name, one in ended.items():
            self._history.seconds[name] += time.time() - one.job.began
        now, run = time.time(), self._run
        looks = {name: self._look(name, ended.get(name)) for name in run.stages}
        folded = {name: fold(self._standing[name], look, now) for name, look in looks.items()}
        pipeline = run.pipeline.model_copy(update={"suspend": bool(self._received)})
        decision = decide(pipeline, folded, self._digests, looks, now, room=run.parallel, chosen=run.chosen)
        standing = dict(decision.stages)
        for name, why in decision.stop.items():
            self._show.event(name, f"asked to stop: {why}")
            for job in [job for job in self._jobs.alive if job.stage == name]:
                self._jobs.stop(job, run.stages[name].stage.placement.grace)
        for name in decision.start:
            standing[name] = self._start(standing[name], now)
        if len(self._received) > 1:  # asked twice: no more patience
            for job in self._jobs.alive:
                self._jobs.kill(job)
        before, self._standing = self._standing, standing
        self._history.note({name: standing[name] for name in run.stages if name in run.chosen})
        for name in run.chosen:
            if standing[name].state in SETTLED and before[name].state not in SETTLED:
                self._settled(standing[name])

    def _is_ours(self, job: LocalJob) -> bool:
        return job.stage in self._run.stages and job.output == self._run.stages[job.stage].output

    def _start(self, status: StageStatus, now: float) -> StageStatus:
        """A stage with its next job."""
        made = {name: artifact.sha256 for name, artifact in self._made.items()}
        stage = bound(self._run.pipeline, self._run.stages[status.name], made)
        job = self._jobs.start(stage, status.attempt + 1)
        self._started.add(status.name)
        tries = status.failures + 1
        self._show.event(status.name, "started" if tries == 1 else f"started, attempt {tries}")
        return fold(begun(status, job.name, job.attempt, 0), Look(job), now)

    def _settled(self, status: StageStatus) -> None:
        if status.state == "Failed":
            self._show.event(status.name, status.message or "failed")
            return
        took = f"done in {self._history.seconds[status.name]:.1f} s"
        self._show.event(status.name, took if status.name in self._started else "up to date")
        if KINDS[self._run.stages[status.name].work.kind].shows:
            publish(self._run.stages[status.name])

    # --- tell ---

    def _over(self) -> bool:
        states = [self._standing[name].state for name in self._run.chosen]
        return bool(self._received) or "Failed" in states or all(state in SETTLED for state in states)

    def _result(self) -> int:
        """How it went; says why on stderr where it went wrong."""
        failed = next((stage for stage in self._standing.values() if stage.state == "Failed"), None)
        if failed is not None:
            *said, log = self._words.get(failed.name, [""])
            lines = [f"error: stage {failed.name} {failed.message}", *(said if len(said) > 1 else ())]
            print(*map(last_drawn, lines), *([log] if log else []), sep="\n", file=sys.stderr)
            return code_of(failed)
        if self._received and any(self._standing[name].state not in SETTLED for name in self._run.chosen):
            raise Stopped("asked to stop; the same command goes on where this run was")
        for page in pages(self._run.stages[name] for name in self._run.chosen):
            print(page)
        return 0

    def _rows(self) -> Iterator[StageRow]:
        now = datetime.now().astimezone()
        for name, stage in self._run.stages.items():
            if name in self._run.chosen:
                yield row(self._standing[name], stage.work.kind, now, self._history.seconds[name])
