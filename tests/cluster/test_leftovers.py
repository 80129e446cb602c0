"""A cluster whose process was killed leaves nothing that the next one does not take away."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster import storage
from tests.cluster.api import Api
from tests.cluster.cluster import Cluster
from tests.cluster.jobsets import pod, python, single
from tests.cluster.requirements import Level, require

pytestmark = pytest.mark.cluster

SLOT = "9"  # beside the cluster of the other tests
ENVIRONMENT = os.environ | {"FASTGEN_CLUSTER_SLOT": SLOT, "PYTEST_XDIST_WORKER": "gw0"}


@pytest.fixture
def state() -> Iterator[Path]:
    """The folder of a cluster that ran a pod when its process was killed."""
    require(Level.NODE)
    command = [sys.executable, "-m", "tests.cluster.up", "1"]
    with subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        said = re.fullmatch(r"export KUBECONFIG=(.*)\n", holder.stdout.readline())
        assert said is not None
        for _ in storage.Storage().environment():
            assert holder.stdout.readline()  # the store answers too
        run_a_pod(Path(said[1]))
        holder.send_signal(signal.SIGKILL)
    folder = Path(said[1]).parents[1]
    yield folder
    subprocess.run([sys.executable, "-m", "tests.cluster.leftovers"], env=ENVIRONMENT, check=True)


def run_a_pod(kubeconfig: Path) -> None:
    connection = Api.connect(kubeconfig)
    cluster = Cluster(kubeconfig, connection)
    cluster.api.apply({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}})
    cluster.api.create(single("left", "default", pod(python("import signal; print('up'); signal.pause()"))))
    cluster.wait_for_line("left", "up", "default")
    connection.client.close()


def traces(folder: Path) -> list[str]:
    """What can be found of a cluster: processes, mounts, namespaces, links, control groups, files."""
    named = [path for place in ("/run/netns", "/sys/class/net") for path in Path(place).glob(f"*{SLOT}*")]
    return [
        *(str(path) for path in Path("/proc").glob("[0-9]*/cmdline") if os.fsencode(f"{folder}/") in content(path)),
        *(line.split()[1] for line in Path("/proc/mounts").read_text().splitlines() if f" {folder}/" in line),
        *(str(path) for path in named if re.match(rf"fastgen-{SLOT}-|kb{SLOT}$|fgh{SLOT}-", path.name)),
        *(str(path) for path in Path("/sys/fs/cgroup").glob(f"*/fastgen-{SLOT}-*")),
        *([str(folder)] if folder.exists() else []),
    ]


def content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""  # the process has ended


def test_what_a_killed_cluster_leaves_is_taken_away(state: Path) -> None:
    assert len(traces(state)) > 10  # so that the look finds what there is
    subprocess.run([sys.executable, "-m", "tests.cluster.leftovers"], env=ENVIRONMENT, check=True)
    assert traces(state) == []
