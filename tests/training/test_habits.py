"""What a run tells of its steps."""

import threading
from pathlib import Path

from fastgen_k8s.artifacts import store_at
from fastgen_k8s.artifacts.metrics import read_metrics
from fastgen_k8s.artifacts.progress import read_progress
from fastgen_k8s.pipeline.work import Execution
from fastgen_k8s.training.habits import Logbook
from fastgen_k8s.training.loop import StepReport
from fastgen_k8s.training.progress import Reporter


def test_a_line_holds_the_newest_of_what_every_turn_measured(tmp_path: Path) -> None:
    """With a student step every fifth and a line every tenth, the critic's loss would never be seen."""
    execution = Execution(log_every=2, trackers=())
    store = store_at(str(tmp_path))
    book = Logbook(store, "0001-a", execution, Reporter("test", 1, 4, lambda: None), "work")
    for step, losses in enumerate([{"critic": 1.0}, {"matching": 2.0}, {"critic": 3.0}, {"matching": 4.0}], 1):
        book.tell(StepReport(step, losses, {}, {}, ()), 4)
    book.close()
    lines = [(line["step"], line["critic"], line["matching"]) for line in read_metrics(store)]
    assert lines == [(2, 1.0, 2.0), (4, 3.0, 4.0)]


def test_a_run_that_was_asked_to_stop_tells_of_its_last_step_and_the_checkpoint_after_it(tmp_path: Path) -> None:
    written: list[int] = []
    store = store_at(str(tmp_path))
    reporter = Reporter("test", 1, 100, lambda: written[-1] if written else None)
    book = Logbook(store, "0001-a", Execution(log_every=10, trackers=()), reporter, "work")
    last = StepReport(13, {"total": 2.0}, {}, {}, ())
    for step in range(1, 14):
        book.tell(StepReport(step, {"total": 2.0}, {}, {}, ()), 100)
    written.append(13)
    book.stopped(last)
    book.close()
    said = read_progress(str(tmp_path))
    assert (said.step, said.checkpoint) == (13, 13)


def test_the_last_step_is_told_although_the_one_before_is_still_being_written(tmp_path: Path) -> None:
    written = threading.Event()

    def checkpoint() -> int | None:
        written.wait()
        return None

    book = Logbook(
        store_at(str(tmp_path)), "0001-a", Execution(trackers=()), Reporter("test", 1, 20, checkpoint), "work"
    )
    book.tell(StepReport(10, {"total": 2.0}, {}, {}, ()), 20)
    last = threading.Thread(target=book.tell, args=(StepReport(20, {"total": 1.0}, {}, {}, ()), 20))
    last.start()
    last.join(0.2)  # it waits, or it has left out what it should have told
    written.set()
    last.join()
    book.close()
    assert read_progress(str(tmp_path)).step == 20
