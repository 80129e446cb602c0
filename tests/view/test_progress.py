"""What is known of a stage's steps, in words."""

import pytest

from fastgen_k8s.artifacts.progress import Progress
from fastgen_k8s.view.progress import shown


@pytest.mark.parametrize(
    ("progress", "words"),
    [
        (Progress(3, 9, eta=4.4, loss=0.12345), "3/9, 4 s left, loss 0.1235"),
        (Progress(3, 9, eta=7500), "3/9, 2 h 5 min left"),
        (Progress(3, 9, rate=2.1, eta=4, loss=0.5), "3/9, 2.1 steps/s, 4 s left, loss 0.5"),
        (Progress(3, 9), "3/9"),
        (Progress(), ""),
    ],
)
def test_what_is_known_is_said(progress: Progress, words: str) -> None:
    assert shown(progress) == words
