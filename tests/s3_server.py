# pyright: basic
"""A real S3 server for tests: SeaweedFS on loopback, with credentials, on ports that were free a moment ago."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import boto3
from botocore.exceptions import BotoCoreError, ClientError

BUCKET = "fastgen"
OWNER, READER = ("owner", "secret-of-the-owner"), ("reader", "secret-of-the-reader")
_PARTS = ("master", "volume", "filer", "s3", "admin")
_PATIENCE = 60.0


@dataclass(frozen=True)
class Server:
    """A running server and what a client has to know of it."""

    endpoint: str

    def environment(self, credentials: tuple[str, str] = OWNER) -> dict[str, str]:
        """The variables by which every client finds it."""
        key, secret = credentials
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": key,
            "AWS_SECRET_ACCESS_KEY": secret,
            "AWS_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": "/dev/null",
            "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
        }

    def place(self) -> str:
        """The URI of a place where nothing is."""
        return f"s3://{BUCKET}/{uuid.uuid4().hex}"


@contextmanager
def serve(folder: Path) -> Generator[Server]:
    """The server, with its data in a folder, until the block ends."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "identities.json").write_text(json.dumps({"identities": _identities()}))
    for last in (False, False, True):
        ports = _free_ports(2 * len(_PARTS))
        server = Server(f"http://127.0.0.1:{ports[2 * _PARTS.index('s3')]}")
        (folder / "data").mkdir(parents=True)
        process = _start(folder, ports)
        try:
            if _answers(server, process, folder / "log", last):
                yield server
                return
        finally:
            process.kill()
            process.wait()
            Path(f"/tmp/seaweedfs-filer-{ports[2 * _PARTS.index('filer')]}.sock").unlink(missing_ok=True)
            shutil.rmtree(folder / "data", ignore_errors=True)


def _start(folder: Path, ports: Sequence[int]) -> subprocess.Popen[bytes]:
    words = [_program(), "mini", *_settings(folder)]
    for number, part in enumerate(_PARTS):
        words += [f"-{part}.port={ports[2 * number]}", f"-{part}.port.grpc={ports[2 * number + 1]}"]
    clean = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    with (folder / "log").open("wb") as log:
        return subprocess.Popen(words, stdout=log, stderr=subprocess.STDOUT, cwd=folder, env=clean)


def _settings(folder: Path) -> list[str]:
    return [
        f"-dir={folder / 'data'}",
        f"-s3.config={folder / 'identities.json'}",
        "-ip=127.0.0.1",
        "-ip.bind=127.0.0.1",
        f"-bucket={BUCKET}",
        "-s3.autoCreateBucket=false",
        "-s3.port.iceberg=0",
        "-s3.port.lance=0",
        "-admin.ui=false",
        "-webdav=false",
        "-master.telemetry=false",
    ]


def _identities() -> list[dict[str, object]]:
    def identity(name: str, secret: str, actions: Sequence[str]) -> dict[str, object]:
        return {"name": name, "credentials": [{"accessKey": name, "secretKey": secret}], "actions": actions}

    return [
        identity(*OWNER, ("Admin", "Read", "List", "Write", "Tagging")),
        identity(*READER, (f"Read:{BUCKET}", f"List:{BUCKET}")),
    ]


def _program() -> str:
    beside = Path(sys.executable).with_name("weed")
    return str(beside) if beside.exists() else "weed"


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]


def _answers(server: Server, process: subprocess.Popen[bytes], log: Path, last: bool) -> bool:
    """True when the bucket is there, False if somebody else has got one of its ports meanwhile."""
    key, secret = OWNER
    client = boto3.client(
        "s3",
        endpoint_url=server.endpoint,
        region_name="us-east-1",
        aws_access_key_id=key,
        aws_secret_access_key=secret,
    )
    until = time.monotonic() + _PATIENCE
    while True:
        if process.poll() is not None and not last and "Port allocation failed" in log.read_text():
            return False
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < until, log.read_text()
        try:
            client.put_object(Bucket=BUCKET, Key="ready", Body=b"")  # a volume is there, too
            return True
        except (ClientError, BotoCoreError):
            time.sleep(0.05)
