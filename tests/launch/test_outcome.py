"""Which exit code stands for a job of several agents."""

import pytest

from fastgen_k8s.launch.outcome import worst


@pytest.mark.parametrize(
    ("codes", "code", "whose"),
    [
        ([0], 0, 0),
        ([0, 1], 1, 1),
        ([1, 65], 65, 1),
        ([65, 1], 65, 0),
        ([75, 0], 75, 0),
        ([75, 1], 1, 1),
        ([-9], 137, 0),
        ([75, -15], 143, 1),
        ([75, 75], 75, 0),
        ([74, 70], 70, 1),
    ],
)
def test_the_code_that_says_most_stands_for_all(codes: list[int], code: int, whose: int) -> None:
    assert worst(codes) == (code, whose)
