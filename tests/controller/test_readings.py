"""A running stage's progress is read now and then, in time before it counts as stalled, and not for all at once."""

import pytest

from fastgen_k8s.controller.readings import A_SECOND, EVERY, Readings

KEY, STAGE = ("n", "p"), "kd"
NEVER = None


class Clock:
    """Monotonic seconds, which are also the server's."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def middle(least: float, most: float) -> float:
    return (least + most) / 2


@pytest.fixture
def readings(clock: Clock) -> Readings:
    return Readings(clock, middle)


def test_a_stage_is_read_at_first_and_again_after_a_while(readings: Readings, clock: Clock) -> None:
    assert readings.wanted(KEY, STAGE, clock.now, NEVER)
    readings.note(KEY, STAGE, clock.now, answered=True)
    wanted: list[bool] = []
    for seconds in (0, EVERY - 1, EVERY):
        clock.now = 1000.0 + seconds
        wanted.append(readings.wanted(KEY, STAGE, clock.now, NEVER))
    assert wanted == [False, False, True]


def test_before_a_stage_counts_as_stalled_it_is_read_once_more(readings: Readings, clock: Clock) -> None:
    stalls = clock.now + 3
    readings.note(KEY, STAGE, clock.now, answered=True)
    clock.now += 2
    early = readings.wanted(KEY, STAGE, clock.now, stalls)
    clock.now += 1
    in_time = readings.wanted(KEY, STAGE, clock.now, stalls)
    readings.note(KEY, STAGE, clock.now, answered=True)
    clock.now += 1
    assert (early, in_time, readings.wanted(KEY, STAGE, clock.now, stalls)) == (False, True, False)


def test_a_pipeline_is_looked_at_when_the_next_of_its_stages_is_to_be_read(readings: Readings, clock: Clock) -> None:
    readings.note(KEY, "first", clock.now, answered=True)
    clock.now += 4
    readings.note(KEY, "second", clock.now, answered=True)
    assert readings.rest(KEY) == EVERY - 4


def test_a_stage_that_is_not_read_any_more_makes_nobody_look_at_once(readings: Readings, clock: Clock) -> None:
    readings.note(KEY, STAGE, clock.now, answered=True)
    clock.now += 2 * EVERY
    assert readings.rest(KEY) == EVERY


def test_together_the_stages_are_not_read_oftener_however_many_there_are(readings: Readings, clock: Clock) -> None:
    keys = [("n", f"p{number}") for number in range(1000)]
    for _ in range(2):  # the first time nobody knows yet how many there are
        for key in keys:
            readings.note(key, STAGE, clock.now, answered=True)
    assert sum(1 / readings.rest(key) for key in keys) == pytest.approx(A_SECOND)
    for key in keys[1:]:
        readings.forget(key)
    readings.note(keys[0], STAGE, clock.now, answered=True)
    assert readings.rest(keys[0]) == EVERY


def test_what_was_read_together_is_not_read_together_for_ever(clock: Clock) -> None:
    readings = Readings(clock)
    keys = [("n", f"p{number}") for number in range(100)]
    for key in keys:
        readings.note(key, STAGE, clock.now, answered=True)
    assert len({readings.rest(key) for key in keys}) == len(keys)


def test_that_the_store_did_not_answer_is_known_until_it_does(readings: Readings, clock: Clock) -> None:
    readings.note(KEY, STAGE, clock.now, answered=False)
    before = readings.answered(KEY, STAGE)
    readings.note(KEY, STAGE, clock.now, answered=True)
    assert (before, readings.answered(KEY, STAGE)) == (False, True)
