"""What a training is made of, from its experiment and inputs: the method with its networks, and the batches."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from fastgen_k8s.data.conditions import Conditions, to_device
from fastgen_k8s.data.pairs import PairSet, noise
from fastgen_k8s.data.sampler import indices
from fastgen_k8s.diffusion.draws import KeyedDraws
from fastgen_k8s.errors import BadInput, Misdescribed
from fastgen_k8s.experiments.schema import Experiment
from fastgen_k8s.methods.method import Batch, Method, Parts
from fastgen_k8s.methods.method import build as build_method
from fastgen_k8s.methods.rollout import sample
from fastgen_k8s.networks.foreign import read_weights
from fastgen_k8s.networks.load import architecture, build_student, load_weights
from fastgen_k8s.networks.network import Network
from fastgen_k8s.stages.negative import say_if_none
from fastgen_k8s.stages.stage import StageJob, teacher_digest, teacher_folder
from fastgen_k8s.stages.student import check_student, student_state


class Data:
    """The inputs that batches are drawn from, checked against the experiment (BadInput)."""

    def __init__(self, job: StageJob) -> None:
        self.experiment = job.experiment
        self.conditions = Conditions(job.input("conditions"))
        self.conditions.check(job.experiment.model.text)
        needed = job.experiment.method.needs.pairs
        artifact = job.input("pairs") if needed else job.optional("pairs")
        self.pairs = None if artifact is None else PairSet(artifact)
        if self.pairs is not None:
            teacher = teacher_digest(job) if _knows_teacher(job) else None
            self.pairs.check(job.experiment.model, teacher=teacher, conditions=self.conditions.digest)

    def batch(self, step: int, slots: Sequence[int]) -> Batch:
        """The items that the sampler gives to some slots of a step: pairs, or prompts where there are none."""
        train = self.experiment.train
        items = len(self.conditions if self.pairs is None else self.pairs)
        drawn = indices(train.seed, step, slots, train.global_batch, items)
        if self.pairs is None:
            return Batch(self.conditions.batch(drawn))
        x0, path = self.pairs.batch(drawn, self.experiment.model.times)
        condition = self.conditions.batch(self.pairs.prompts(drawn))
        return Batch(condition, x0, path)


def moved(batch: Batch, device: torch.device) -> Batch:
    """The same batch on a device."""
    x0, path = (None if value is None else value.to(device) for value in (batch.x0, batch.path))
    return Batch(to_device(batch.condition, device), x0, path)


def check_inputs(job: StageJob) -> None:
    """Refuse what is missing or does not fit the experiment, before any process starts."""
    needs = job.experiment.method.needs
    if needs.videos:
        raise Misdescribed("method.gan.real: wanted 'pairs', found 'videos', which no stage makes yet")
    Data(job)
    _teacher(job)
    _student_weights(job)
    say_if_none(job, needs.guidance)


def build(job: StageJob, data: Data, device: torch.device) -> Method:
    """The method with its networks on a device, not yet sharded."""
    experiment, folder = job.experiment, _teacher(job)
    student = build_student(experiment.model, folder)
    if (given := _student_weights(job)) is not None:
        load_weights(student, given, job.work.inputs["student"])
    negative, empty = (to_device(one, device) for one in (data.conditions.negative, data.conditions.empty))
    parts = Parts(student.to(device), experiment.model, folder, negative, empty, device)
    return build_method(experiment.method, parts, experiment.train.ema)


def validation_samples(
    experiment: Experiment, data: Data, method: Method, device: torch.device
) -> Callable[[], Tensor]:
    """Samples [N, C, T, H, W] of the student as it is, from the same prompts and draws each time."""
    model, count, student = experiment.model, experiment.train.validation.samples, method.roles["student"]
    assert isinstance(student, Network)
    prompts = [index % len(data.conditions) for index in range(count)]
    condition = to_device(data.conditions.batch(prompts), device)
    eps = torch.stack([noise(experiment.sample.seed, index, model.latent) for index in range(count)]).to(device)
    draws = KeyedDraws(experiment.sample.seed, 0, range(count), device)
    return lambda: sample(student, eps, condition, model, draws, experiment.sample)


def _knows_teacher(job: StageJob) -> bool:
    return not job.experiment.model.parts or "teacher" in job.work.inputs


def _teacher(job: StageJob) -> Path | None:
    """The teacher's folder where the method needs it, its student starts as the teacher, or it is given."""
    needed, given = job.experiment.method.needs.teacher, job.work.inputs
    starts = needed == "start" and "student" not in given
    return teacher_folder(job) if needed == "always" or starts or "teacher" in given else None


def _student_weights(job: StageJob) -> Mapping[str, Tensor] | None:
    """The initial weights of the input `student`: a bridge's or a training's artifact, a file or a DCP folder."""
    uri = job.work.inputs.get("student")
    if uri is None:
        return None
    artifact = job.find("student")
    if artifact is None:
        path = job.weights("student")
        if path is None:
            raise BadInput(f"{uri}: wanted a student's weights, found no file, no DCP folder and no artifact.json")
        return read_weights(path, architecture=architecture(job.experiment.model)).state
    check_student(artifact, job.experiment.model)
    return student_state(artifact, "raw")
