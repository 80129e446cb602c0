"""The agent's decisions, as pure functions."""

import signal

import pytest

from fastgen_k8s.agent.node import crashed, verdict
from fastgen_k8s.agent.worker import End
from fastgen_k8s.errors import LOST


@pytest.mark.parametrize(
    ("code", "asked", "alone", "restarts", "wanted"),
    [
        (0, False, True, 0, 0),
        (0, True, True, 0, 0),
        (64, False, True, 0, 64),
        (65, True, True, 0, 65),
        (70, False, False, 0, 70),
        (71, False, True, 0, 71),
        (74, False, True, 0, 74),
        (75, True, True, 0, 75),
        (1, True, True, 0, 75),
        (LOST, True, False, 0, 75),
        (-signal.SIGKILL, True, False, 0, 75),
        (75, False, False, 3, None),
        (LOST, False, False, 3, None),
        (LOST, False, True, 0, None),
        (LOST, False, True, 3, 1),
        (1, False, True, 0, None),
        (1, False, True, 2, None),
        (1, False, True, 3, 1),
        (-signal.SIGSEGV, False, False, 3, -signal.SIGSEGV),
    ],
)
def test_a_verdict_follows_from_how_the_workers_ended(
    code: int, asked: bool, alone: bool, restarts: int, wanted: int | None
) -> None:
    assert verdict(End(code), asked, alone, restarts) == wanted


@pytest.mark.parametrize(
    ("code", "alone", "wanted"),
    [(1, False, True), (75, True, False), (75, False, False), (LOST, False, False), (LOST, True, True)],
)
def test_a_lost_peer_counts_as_a_crash_only_where_no_other_node_could_have_left(
    code: int, alone: bool, wanted: bool
) -> None:
    assert crashed(End(code), alone) == wanted
