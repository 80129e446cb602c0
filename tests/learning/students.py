"""Training students of the closed-form experiments in memory: the production classes, without a store between them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from fastgen_k8s.data.pairs import noise
from fastgen_k8s.data.sampler import indices
from fastgen_k8s.diffusion.draws import KeyedDraws
from fastgen_k8s.experiments import get_experiment
from fastgen_k8s.experiments.encoders import Labels
from fastgen_k8s.experiments.schema import Experiment
from fastgen_k8s.methods.method import Batch, Parts, build
from fastgen_k8s.methods.rollout import sample
from fastgen_k8s.methods.trajectory import trajectory
from fastgen_k8s.networks.load import build_student, build_teacher
from fastgen_k8s.networks.network import Condition, Network
from fastgen_k8s.training.loop import train
from fastgen_k8s.training.state import start

AT_ONCE = 1024  # samples computed together
Weights = dict[str, Tensor]


def experiment(name: str, seed: int) -> Experiment:
    """An experiment of the table with all of its seeds set."""
    return get_experiment(name).override(f"train.seed={seed}", f"pairs.seed={seed}", f"sample.seed={1000 + seed}")


def labels(its: Experiment) -> tuple[str, ...]:
    """The prompts of a closed-form experiment."""
    assert isinstance(its.model.text, Labels)
    return its.model.text.labels


def condition(its: Experiment, prompts: Sequence[int]) -> Condition:
    """One-hot labels [B, 1, P]."""
    return {"text": torch.eye(len(labels(its)))[list(prompts)][:, None]}


def nothing(its: Experiment) -> Condition:
    """The condition of no prompt."""
    return {"text": torch.zeros(1, 1, len(labels(its)))}


@dataclass(frozen=True)
class Data:
    """The teacher's pairs of an experiment."""

    prompts: list[int]
    x0: Tensor  # [N, C, T, H, W]
    path: Tensor  # [N, S, C, T, H, W]


def pairs(its: Experiment) -> Data:
    """What the pairs stage makes, with the same noise."""
    teacher, each = build_teacher(its.model, None), its.pairs.samples_per_prompt
    prompts = [prompt for prompt in range(len(labels(its))) for _ in range(each)]
    paths, latents = list[Tensor](), list[Tensor]()
    for first in range(0, len(prompts), AT_ONCE):
        chosen = range(first, min(first + AT_ONCE, len(prompts)))
        eps = torch.stack([noise(its.pairs.seed, index, its.model.latent) for index in chosen])
        given = condition(its, [prompts[index] for index in chosen])
        path, latent = trajectory(teacher, eps, given, nothing(its), its.model, its.pairs)
        paths.append(path)
        latents.append(latent)
    return Data(prompts, torch.cat(latents), torch.cat(paths))


def batches(its: Experiment, data: Data | None) -> Callable[[int, Sequence[int]], Batch]:
    """Micro-batches as the train stage draws them: of pairs, or of prompts alone."""

    def batch(step: int, slots: Sequence[int]) -> Batch:
        items = len(labels(its)) if data is None else len(data.prompts)
        drawn = indices(its.train.seed, step, slots, its.train.global_batch, items)
        if data is None:
            return Batch(condition(its, drawn))
        return Batch(condition(its, [data.prompts[index] for index in drawn]), data.x0[drawn], data.path[drawn])

    return batch


def student(its: Experiment, weights: Weights | None = None) -> Network:
    """A student at its start, or with weights."""
    network = build_student(its.model, None)
    if weights is not None:
        network.load_state_dict(weights)
    return network


def distil(its: Experiment, data: Data | None, weights: Weights | None = None) -> Weights:
    """Train to the experiment's last step: the student's weights, averaged if the experiment averages."""
    network = student(its, weights)
    parts = Parts(network, its.model, None, nothing(its), nothing(its), torch.device("cpu"))
    method = build(its.method, parts, its.train.ema)
    state = train(method, start(method, its.train, its.optimisation), its.train, batches(its, data))
    averaged = state.averages["student"].means if its.train.ema is not None else {}
    return {**{name: value.detach() for name, value in network.state_dict().items()}, **averaged}


def rollouts(its: Experiment, weights: Weights | None, count: int) -> tuple[Tensor, list[str]]:
    """Samples [N, C, T, H, W] of a student, as the sample stage draws them, and their prompts."""
    network, prompts = student(its, weights), [index % len(labels(its)) for index in range(count)]
    clips = list[Tensor]()
    for first in range(0, count, AT_ONCE):
        chosen = range(first, min(first + AT_ONCE, count))
        eps = torch.stack([noise(its.sample.seed, index, its.model.latent) for index in chosen])
        given = condition(its, [prompts[index] for index in chosen])
        clips.append(sample(network, eps, given, its.model, KeyedDraws(its.sample.seed, 0, chosen), its.sample))
    return torch.cat(clips), [labels(its)[prompt] for prompt in prompts]
