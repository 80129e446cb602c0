"""The demo as a person runs it: the whole three-stage pipeline, then the bounds that its page must hold."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

pytestmark = [pytest.mark.processes, pytest.mark.slow, pytest.mark.timeout(1800), pytest.mark.xdist_group("demo")]
ROOT = Path(__file__).parent.parent.parent

Numbers = dict[str, dict[str, float]]


@pytest.fixture(scope="module")
def numbers(tmp_path_factory: pytest.TempPathFactory) -> Numbers:
    """The metrics of each column of the page, 384 clips each."""
    place = tmp_path_factory.mktemp("demo")
    command = [sys.executable, "-m", "fastgen_k8s", "run", "manifests/pipelines/moving-shapes.yaml", "--root", place]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (place / "report/index.html").is_file()
    found: Numbers = json.loads((place / "report/summary.json").read_text())["metrics"]
    return found


BOUNDS: dict[str, Callable[[Numbers], bool]] = {
    "each column has 384 clips": lambda n: {column["clips"] for column in n.values()} == {384},
    "the teacher shows what was asked": lambda n: n["teacher-samples"]["all"] >= 0.97,
    "the teacher moves in every direction": lambda n: (
        min(n["teacher-samples"][way] for way in ("left", "right", "up", "down")) >= 0.9
    ),
    "the untrained student does not": lambda n: n["untrained"]["all"] <= 0.35,
    "CausalKD shows what was asked": lambda n: n["kd-samples"]["all"] >= 0.90,
    "CausalKD is close to true clips": lambda n: n["kd-samples"]["mse x 100"] <= 2.0,
    "Self-Forcing shows what was asked": lambda n: n["sf-samples"]["all"] >= 0.93,
    "Self-Forcing stays as close": lambda n: n["sf-samples"]["mse x 100"] <= 1.25 * n["kd-samples"]["mse x 100"],
    "Self-Forcing is as sharp": lambda n: n["sf-samples"]["edge"] >= n["kd-samples"]["edge"],
}


@pytest.mark.parametrize("bound", BOUNDS)
def test_the_page_of_the_demo_holds_its_bounds(numbers: Numbers, bound: str) -> None:
    assert BOUNDS[bound](numbers), numbers
