"""What a stage says of its steps, in words."""

from pathlib import Path

import pytest

from fastgen_k8s.view.progress import Progress, progress


@pytest.mark.parametrize(
    ("content", "shown"),
    [
        ('{"step": 3, "steps": 9, "eta_seconds": 4.4, "losses": {"total": 0.12345}}', "3/9, 4 s left, loss 0.1235"),
        ('{"step": 3, "steps": 9, "eta_seconds": 7500}', "3/9, 2 h 5 min left"),
        ('{"step": 3, "steps": 9}', "3/9"),
        ('{"step": 3, "steps": 9, "losses": {"total": null}}', "3/9"),
        ('{"step": 3, "steps": 9, "eta_seconds": Infinity, "losses": {"total": NaN}}', "3/9"),
        ('{"step": 3, "steps": 9, "eta_seconds": "soon", "losses": []}', "3/9"),
        ("{}", ""),
        ("[]", ""),
        ("[" * 100_000, ""),
        ("{", ""),
        (None, ""),
    ],
)
def test_progress_is_what_the_stage_wrote_last(content: str | None, shown: str, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "progress.json").write_text(content)
    assert str(progress(str(tmp_path))) == shown


def test_a_rate_is_said_where_it_is_known() -> None:
    assert str(Progress(step=3, steps=9, rate=2.1, eta=4, loss=0.5)) == "3/9, 2.1 steps/s, 4 s left, loss 0.5"


@pytest.mark.parametrize(
    ("step", "steps", "share"), [(3, 9, 1 / 3), (9, 9, 1.0), (12, 9, 1.0), (-1, 9, 0.0), (0, 0, None), (None, 9, None)]
)
def test_the_share_of_the_steps_lies_between_none_and_all(
    step: int | None, steps: int | None, share: float | None
) -> None:
    assert Progress(step=step, steps=steps).share == share
