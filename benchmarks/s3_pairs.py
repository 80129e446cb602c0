"""How long a tiny trainer waits for pairs that it reads from S3, its cache empty: `python -m benchmarks.s3_pairs`."""

import os
import tempfile
import time
from pathlib import Path

import torch

from fastgen_k8s.data.ahead import Ahead
from fastgen_k8s.networks.device import local_device
from fastgen_k8s.stages.assembly import Data, build
from fastgen_k8s.stages.stage import StageJob
from fastgen_k8s.training.loop import ALONE, shares, train
from fastgen_k8s.training.state import start
from tests.conftest import job_of, run_stage
from tests.s3_server import serve

WANTED = 0.02
TASK, EXAMPLE = "moving_shapes/kd_causal", Path("examples/moving_shapes")
PAIRS = ("pairs.solver_steps=8", "pairs.video=false")


def measure(steps: int = 150) -> tuple[float, float]:
    """The share of a training's time in which it waited, from its first step on, and after the first 20 steps."""
    with tempfile.TemporaryDirectory() as name, serve(Path(name) / "server") as server:
        os.environ |= server.environment() | {"FASTGEN_CACHE": f"{name}/cache"}
        root, teacher = server.place(), str(EXAMPLE / "teacher")
        inputs = {"teacher": teacher, "conditions": f"{root}/conditions"}
        run_stage("encode", TASK, f"{root}/conditions", prompts=str(EXAMPLE / "prompts.txt"), teacher=teacher)
        run_stage("pairs", TASK, f"{root}/pairs", *PAIRS, **inputs)
        os.environ["FASTGEN_CACHE"] = f"{name}/another-node"
        job = job_of("train", TASK, f"{root}/kd", f"train.steps={steps}", **inputs, pairs=f"{root}/pairs")
        return _waited(job, steps)


def _waited(job: StageJob, steps: int) -> tuple[float, float]:
    data, settings = Data(job), job.experiment.train
    method = build(job, data, local_device())
    state = start(method, settings, job.experiment.optimisation)
    [share] = shares(settings.global_batch, None, ALONE)
    order = [(step, share.slots) for step in range(1, steps + 1)]
    with Ahead(data.batch, order) as ahead:
        begun = time.perf_counter()
        train(method, state, settings.override("steps=20"), ahead.batch)
        middle, waited = time.perf_counter(), ahead.waited
        train(method, state, settings, ahead.batch)
        ended = time.perf_counter()
        return ahead.waited / (ended - begun), (ahead.waited - waited) / (ended - middle)


if __name__ == "__main__":
    torch.set_num_threads(1)
    whole, later = measure()
    print(f"waiting for pairs on S3, with an empty cache: {whole:.2%} of the time (wanted < {WANTED:.0%})")
    print(f"the same after 20 steps: {later:.2%}")
