"""Stage 1, ODE pairs: the teacher's trajectories in fixed blocks, by any number of workers that come and go."""

from collections.abc import Sequence

import torch

from fastgen_k8s.artifacts import Manifest
from fastgen_k8s.artifacts.facts import PairsFacts
from fastgen_k8s.artifacts.manifest import to_json
from fastgen_k8s.data.blocks import make_blocks
from fastgen_k8s.data.conditions import Conditions, to_device
from fastgen_k8s.data.pairs import INDEX, PairIndex, noise
from fastgen_k8s.diffusion.solvers import snapped_grid
from fastgen_k8s.experiments.schema import Experiment
from fastgen_k8s.methods.trajectory import trajectory
from fastgen_k8s.networks.by_kind import Codec, load_codec
from fastgen_k8s.networks.device import local_device
from fastgen_k8s.networks.load import build_teacher
from fastgen_k8s.networks.network import Network
from fastgen_k8s.networks.pth import to_pth
from fastgen_k8s.stages.clips import clip_files
from fastgen_k8s.stages.negative import say_if_none
from fastgen_k8s.stages.stage import StageJob, teacher_digest, teacher_folder

_DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


def check(job: StageJob) -> None:
    """Refuse missing inputs and a solver grid that cannot hold the requested times."""
    teacher_folder(job)
    model, pairs = job.experiment.model, job.experiment.pairs
    Conditions(job.input("conditions")).check(model.text)
    snapped_grid(pairs.solver_steps, model.shift, model.t_list)
    say_if_none(job, pairs.guidance)


def run(job: StageJob) -> Manifest:
    """Make the missing blocks, then put the index and the manifest; every worker ends with the same ones."""
    experiment, folder = job.experiment, teacher_folder(job)
    conditions = Conditions(job.input("conditions"))
    maker = PairMaker(
        experiment,
        conditions,
        build_teacher(experiment.model, folder).to(local_device()),
        load_codec(experiment.model.codec, folder) if experiment.pairs.video else None,
    )
    index = _index(job, conditions)
    writer = job.begin()
    make_blocks(writer, index.samples, index.block_size, maker.make)
    writer.put(INDEX, to_json(index))
    return writer.commit(PairsFacts.parse(index.model_dump(), INDEX).said())


class PairMaker:
    """Makes the files of whole blocks from the teacher."""

    def __init__(self, experiment: Experiment, conditions: Conditions, teacher: Network, codec: Codec | None) -> None:
        self.model, self.settings, self.conditions = experiment.model, experiment.pairs, conditions
        self.teacher, self.codec = teacher, codec

    def make(self, samples: Sequence[int]) -> dict[str, bytes]:
        """The files of one block."""
        device = local_device()
        prompts = [sample // self.settings.samples_per_prompt for sample in samples]
        eps = torch.stack([noise(self.settings.seed, sample, self.model.latent) for sample in samples])
        condition = to_device(self.conditions.batch(prompts), device)
        negative = to_device(self.conditions.negative, device)
        with torch.no_grad():
            path, latent = trajectory(self.teacher, eps.to(device), condition, negative, self.model, self.settings)
        dtype = _DTYPES[self.settings.dtype]
        texts = [self.conditions.prompts[prompt] for prompt in prompts]
        files = clip_files(samples, latent.to(dtype), texts, self.codec, self.model.fps)
        for row, sample in enumerate(samples):
            files[f"samples/{sample:06d}/path.pth"] = to_pth(path[row].to(dtype))
        return files


def _index(job: StageJob, conditions: Conditions) -> PairIndex:
    model, pairs = job.experiment.model, job.experiment.pairs
    grid = snapped_grid(pairs.solver_steps, model.shift, model.t_list)
    return PairIndex(
        samples=len(conditions) * pairs.samples_per_prompt,
        samples_per_prompt=pairs.samples_per_prompt,
        block_size=pairs.block_size,
        latent=model.latent,
        times=model.times,
        grid=tuple(float(t) for t in grid),
        solver=pairs.solver,
        solver_steps=pairs.solver_steps,
        shift=model.shift,
        guidance=pairs.guidance,
        dtype=pairs.dtype,
        seed=pairs.seed,
        teacher=pairs.teacher,
        chunk_size=model.chunk_size if pairs.teacher == "autoregressive" else None,
        teacher_digest=teacher_digest(job),
        conditions_digest=conditions.digest,
    )
