"""Images at work, as confined as a pod under `restricted`: nobody, a read-only root, no network."""

import json
import subprocess
import tarfile
from pathlib import Path

import pytest

from fastgen_k8s.pipeline.work import Execution, Work
from images.build import archive, for_tests, in_manifests
from images.engine import Engine
from tests.conftest import run_stage
from tests.images.conftest import RESTRICTED, inside

pytestmark = pytest.mark.images
# What is left of the packages that `prune` in images/install.sh makes smaller.
S3 = "import boto3; [boto3.client(name, region_name='r') for name in ('s3', 'sts', 'sso', 'sso-oidc')]"
KUBERNETES = "import kubernetes.client, kubernetes.config, kubernetes.watch, kubernetes.dynamic"
STAGES = ("encode", "pairs", "train", "bridge", "sample", "report")


@pytest.mark.parametrize(
    ("image", "command", "code"),
    [
        ("trainer", ["python", "-m", "fastgen_k8s.agent", "--help"], 0),
        ("trainer", ["python", "-m", "fastgen_k8s.agent", "--kind=pairs", "--experiment=no", "--output=/tmp/x"], 64),
        ("trainer", ["python", "-c", "".join(f"import fastgen_k8s.stages.{stage};" for stage in STAGES)], 0),
        ("trainer", ["python", "-c", S3], 0),
        ("controller", ["python", "-c", S3], 0),
        ("controller", ["python", "-c", KUBERNETES], 0),
        ("controller", ["fastgen-k8s", "--help"], 0),
        ("controller", ["python", "-m", "fastgen_k8s", "experiments"], 0),
        ("controller", ["python", "-m", "fastgen_k8s.controller", "--help"], 0),
        ("controller", ["fastgen-k8s", "run", "nothing.yaml"], 64),  # wants the extra `cluster`
    ],
)
def test_a_program_runs_as_nobody_on_a_read_only_root(
    running: Engine, image: str, command: list[str], code: int
) -> None:
    done = inside(running, image, command)
    assert done.returncode == code, done.stderr


def test_pairs_of_a_container_are_byte_for_byte_those_of_this_process(
    running: Engine, gaussian_conditions: Path, tmp_path: Path
) -> None:
    tmp_path.chmod(0o777)
    settings = ("pairs.solver_steps=8", "pairs.samples_per_prompt=4", "pairs.block_size=4")
    run_stage("pairs", "closed_form/gaussian_kd", tmp_path / "here", *settings, conditions=gaussian_conditions)
    work = Work(
        kind="pairs",
        experiment="closed_form/gaussian_kd",
        overrides=settings,
        inputs={"conditions": "/conditions"},
        output="/data/there",
    )
    mounts = [f"--volume={gaussian_conditions}:/conditions:ro", f"--volume={tmp_path}:/data"]
    done = inside(running, "trainer", ["python", "-m", "fastgen_k8s.agent", *work.argv(), *Execution().argv()], mounts)
    assert done.returncode == 0, done.stderr
    assert files(tmp_path / "there") == files(tmp_path / "here")


def test_an_agent_that_is_pid_1_ends_with_75_when_it_is_told_to_stop(
    running: Engine, gaussian_conditions: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    tmp_path.chmod(0o777)
    work = Work(
        kind="pairs",
        experiment="closed_form/gaussian_kd",  # its 64 blocks take minutes
        inputs={"conditions": "/conditions"},
        output="/data/pairs",
    )
    name, mounts = tmp_path.name, [f"--volume={gaussian_conditions}:/conditions:ro", f"--volume={tmp_path}:/data"]
    argv = ["python", "-m", "fastgen_k8s.agent", *work.argv(), *Execution().argv()]
    request.addfinalizer(lambda: running.run(["rm", "--force", name]))
    running.ask("run", "--detach", "--name", name, *RESTRICTED, *mounts, for_tests("trainer"), *argv)
    follow = [running.client, "logs", "--follow", name]
    with subprocess.Popen(
        follow, env=running.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as log:
        assert log.stdout is not None
        assert any("block written" in line for line in log.stdout)
        running.ask("kill", "--signal", "TERM", name)
        assert running.ask("wait", name) == "75"


def test_the_archive_holds_the_image_that_was_built_as_the_manifests_call_it(running: Engine, image: str) -> None:
    with tarfile.open(archive(image)) as tar:
        content = tar.extractfile("manifest.json")
        assert content is not None
        (entry,) = json.load(content)
    wanted = running.ask("image", "inspect", "--format", "{{.Id}}", for_tests(image)).removeprefix("sha256:")
    assert (entry["RepoTags"], entry["Config"]) == ([in_manifests(image), for_tests(image)], f"{wanted}.json")


def files(root: Path) -> dict[str, bytes]:
    """Everything below a folder."""
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}
