"""A stage by TorchX's `local_docker`: the argv of every other scheduler, in the trainer image."""
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false

from pathlib import Path

import pytest
from torchx.runner import get_runner
from torchx.specs import AppState, BindMount

from fastgen_k8s.artifacts import open_artifact
from fastgen_k8s.launch.app import ROLE, app
from fastgen_k8s.launch.launch import Launch
from fastgen_k8s.pipeline.work import Execution, Placement, Work
from images.build import for_tests
from images.engine import Engine

pytestmark = pytest.mark.images
NETWORK = "torchx"  # TorchX's own name; it would create a bridge that needs firewall rules


@pytest.fixture
def reached(running: Engine, monkeypatch: pytest.MonkeyPatch) -> str:
    """An image that docker's Python package finds, by a name for which no registry is asked; with TorchX's network."""
    if running.host is not None:
        monkeypatch.setenv("DOCKER_HOST", running.host)
    if running.run(["network", "inspect", NETWORK]).returncode:
        running.ask("network", "create", "--internal", NETWORK)
    name = f"localhost/{for_tests('trainer')}"
    running.ask("tag", for_tests("trainer"), name)
    return name


def test_a_stage_runs_by_local_docker_on_mounted_data(reached: str, tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    work = Work(
        kind="encode",
        experiment="closed_form/gaussian_kd",
        inputs={"prompts": "examples/closed_form/gaussian.txt"},  # of the image's own folder
        output="/data/conditions",
    )
    placement = Placement.parse({"resource": "cpu_small"}, "test")
    application = app(Launch(work, placement, Execution(), reached))
    application.roles[0].mounts = [BindMount(src_path=str(tmp_path), dst_path="/data")]
    runner = get_runner()
    handle = runner.run(application, "local_docker")
    status = runner.wait(handle, wait_interval=0.2)
    said = "".join(runner.log_lines(handle, ROLE, 0))
    runner.close()
    assert status is not None
    assert status.state == AppState.SUCCEEDED, said
    assert open_artifact(str(tmp_path / "conditions"), "conditions").manifest.kind == "conditions"
