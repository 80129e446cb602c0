"""Ten steps of each way to train come to what was recorded: a change of shape alters no number."""

from pathlib import Path

import pytest

from tests.stages import golden

pytestmark = pytest.mark.slow
HERE, THERE = golden.fingerprint(), golden.recorded_fingerprint()
OTHER = f"this machine's arithmetic ({HERE[:8]}) is not that of the record ({THERE[:8]}): compared to 1e-5 only"
NAMES = list(golden.SETTINGS)


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """What the trainings start from."""
    return golden.inputs(tmp_path_factory.mktemp("golden"))


@pytest.fixture(scope="module", params=NAMES)
def trained(
    request: pytest.FixtureRequest, given: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, golden.Lines]:
    """One training of ten steps."""
    name = str(request.param)
    return name, golden.series(name, given, tmp_path_factory.mktemp("training") / "out")


def test_ten_steps_cost_what_they_did(trained: tuple[str, golden.Lines]) -> None:
    name, lines = trained
    wanted = [{key: float.fromhex(value) for key, value in line.items()} for line in golden.recorded()[name]]
    assert lines == [pytest.approx(line, rel=1e-5) for line in wanted]


@pytest.mark.skipif(HERE != THERE, reason=OTHER)
def test_ten_steps_cost_what_they_did_to_the_last_bit(trained: tuple[str, golden.Lines]) -> None:
    name, lines = trained
    assert golden.written(lines) == golden.recorded()[name]
