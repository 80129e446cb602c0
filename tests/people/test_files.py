"""Logs that a scheduler of this machine writes."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fastgen_k8s.people.root import lines_of


@pytest.fixture
def job(tmp_path: Path) -> Path:
    """The folder of a job with two replicas."""
    for replica in ("0", "1"):
        (tmp_path / "trainer" / replica).mkdir(parents=True)
    return tmp_path


def write(job: Path, replica: str, text: str, stream: str = "stdout") -> None:
    """Add to what a replica says."""
    with (job / "trainer" / replica / f"{stream}.log").open("a") as file:
        file.write(text)


def test_every_replica_is_read_with_its_name_in_front(job: Path) -> None:
    write(job, "0", "a\nb\n")
    write(job, "1", "c\n", "stderr")
    write(job, "1", "a\nb\n", "combined")
    assert [*map(str, lines_of(job, False, lambda: True))] == ["trainer/0 a", "trainer/0 b", "trainer/1 c"]


@pytest.mark.parametrize(("text", "lines"), [("", []), ("a", ["a"]), ("\n", [""]), ("a\x0bb\rc\n", ["a\x0bb\rc"])])
def test_a_line_ends_where_its_writer_ends_it(text: str, lines: list[str], job: Path) -> None:
    write(job, "0", text)
    assert list(lines_of(job, False, lambda: True)) == [("trainer/0", line) for line in lines]


def test_a_job_is_followed_until_it_is_gone_and_no_line_is_torn(job: Path) -> None:
    def acts() -> Iterator[bool]:
        """What happens before each look."""
        write(job, "0", "one\ntw")
        yield True
        write(job, "0", "o\n")
        write(job, "1", "late\n")
        yield True
        write(job, "0", "last")
        yield False

    next_act: Callable[[], bool] = acts().__next__
    lines = [str(line) for line in lines_of(job, True, next_act)]
    assert lines == ["trainer/0 one", "trainer/0 two", "trainer/1 late", "trainer/0 last"]
