"""Artifact upload and download against boto3's own transfer, on the same server: `python -m benchmarks.s3_transfer`.

Ours hashes every byte, says the sha256 with the object, and on the way back compares and keeps the file in the cache.
"""
# pyright: basic

import os
import shutil
import tempfile
import time
from pathlib import Path

import boto3

from benchmarks.timing import Ratio, compare
from fastgen_k8s.artifacts import Cached, FileEntry, store_at
from fastgen_k8s.artifacts.address import Address
from tests.s3_server import serve

SIZE = 256 << 20  # bytes
WANTED = 0.9


def measure(pairs: int = 5, size: int = SIZE) -> tuple[Ratio, Ratio]:
    """Boto3's time in ours, for upload and for download."""
    with tempfile.TemporaryDirectory() as name, serve(Path(name) / "server") as server:
        folder = Path(name)
        os.environ |= server.environment() | {"FASTGEN_CACHE": str(folder / "cache")}
        (folder / "file").write_bytes(os.urandom(size))
        entry, uri = FileEntry.of_file(folder / "file"), server.place()
        theirs = boto3.client("s3")
        store, bucket, prefix = store_at(uri), Address.parse(uri).bucket, Address.parse(uri).prefix
        up = compare(
            lambda: theirs.upload_file(str(folder / "file"), bucket, f"{prefix}/theirs"),
            lambda: store.upload("ours", folder / "file", FileEntry.of_file(folder / "file")),
            pairs,
            time.perf_counter,
        )

        def ours() -> None:
            shutil.rmtree(folder / "cache/contents", ignore_errors=True)
            Cached(store).local("ours", entry)

        down = compare(
            lambda: theirs.download_file(bucket, f"{prefix}/theirs", str(folder / "back")),
            ours,
            pairs,
            time.perf_counter,
        )
        return up, down


if __name__ == "__main__":
    upload, download = measure()
    print(upload.line(f"upload of {SIZE >> 20} MiB, boto3 against ours", WANTED))
    print(download.line(f"download of {SIZE >> 20} MiB, boto3 against ours", WANTED))
