"""What `torchx run --dryrun` prints goes through `kubectl apply --dry-run=server` as it is."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cluster.cluster import Cluster

pytestmark = pytest.mark.cluster

REMOTE = {
    "FASTGEN_ROOT": "s3://bucket/run",
    "FASTGEN_TEACHER": "s3://bucket/teacher",
    "FASTGEN_PROMPTS": "s3://bucket/prompts.txt",
    "FASTGEN_IMAGE": "registry.example/trainer:1",
}
STAGES = (
    ("encode",),
    ("stage1", "--nodes", "4", "--pool", "spot"),
    ("stage2", "--nodes", "2:8", "--resource", "h100_8", "--processes", "2", "--grace", "120"),
    ("bridge",),
    ("stage3", "--nodes", "2"),
    ("sample", "--nodes", "2"),
    ("report", "student=s3://bucket/run/stage3"),
)


@pytest.mark.parametrize("words", STAGES, ids=lambda words: words[0])
def test_a_dry_run_is_accepted_by_the_server(control_plane: Cluster, words: tuple[str, ...], tmp_path: Path) -> None:
    component, *rest = words
    with control_plane.namespace("dry") as namespace:
        shown = subprocess.run(
            [
                str(Path(sys.executable).parent / "torchx"),
                *("run", "--dryrun", "-s", "jobset", "-cfg", f"namespace={namespace},queue=training,ttl=3600"),
                *(f"components/{component}.py", *rest),
            ],
            env={**os.environ, **REMOTE, "KUBECONFIG": str(tmp_path / "no cluster")},
            capture_output=True,
            text=True,
            check=True,
        )
        _, _, request = shown.stdout.partition("=== SCHEDULER REQUEST ===\n")
        (tmp_path / "request.yaml").write_text(request)
        said = control_plane.kubectl_text("apply", "--dry-run=server", "-f", str(tmp_path / "request.yaml"))
    assert (said.count("jobset.jobset.x-k8s.io/"), "created (server dry run)" in said) == (1, True)
