"""Door: a method is a file of settings, a file that builds it, and one row; its losses may read a role's average."""

import json

import pytest

from tests.doors.copy import PackageCopy

SETTINGS = '''
"""What an experiment says of consistency distillation."""

from typing import Literal

from fastgen_k8s.experiments.needs import MethodSettings, Needs


class ConsistencySettings(MethodSettings):
    """Agree with the average of oneself one state further on the teacher's path."""

    kind: Literal["consistency"]
    decay: float = 0.9

    @property
    def needs(self) -> Needs:
        """The teacher's paths."""
        return Needs(pairs=True, teacher="start")
'''
BUILDER = '''
"""Consistency distillation (Song et al. 2023, arXiv 2303.01469, alg. 2)."""

from copy import deepcopy

import torch

from fastgen_k8s.diffusion import losses
from fastgen_k8s.diffusion.draws import Draws
from fastgen_k8s.experiments.consistency import ConsistencySettings
from fastgen_k8s.experiments.schema import Ema
from fastgen_k8s.methods.method import Batch, Losses, Method, Parts, Target, given
from fastgen_k8s.networks.network import x0


def build(settings: ConsistencySettings, parts: Parts) -> Method:
    """The student, and the average of it that it is to agree with."""
    average = deepcopy(parts.student).requires_grad_(False)

    def agreement(batch: Batch, draws: Draws) -> Losses:
        states = torch.cat([given(batch.path, "paths"), given(batch.x0, "clips")[:, None]], dim=1)
        i, rows = draws.integer("state", parts.model.steps), torch.arange(len(states))
        times = torch.tensor(parts.model.t_list, dtype=torch.float64)
        with torch.no_grad():
            wanted = x0(average, states[rows, i + 1], times[i + 1], batch.condition)
        loss = losses.regression(x0(parts.student, states[rows, i], times[i], batch.condition), wanted)
        return Losses(loss, {"consistency": loss})

    target = Target(Ema(decay=settings.decay, start=0), average)
    return Method({"student": parts.student}, agreement, frozen=(average,), targets={"student": target})
'''
IMPORT = "from fastgen_k8s.experiments.consistency import ConsistencySettings"
ROW = 'ConsistencySettings: "fastgen_k8s.methods.consistency:build",'
EXPERIMENT = "closed_form/gaussian_kd"
TINY = ["model.network.num_layers=1", "model.network.num_attention_heads=2"]
PAIRS = ["pairs.samples_per_prompt=4", "pairs.block_size=8", "pairs.solver_steps=8"]
TRAIN = ["method={kind: consistency}", "train.steps=3", "train.global_batch=4"]
NEEDS = {"conditions": "conditions", "pairs": "pairs"}


IN_TABLE = 'DistributionMatchingSettings: "fastgen_k8s.methods.distribution_matching:build",'


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> PackageCopy:
    """A package with one method more, in which a pipeline has trained a student by it."""
    copy = PackageCopy(tmp_path_factory.mktemp("method"))
    copy.add("fastgen_k8s/experiments/consistency.py", SETTINGS)
    copy.add("fastgen_k8s/methods/consistency.py", BUILDER)
    copy.insert("fastgen_k8s/experiments/method.py", IMPORT, after="from fastgen_k8s.config import Config")
    copy.insert("fastgen_k8s/experiments/method.py", ROW, after=IN_TABLE)
    copy.add("prompts.txt", "turning left\nturning right\n")
    stages = (
        {"name": "conditions", "kind": "encode", "inputs": {"prompts": "./prompts.txt"}},
        {"name": "pairs", "kind": "pairs", "inputs": {"conditions": "conditions"}, "overrides": TINY + PAIRS},
        {"name": "cd", "kind": "train", "inputs": NEEDS, "overrides": TINY + TRAIN},
    )
    ran = copy.run(*({**stage, "experiment": EXPERIMENT} for stage in stages))
    assert ran.returncode == 0, ran.stderr
    return copy


@pytest.mark.processes
def test_a_student_is_trained_by_a_new_method_in_a_pipeline(trained: PackageCopy) -> None:
    facts = json.loads((trained.artifact("cd") / "artifact.json").read_text())["facts"]
    assert (facts["method"], facts["ema"], facts["step"]) == ("consistency", True, 3)


@pytest.mark.processes
def test_what_a_new_method_needs_is_asked_for(trained: PackageCopy) -> None:
    words = ["--kind", "train", "--experiment", EXPERIMENT, "--set", TRAIN[0], "--output", str(trained.root / "x")]
    given = ["--input", f"conditions={trained.artifact('conditions')}"]
    refused = trained.call(["-m", "fastgen_k8s.agent", *words, *given])
    assert (refused.returncode, "wants the input 'pairs'" in refused.stderr) == (65, True), refused.stderr
