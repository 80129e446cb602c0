"""Pair generation against the bare teacher loop: `python -m benchmarks.pairs_overhead`.

The bare loop is diffusers' scheduler around two calls of the teacher a step; what stage 1 adds are keyed noise, the
snapped states, decoding, the video, four files a sample with their checksums, and the block's own file.
"""
# pyright: basic

import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from diffusers.schedulers.scheduling_unipc_multistep import UniPCMultistepScheduler

from benchmarks.timing import Ratio, compare
from examples.moving_shapes.metric import TEACHER
from examples.moving_shapes.shapes import PROMPTS
from fastgen_k8s.artifacts import begin, open_artifact
from fastgen_k8s.data.blocks import make_blocks
from fastgen_k8s.data.conditions import Conditions, write_conditions
from fastgen_k8s.diffusion.solvers import snapped_grid
from fastgen_k8s.experiments import get_experiment
from fastgen_k8s.methods.method import for_batch
from fastgen_k8s.networks.by_kind import load_codec, load_text_encoder
from fastgen_k8s.networks.load import build_teacher
from fastgen_k8s.networks.network import flow
from fastgen_k8s.stages.pairs import PairMaker

EXPERIMENT = get_experiment("moving_shapes/kd_causal").override("pairs.samples_per_prompt=1")
WANTED = 1.05  # at most


def measure(pairs: int = 5) -> Ratio:
    """One block by stage 1, and by the bare loop."""
    model, settings = EXPERIMENT.model, EXPERIMENT.pairs
    teacher, encode = build_teacher(model, TEACHER), load_text_encoder(model.text, TEACHER)
    # Annotated as a list of sigmas, which the scheduler then multiplies.
    grid: Any = snapped_grid(settings.solver_steps, model.shift, model.t_list).numpy()
    prompts = PROMPTS[: settings.block_size]
    condition, negative = encode(prompts), for_batch(encode([""]), len(prompts))
    with tempfile.TemporaryDirectory() as folder:
        writer = begin(f"{folder}/conditions", "conditions", "a" * 64, {})
        write_conditions(writer, prompts, [condition], encode([""]), encode([""]))
        writer.commit({})
        conditions = Conditions(open_artifact(f"{folder}/conditions", "conditions"))
        maker = PairMaker(EXPERIMENT, conditions, teacher, load_codec(model.codec, TEACHER))

        def stage() -> None:
            with tempfile.TemporaryDirectory(dir=folder) as place:
                make_blocks(
                    begin(str(Path(place) / "p"), "pairs", "b" * 64, {}), len(prompts), len(prompts), maker.make
                )

        @torch.no_grad()
        def bare() -> None:
            x = torch.randn(len(prompts), *model.latent)
            scheduler = UniPCMultistepScheduler(
                prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=1.0, solver_order=2
            )
            scheduler.set_timesteps(sigmas=grid[:-1])
            scheduler.set_begin_index(0)
            for index, t in enumerate(grid[:-1].tolist()):
                times = torch.full((len(prompts),), t)
                unconditional = flow(teacher, x, times, negative)
                guided = unconditional + settings.guidance * (flow(teacher, x, times, condition) - unconditional)
                x = scheduler.step(guided, scheduler.timesteps[index], x, return_dict=False)[0]

        return compare(stage, bare, pairs, time.perf_counter)


if __name__ == "__main__":
    torch.set_num_threads(1)
    print(f"{measure().line('a block of pairs, stage 1 against the bare teacher loop')} (wanted <= {WANTED})")
