"""How a worker says how it ended."""

import errno
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
import torch.distributed as dist

from fastgen_k8s.agent.worker import End, ended, finished, lost_peer, threads
from fastgen_k8s.artifacts import begin
from fastgen_k8s.errors import BadInput, Misdescribed, OutOfMemory, StoreFailed, Unhealthy
from tests.conftest import job_of


@pytest.mark.parametrize(
    ("error", "wanted"),
    [
        (Misdescribed("a"), End(64, "a")),
        (BadInput("b"), End(65, "b")),
        (Unhealthy("c"), End(70, "c")),
        (OutOfMemory("d"), End(71, "d")),
        (StoreFailed("e"), End(74, "e")),
        (torch.OutOfMemoryError("tried to allocate 2 GiB of 1 GiB\nlong"), End(71, "tried to allocate 2 GiB of 1 GiB")),
        (OSError(errno.ENOSPC, "No space left on device", "x.pth"), End(74, "x.pth: No space left on device")),
        (OSError(errno.EACCES, "Permission denied", "x.pth"), End(74, "x.pth: Permission denied")),
        (OSError(errno.ENAMETOOLONG, "File name too long", "x.pth"), End(65, "x.pth: File name too long")),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), End(74, "output: Disk quota exceeded")),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_is_foreseen_has_a_code_and_a_line(error: Exception, wanted: End) -> None:
    assert _end_of(error) == wanted


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError(
            "[enforce fail at alloc_cpu.cpp:117] err == 0. DefaultCPUAllocator: can't allocate memory: you ..."
        ),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_failed_allocation_is_out_of_memory_and_says_what_was_free(error: Exception) -> None:
    end = _end_of(error)
    assert (end.code, end.words.endswith("GiB of the machine were free")) == (71, True)


@pytest.mark.parametrize(("given", "wanted"), [("3", 3), ("4,2", 4)])
def test_threads_are_a_number_or_a_list_of_them(given: str, wanted: int) -> None:
    assert threads(given) == wanted


@pytest.mark.parametrize("given", ["", "0", "-1", "many", "1.5"])
def test_threads_that_are_no_number_are_refused(given: str) -> None:
    with pytest.raises(Misdescribed, match=f"OMP_NUM_THREADS: wanted a number of threads, found '{given}'"):
        threads(given)


@pytest.mark.parametrize(
    "error", [KeyError("x"), OSError(errno.ENOENT, "No such file"), RuntimeError("shapes"), RuntimeError("timed out")]
)
def test_what_nobody_foresaw_is_raised(error: Exception) -> None:
    with pytest.raises(type(error)):
        _end_of(error)


@pytest.mark.parametrize(
    ("error", "world", "lost"),
    [
        (RuntimeError("[pair.cc:537] Read error [127.0.0.1]:59032: Connection reset by peer"), 2, True),
        (RuntimeError("[pair.cc:553] Connection closed by peer [127.0.0.1]:38022"), 2, True),
        (RuntimeError("[unbound_buffer.cc:81] Timed out waiting 20000ms for recv operation to complete"), 2, True),
        (dist.DistNetworkError("the server has closed the socket"), 2, True),
        (dist.DistStoreError("wait timeout after 20000ms"), 2, True),
        (RuntimeError("Connection closed by peer"), 1, False),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), 2, False),
    ],
)
def test_a_lost_peer_is_told_from_a_mistake(
    error: RuntimeError, world: int, lost: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", str(world))
    assert lost_peer(error) == lost


def test_work_that_ends_well_has_code_0() -> None:
    assert ended(lambda argv: None, ()) == End(0, "")


@pytest.mark.parametrize(("kind", "digest"), [("pairs", ""), ("training", "d" * 64)])
def test_an_output_of_another_work_is_refused(
    gaussian_conditions: Path, tmp_path: Path, kind: str, digest: str
) -> None:
    job = job_of("train", "closed_form/gaussian_kd", tmp_path / "out", conditions=gaussian_conditions)
    begin(job.work.output, kind, digest or job.digest, {}).commit({})
    with pytest.raises(BadInput, match=r"wanted the place of training .* found that of"):
        finished(job)


def test_a_committed_output_is_finished(gaussian_conditions: Path, tmp_path: Path) -> None:
    job = job_of("train", "closed_form/gaussian_kd", tmp_path / "out", conditions=gaussian_conditions)
    before = finished(job)
    begin(job.work.output, "training", job.digest, {}).commit({})
    assert (before, finished(job)) == (False, True)


def _end_of(error: Exception) -> End:
    def fail(argv: Sequence[str]) -> None:
        raise error

    return ended(fail, ())
