# pyright: basic
"""The overlay for a cluster without a cloud, put there for real: its store serves our pods and keeps their data."""

import base64
import copy
import os
import subprocess
import sys
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from boto3.session import Session
from botocore.config import Config

from fastgen_k8s.artifacts import read, store_at
from tests.cluster import archive, images, pods
from tests.cluster.cluster import Cluster
from tests.cluster.custom import establish
from tests.cluster.jobsets import python
from tests.manifests.jobs import job, templates
from tests.manifests.render import Object, render

pytestmark = pytest.mark.cluster

NAMESPACE, OWN, STORE = "fastgen", "fastgen-system", "seaweedfs-0"
ALL = copy.deepcopy(render("overlays/kind"))
MADE = {(made["kind"], made["metadata"]["name"]): made for made in ALL if made["metadata"].get("namespace") != OWN}
PROGRAMS = MADE["StatefulSet", "seaweedfs"]["spec"]["template"]["spec"]["containers"]
for _program in PROGRAMS:  # what is packed here has another digest than what is published
    _program["image"] = _program["image"].partition("@")[0]
WGET = Path("/bin/busybox")  # of busybox-static: it is whatever it is called


@pytest.fixture(scope="module")
def store(node: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """The overlay, the store's program as an image, and a folder of this machine as its volume."""
    place = tmp_path_factory.mktemp("store")
    packed = packed_store(place)
    for machine in node.machines.values():
        machine.load(packed)
    (place / "data").mkdir()
    os.chown(place / "data", 10001, 10001)  # on a folder the kubelet does not apply fsGroup
    volume = volume_at(place / "data")
    node.api.apply(volume)
    establish(node.api, [made for made in ALL if made["kind"] == "CustomResourceDefinition"])
    for made in sorted(ALL, key=lambda made: made["kind"] != "Namespace"):
        if made["kind"] not in ("CustomResourceDefinition", "Deployment"):  # the controller has no part in this
            node.api.apply(made)
    node.wait_for("pods", STORE, pods.is_ready, NAMESPACE, timeout=120)
    yield node
    node.api.delete("statefulsets.v1.apps", "seaweedfs", NAMESPACE)
    node.wait_gone("pods", STORE, NAMESPACE)
    node.api.delete("persistentvolumeclaims", "data-seaweedfs-0", NAMESPACE)
    node.api.delete("persistentvolumes", "store")


def packed_store(place: Path) -> Path:
    """An image of the manifest's name and tag with the two programs that it should hold: `wget` is Busybox' there."""
    [name] = {one["image"] for one in PROGRAMS}
    archive.single_file(Path(sys.executable).with_name("weed"), "usr/bin/weed", place / "weed.tar")
    archive.single_file(WGET, "usr/bin/wget", place / "wget.tar")
    image = archive.Image(name, user="0", environment={"PATH": "/usr/bin"})
    archive.write(image, [place / "weed.tar", place / "wget.tar"], place / "image.tar")
    return place / "image.tar"


def volume_at(folder: Path) -> Object:
    """A volume for the claim of the store; a node's folder may be one where a pod may not mount it itself."""
    spec = {
        "capacity": {"storage": "8Gi"},
        "accessModes": ["ReadWriteOnce"],
        "hostPath": {"path": str(folder)},
        "claimRef": {"namespace": NAMESPACE, "name": "data-seaweedfs-0"},
    }
    return {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": "store"}, "spec": spec}


def signed(verb: str, key: str, secret_of: str = "fastgen-s3") -> str:
    """An address with a signature, as a pod with the Secret would make it: the small image has no S3 client."""
    config: dict[str, str] = MADE["ConfigMap", "fastgen-storage"]["data"]
    secret = keys(secret_of)
    session = Session(secret["AWS_ACCESS_KEY_ID"], secret["AWS_SECRET_ACCESS_KEY"], region_name=config["AWS_REGION"])
    path_style = Config(signature_version="s3v4", s3={"addressing_style": "path"})
    client = session.client("s3", endpoint_url=config["AWS_ENDPOINT_URL"], config=path_style)
    bucket = config["FASTGEN_ROOT"].removeprefix("s3://")
    named = {"Prefix": key} if verb == "list_objects_v2" else {"Key": key}
    return client.generate_presigned_url(verb, Params={"Bucket": bucket, **named})


def keys(secret: str) -> dict[str, Any]:
    """What a Secret of the overlay puts into an environment."""
    [data] = [made["data"] for made in ALL if (made["kind"], made["metadata"]["name"]) == ("Secret", secret)]
    return {name: base64.b64decode(value).decode() for name, value in data.items()}


def asked(address: str, verb: str, body: bytes | None = None) -> str:
    """A program that prints the answer: a store that has just started says 500 for some seconds, as clients expect."""
    return f"""
import time, urllib.error, urllib.request
for last in [False] * 100 + [True]:
    try:
        request = urllib.request.Request({address!r}, {body!r}, method={verb!r})
        print(urllib.request.urlopen(request).read().decode())
        break
    except urllib.error.HTTPError as error:
        if last or error.code < 500:
            raise
        time.sleep(0.3)
"""


def ran(cluster: Cluster, name: str, program: str) -> str:
    """What a program prints in a trainer's pod of the launcher, with the small test image instead of its own."""
    template = templates(job(resource="cpu_tiny"))["trainer"]
    [container] = template["spec"]["containers"]
    container |= {"image": images.BASE_IMAGE, "command": python(program)}
    container["resources"] = {"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"memory": "128Mi"}}
    place = {"name": name, "namespace": NAMESPACE, "labels": template["metadata"]["labels"]}
    cluster.api.create({"apiVersion": "v1", "kind": "Pod", "metadata": place, "spec": template["spec"]})
    try:
        seen = cluster.wait_for("pods", name, lambda one: pods.phase(one) in pods.OVER, NAMESPACE)
        said = cluster.logs(name, NAMESPACE)
    finally:
        cluster.api.delete("pods", name, NAMESPACE)
    assert pods.exit_codes(seen) == (0,), said
    return said.strip()


def test_a_trainer_has_the_store_and_its_keys_in_its_environment(store: Cluster) -> None:
    program = (
        "import os; print(*(os.environ[name] for name in ('AWS_ENDPOINT_URL', 'FASTGEN_ROOT', 'AWS_ACCESS_KEY_ID')))"
    )
    assert ran(store, "environment", program) == "http://seaweedfs.fastgen.svc:8333 s3://fastgen-artifacts fastgen"


def test_what_a_trainer_wrote_is_there_after_the_store_was_lost(store: Cluster) -> None:
    ran(store, "writes", asked(signed("put_object", "a/b"), "PUT", b"kept"))
    before = store.api.get("pods", STORE, NAMESPACE)["metadata"]["uid"]
    store.api.delete("pods", STORE, NAMESPACE)
    store.wait_for(
        "pods", STORE, lambda one: one["metadata"]["uid"] != before and pods.is_ready(one), NAMESPACE, timeout=120
    )
    assert ran(store, "reads", asked(signed("get_object", "a/b"), "GET")) == "kept"


def test_a_person_outside_reads_through_a_forwarded_port_with_the_key_that_only_reads(
    store: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran(store, "puts", asked(signed("put_object", "outside/b"), "PUT", b"kept"))
    with forwarded(store) as endpoint:
        for name, value in (("AWS_ENDPOINT_URL_S3", endpoint), *keys("fastgen-s3-reader").items()):
            monkeypatch.setenv(name, value)
        assert read(store_at("s3://fastgen-artifacts/outside"), "b") == b"kept"


@contextmanager
def forwarded(cluster: Cluster) -> Generator[str]:
    """The store's address on this machine while `kubectl port-forward` runs."""
    command = [*cluster.kubectl_command, "-n", NAMESPACE, "port-forward", "service/seaweedfs", ":8333"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as forward:
        try:
            assert forward.stdout is not None
            said = forward.stdout.readline()  # Forwarding from 127.0.0.1:40000 -> 8333
            yield f"http://{said.split()[2]}"
        finally:
            forward.terminate()


def statuses(*requests: tuple[str, str]) -> str:
    """A program that prints how each request, an address and a verb, is answered."""
    return f"""
import urllib.error, urllib.request
for address, verb in {requests!r}:
    try:
        body = b"x" if verb == "PUT" else None
        print(urllib.request.urlopen(urllib.request.Request(address, body, method=verb)).status)
    except urllib.error.HTTPError as error:
        print(error.code)
"""


def test_a_stranger_reads_nothing(store: Cluster) -> None:
    assert ran(store, "stranger", statuses((signed("get_object", "a/b").partition("?")[0], "GET"))) == "403"


READING: dict[str, tuple[str, str, str, str]] = {
    "reads": ("get_object", "GET", "a/b", "200"),
    "lists": ("list_objects_v2", "GET", "a/", "200"),
    "is told what is not there": ("head_object", "HEAD", "a/nothing", "404"),
    "writes nothing": ("put_object", "PUT", "a/c", "403"),
    "replaces nothing": ("put_object", "PUT", "a/b", "403"),
    "removes nothing": ("delete_object", "DELETE", "a/b", "403"),
}


def test_the_controllers_key_only_reads(store: Cluster) -> None:
    asked = [(signed(verb, key, "fastgen-s3-reader"), method) for verb, method, key, _ in READING.values()]
    answers = ran(store, "reader", statuses(*asked)).split()
    assert dict(zip(READING, answers, strict=True)) == {case: answer for case, (*_, answer) in READING.items()}


INNER = {"master": 9333, "volumes": 9340, "filer": 8888, "filer's gRPC": 18888, "master's gRPC": 19333, "admin": 23646}


def test_of_the_store_a_pod_reaches_s3_and_not_what_asks_for_no_key(store: Cluster) -> None:
    address = store.api.get("pods", STORE, NAMESPACE)["status"]["podIP"]
    program = f"""
import socket
for port in {[8333, *INNER.values()]!r}:
    with socket.socket() as tried:
        tried.settimeout(5)
        print(tried.connect_ex(({address!r}, port)) == 0)
"""
    assert ran(store, "knocks", program).split() == ["True", *["False"] * len(INNER)]
