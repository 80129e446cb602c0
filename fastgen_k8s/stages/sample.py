"""Sample: clips from a student, chunk by chunk, from the same noise as the teacher's of the same seed."""

from collections.abc import Sequence

import torch

from fastgen_k8s.artifacts import Manifest
from fastgen_k8s.artifacts.facts import SamplesFacts
from fastgen_k8s.data.blocks import make_blocks
from fastgen_k8s.data.conditions import Conditions, to_device
from fastgen_k8s.data.pairs import noise
from fastgen_k8s.diffusion.draws import KeyedDraws
from fastgen_k8s.experiments.schema import Experiment
from fastgen_k8s.methods.rollout import sample
from fastgen_k8s.networks.by_kind import Codec, load_codec
from fastgen_k8s.networks.device import local_device
from fastgen_k8s.networks.load import build_student, load_weights
from fastgen_k8s.networks.network import Network
from fastgen_k8s.stages.clips import clip_files
from fastgen_k8s.stages.stage import StageJob, teacher_folder
from fastgen_k8s.stages.student import check_rollout, check_student, student_state


def check(job: StageJob) -> None:
    """Refuse missing inputs and a student that was trained for other times or chunks."""
    teacher_folder(job)
    Conditions(job.input("conditions")).check(job.experiment.model.text)
    if (student := job.optional("student")) is not None:
        check_student(student, job.experiment.model)
        check_rollout(student, job.experiment.sample)


def run(job: StageJob) -> Manifest:
    """Sample every prompt; without the input `student`, from the network before any distillation."""
    experiment, folder = job.experiment, teacher_folder(job)
    conditions = Conditions(job.input("conditions"))
    network = build_student(experiment.model, folder)
    artifact = job.optional("student")
    if artifact is not None:
        load_weights(network, student_state(artifact, experiment.sample.weights), artifact.uri)
    codec = load_codec(experiment.model.codec, folder) if experiment.sample.video else None
    maker = _Maker(experiment, conditions, network.to(local_device()), codec)
    count = len(conditions) * experiment.sample.samples_per_prompt
    writer = job.begin()
    make_blocks(writer, count, experiment.sample.batch, maker.make)
    facts = SamplesFacts(samples=count, seed=experiment.sample.seed, trained=artifact is not None)
    return writer.commit(facts.said())


class _Maker:
    """Makes the files of whole blocks from the student."""

    def __init__(self, experiment: Experiment, conditions: Conditions, student: Network, codec: Codec | None) -> None:
        self.model, self.settings, self.conditions = experiment.model, experiment.sample, conditions
        self.student, self.codec = student, codec

    def make(self, samples: Sequence[int]) -> dict[str, bytes]:
        """The files of one block."""
        device = local_device()
        prompts = [index // self.settings.samples_per_prompt for index in samples]
        eps = torch.stack([noise(self.settings.seed, index, self.model.latent) for index in samples])
        latent = sample(
            self.student,
            eps.to(device),
            to_device(self.conditions.batch(prompts), device),
            self.model,
            KeyedDraws(self.settings.seed, 0, samples, device),
            self.settings,
        )
        texts = [self.conditions.prompts[prompt] for prompt in prompts]
        return clip_files(samples, latent, texts, self.codec, self.model.fps)
