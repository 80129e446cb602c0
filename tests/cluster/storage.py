"""Object storage for pods and tests alike: SeaweedFS as a process of this machine, on the bridge's address."""

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.addresses import HOST, SLOT
from tests.cluster.api import Api
from tests.cluster.daemons import Daemon, answers, start
from tests.cluster.failures import Unavailable
from tests.cluster.services import outside

_PORT = 8333 + SLOT  # it listens on loopback too, which all slots share
NAME = "s3"
"""The Service that leads there, and the Secret with what a pod's environment needs."""


@dataclass(frozen=True)
class Storage:
    """An S3 server: where this machine and where pods find it, and who may."""

    access_key: str = "tests"
    secret_key: str = "tests-secret"
    reader: tuple[str, str] = ("tests-reader", "tests-reader-secret")  # a key that only reads
    region: str = "us-east-1"
    endpoint: str = f"http://{HOST}:{_PORT}"
    endpoint_in_pods: str = f"http://{NAME}:{_PORT}"
    served_here: bool = True

    def environment(self, *, in_pods: bool = False) -> dict[str, str]:
        """The standard variables of an S3 client."""
        return {
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_REGION": self.region,
            "AWS_ENDPOINT_URL": self.endpoint_in_pods if in_pods else self.endpoint,
        }

    def reading(self) -> dict[str, str]:
        """The same for pods that only read."""
        access, secret = self.reader
        return self.environment(in_pods=True) | {"AWS_ACCESS_KEY_ID": access, "AWS_SECRET_ACCESS_KEY": secret}

    def offer(self, api: Api, namespace: str) -> None:
        """Let the pods of a namespace use it: a Secret for their environment and, if it is ours, a Service: `s3`."""
        if self.served_here:
            for made in outside(NAME, namespace, _PORT, _PORT, "TCP"):
                api.apply(made)
        place = {"name": NAME, "namespace": namespace}
        said = self.environment(in_pods=True)
        api.apply({"apiVersion": "v1", "kind": "Secret", "metadata": place, "stringData": said})


def from_environment(said: Mapping[str, str]) -> Storage:
    """The store that the standard variables name, for a cluster that is not ours; pods find it at the same place."""
    wanted = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION", "AWS_ENDPOINT_URL")
    if absent := [name for name in wanted if name not in said]:
        raise Unavailable(f"storage for the cluster that KUBECONFIG names: wanted {', '.join(absent)}, found nothing")
    access, secret, region, endpoint = (said[name] for name in wanted)
    return Storage(access, secret, (access, secret), region, endpoint, endpoint, served_here=False)


def server() -> Path:
    """The program; it comes with the Python packages of the tests."""
    return Path(sys.executable).with_name("weed")


def run(folder: Path, logs: Path) -> tuple[Daemon, Storage]:
    """A server with two identities, ready. Its ports are the usual ones: nobody else has this address."""
    made = Storage()
    (folder / "data").mkdir(parents=True)
    whole = {"name": "tests", "actions": ["Admin", "Read", "Write", "List", "Tagging"]}
    reader = {"name": "reader", "actions": ["Read", "List"]}
    identities = [
        identity | {"credentials": [{"accessKey": access, "secretKey": secret}]}
        for identity, (access, secret) in ((whole, (made.access_key, made.secret_key)), (reader, made.reader))
    ]
    (folder / "s3.json").write_text(json.dumps({"identities": identities}))
    command = (
        server(),
        "mini",
        f"-dir={folder / 'data'}",
        f"-ip={HOST}",
        f"-ip.bind={HOST}",
        f"-s3.port={_PORT}",
        f"-s3.config={folder / 's3.json'}",
        "-s3.port.iceberg=0",
        "-webdav=false",
        "-admin.ui=false",
    )
    daemon = start("weed", command, logs)
    daemon.wait(answers(f"{made.endpoint}/healthz"))
    return daemon, made
