"""The server's time is told by its answers, and does not jump because they are rounded."""

from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastgen_k8s.kube.clock import ServerClock, anchored


@pytest.mark.parametrize(
    ("held", "date", "sent", "received", "offset"),
    [
        (None, 1000, 0.0, 0.1, 999.9),  # the first answer anchors
        (999.9, 1001, 0.5, 0.6, 1000.4),  # a later second within the rounding: closer to the truth
        (1000.4, 1001, 1.4, 1.5, 1000.4),  # rounded down: nothing to learn
        (1000.4, 1001, 0.7, 9.0, 1000.4),  # an answer that was long on its way
        (1000.4, 998, 1.4, 1.5, 996.5),  # the clock was set back
        (1000.4, 2000, 1.4, 1.5, 1998.5),  # the clock was set forward
    ],
)
def test_an_answer_moves_the_clock_only_as_far_as_it_proves(
    held: float | None, date: float, sent: float, received: float, offset: float
) -> None:
    assert anchored(held, date, sent, received) == pytest.approx(offset)


@given(
    truth=st.floats(1e9, 2e9),
    answers=st.lists(st.tuples(st.floats(0, 5), st.floats(0, 5), st.floats(0, 10)), min_size=1),
)
def test_the_clock_is_never_ahead_of_the_server_and_never_goes_back(
    truth: float, answers: list[tuple[float, float, float]]
) -> None:
    held, now = None, 0.0
    for to_server, back, pause in answers:
        sent, made = now, now + to_server
        after = anchored(held, float(int(truth + made)), sent, made + back)
        assert after <= truth + 1e-3
        assert held is None or after >= held
        held, now = after, made + back + pause


def test_between_answers_the_clock_goes_on() -> None:
    now = [10.0]
    clock = ServerClock(lambda: now[0])
    clock.learn(formatdate(5000, usegmt=True), 10.0)
    now[0] = 12.5
    assert clock.now() == 5002.5


@pytest.mark.parametrize("date", [None, "", "yesterday"])
def test_an_answer_without_a_date_teaches_nothing(date: str | None) -> None:
    clock = ServerClock()
    clock.learn(date, 0.0)
    with pytest.raises(LookupError, match="found no answer of it yet"):
        clock.now()
