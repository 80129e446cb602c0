"""Pairs from pods that come and go are, byte for byte, those of one process outside the cluster."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from fastgen_k8s.artifacts import open_artifact, read, store_at
from tests.cluster import images, outside
from tests.cluster.cluster import Cluster
from tests.cluster.conditions import holds
from tests.cluster.launched import Listener, Place

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]

EXPERIMENT = "closed_form/gaussian_kd"
MANY = ("pairs.samples_per_prompt=512", "pairs.block_size=16", "pairs.solver_steps=35")


@pytest.fixture(scope="module")
def image_root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The trainer image's root file system, unpacked."""
    root = tmp_path_factory.mktemp("image")
    outside.unpack(images.trainer(), root)
    yield root
    outside.remove(root)


def test_three_pods_of_which_one_is_killed_write_what_one_process_outside_writes(
    breakable: Cluster, place: Place, pairs: dict[str, str], image_root: Path
) -> None:
    conditions = pairs["conditions"]
    words = ("--experiment", EXPERIMENT, "--conditions", conditions, "--output", f"{place.root}/pods", "--nodes", "3")
    job = place.run("stage1", *words, "--resource", "cpu_tiny", *MANY, cfg={"job": "three"})
    said = Listener(place, job)
    first = said.wait(lambda line: "block written" in line.text)
    breakable.kill_agent(first.pod, place.namespace)
    assert holds(place.ended(job), "Completed")
    said.stop()
    argv = ["--kind", "pairs", "--experiment", EXPERIMENT, "--input", f"conditions={conditions}"]
    argv += [word for setting in MANY for word in ("--set", setting)] + ["--output", f"{place.root}/outside"]
    outside.run(image_root, argv, place.storage.environment())
    assert content(f"{place.root}/pods") == content(f"{place.root}/outside")


def content(uri: str) -> dict[str, str]:
    """sha256 of every file that an artifact holds, the manifest's included, read back from the store."""
    store, names = store_at(uri), [*open_artifact(uri, "pairs").manifest.files, "artifact.json"]
    return {name: hashlib.sha256(read(store, name)).hexdigest() for name in names}
