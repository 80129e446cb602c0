"""What the test cluster decides without running anything."""

import json
import tarfile
from pathlib import Path

import pytest

from tests.cluster import archive
from tests.cluster.api import path_of
from tests.cluster.conditions import holds
from tests.cluster.programs import KUBERNETES
from tests.cluster.requirements import REQUIRED, Level, missing, require


@pytest.mark.parametrize(
    ("resource", "namespace", "name", "path"),
    [
        ("pods", "a", "b", "/api/v1/namespaces/a/pods/b"),
        ("nodes", None, None, "/api/v1/nodes"),
        ("jobs.v1.batch", "a", None, "/apis/batch/v1/namespaces/a/jobs"),
        ("jobsets.v1alpha2.jobset.x-k8s.io", "a", "b", "/apis/jobset.x-k8s.io/v1alpha2/namespaces/a/jobsets/b"),
    ],
)
def test_a_resource_has_its_path(resource: str, namespace: str | None, name: str | None, path: str) -> None:
    assert path_of(resource, namespace, name) == path


@pytest.mark.parametrize(
    ("status", "answer"),
    [
        ({}, False),
        ({"conditions": None}, False),
        ({"conditions": [{"type": "Ready", "status": "False"}]}, False),
        ({"conditions": [{"type": "Ready", "status": "True"}]}, True),
    ],
)
def test_a_condition_holds_only_when_it_is_true(status: dict[str, object], answer: bool) -> None:
    assert holds({"status": status}, "Ready") is answer


def test_an_archive_names_its_image_its_configuration_and_its_layers(tmp_path: Path) -> None:
    (tmp_path / "hello").write_text("hello")
    archive.single_file(tmp_path / "hello", "hello", tmp_path / "layer.tar")
    archive.write(archive.Image("localhost/hello:1"), [tmp_path / "layer.tar"], tmp_path / "hello.tar")
    with tarfile.open(tmp_path / "hello.tar") as packed:
        said = packed.extractfile("manifest.json")
        assert said is not None
        (image,) = json.load(said)
        assert (image["RepoTags"], {image["Config"], *image["Layers"]} <= set(packed.getnames())) == (
            ["localhost/hello:1"],
            True,
        )


def test_programs_know_the_version_that_go_mod_pins() -> None:
    assert "version.gitVersion=v1.34.4 " in KUBERNETES.ldflags


def test_a_level_says_in_one_line_what_it_lacks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FASTGEN_CLUSTER_CACHE", str(tmp_path))
    assert missing(Level.API).startswith("etcd, kube-apiserver, kubectl, jobset not built: ")


def test_a_missing_level_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FASTGEN_CLUSTER_CACHE", str(tmp_path))
    monkeypatch.delenv(REQUIRED, raising=False)
    with pytest.raises(pytest.skip.Exception, match="level api: etcd"):
        require(Level.API)


def test_a_missing_level_fails_where_every_level_must_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FASTGEN_CLUSTER_CACHE", str(tmp_path))
    monkeypatch.setenv(REQUIRED, "1")
    with pytest.raises(pytest.fail.Exception, match="level api is required here"):
        require(Level.API)
