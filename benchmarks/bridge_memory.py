"""Peak memory of the bridge against the size of its input: `python -m benchmarks.bridge_memory`.

The input is a checkpoint of Wan2.1-1.3B's size in float32, 5.7 GB; what the bridge writes goes to an S3 server, in
parts. It wants 20 GB of disk. The peak is what the kernel says of the process (VmHWM): file-backed pages count, and so
does all of torch.
"""
# pyright: basic

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors.torch import save_file

from fastgen_k8s.artifacts import store_at
from fastgen_k8s.artifacts.s3_client import client
from fastgen_k8s.experiments import get_experiment
from fastgen_k8s.networks.load import architecture, transformer_config
from fastgen_k8s.stages import bridge
from tests.conftest import job_of
from tests.s3_server import BUCKET, serve

EXPERIMENT = "wan_t2v/kd_causal"
FORMATS = ("pt", "safetensors", "diffusers")


@dataclass(frozen=True)
class Peak:
    """Bytes before and at the most during one bridge."""

    source: str
    format: str
    size: int  # of the input
    before: int
    most: int
    seconds: float

    @property
    def ratio(self) -> float:
        """The peak above what was there before, in sizes of the input."""
        return (self.most - self.before) / self.size

    def line(self) -> str:
        """For people."""
        return (
            f"bridge of a .{self.source} of {self.size / 1e9:.2f} GB to {self.format}: "
            f"at most {self.most / 1e9:.2f} GB, {self.most / self.size:.2f}x the input "
            f"({self.ratio:.2f}x above the {self.before / 1e9:.2f} GB of the process before), {self.seconds:.0f} s"
        )


def measure(
    settings: Sequence[str] = (), sources: Sequence[str] = FORMATS[:2], formats: Sequence[str] = FORMATS, root: str = ""
) -> list[Peak]:
    """One bridge for each source and format, below `root` or in a folder, each in a process of its own."""
    found: list[Peak] = []
    with tempfile.TemporaryDirectory() as folder:
        for source in sources:
            path = Path(folder) / f"x.{source}"
            _python("make", str(path), *settings)
            for form in formats:
                output = f"{root or folder}/{source}-{form}"
                said = _python("bridge", str(path), output, form, *settings).splitlines()[-1]
                found.append(Peak(**json.loads(said)))
                store = store_at(output)
                for name in store.keys(""):
                    store.delete(name)
            path.unlink()
    return found


def _python(*words: str) -> str:
    command = [sys.executable, "-m", "benchmarks.bridge_memory", *words]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def _make(path: Path, settings: Sequence[str]) -> None:
    shapes = architecture(get_experiment(EXPERIMENT).override(*settings).model)
    state = {name: torch.full(shape, 0.01) for name, shape in shapes.items()}
    if path.suffix == ".safetensors":
        save_file(state, path)
    else:
        torch.save(state, path)


def _bridge(path: Path, output: str, form: str, settings: Sequence[str]) -> Peak:
    job = job_of("bridge", EXPERIMENT, output, f"bridge.format={form}", *settings, checkpoint=path)
    if form == "diffusers":
        transformer_config(job.experiment.model)  # imports diffusers, which is large and no copy of a weight
    before, began = _memory("VmRSS"), time.perf_counter()
    bridge.check(job)
    bridge.run(job)
    took = time.perf_counter() - began
    return Peak(path.suffix[1:], form, path.stat().st_size, before, _memory("VmHWM"), took)


def _memory(name: str) -> int:
    [line] = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(name)]
    return int(line.split()[1]) << 10


def _parts() -> Iterator[str]:
    """What was put in parts, as the server's ETags say."""
    for found in client().list_objects_v2(Bucket=BUCKET).get("Contents", ()):
        _, dash, parts = found["ETag"].strip('"').partition("-")
        if dash:
            yield f"{found['Key']}: {found['Size'] / 1e9:.2f} GB in {parts} parts"


def main() -> None:
    """A bridge of each source to itself, and of one to a folder of diffusers, on S3."""
    with tempfile.TemporaryDirectory() as name, serve(Path(name)) as server:
        os.environ |= server.environment() | {"FASTGEN_CACHE": f"{name}/cache", "FASTGEN_CACHE_GIB": "1"}
        for source, form in (("pt", "pt"), ("safetensors", "safetensors"), ("pt", "diffusers")):
            [peak] = measure(sources=[source], formats=[form], root=server.place())
            print(peak.line(), flush=True)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["make", path, *settings]:
            _make(Path(path), settings)
        case ["bridge", path, output, form, *settings]:
            print(json.dumps(asdict(_bridge(Path(path), output, form, settings))))
            print(*_parts(), sep="\n", file=sys.stderr) if output.startswith("s3://") else None
        case _:
            main()
