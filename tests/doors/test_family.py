"""The door of families: a closed form that is added as two files and its row runs through the copy's own pipeline."""

import json
import math
from pathlib import Path

import pytest
import torch

from fastgen_k8s.networks.pth import tensor_from_pth
from tests.doors.copy import PackageCopy

pytestmark = [pytest.mark.slow, pytest.mark.processes]

KD, VARIANCE = "closed_form/gaussian_kd", 4.0

FACTS = '''"""The facts of clips of independent numbers."""

from typing import Literal

from pydantic import PositiveFloat

from fastgen_k8s.experiments.by_kind import ByKind


class Independent(ByKind):
    """Every number is drawn from N(0, variance)."""

    kind: Literal["independent"]
    variance: PositiveFloat = 1.0
'''

TENSORS = '''"""The exact teacher of independent numbers."""

from torch import nn

from fastgen_k8s.networks.closed_form import ClosedFormFamily, one_time
from fastgen_k8s.networks.network import Network, Output


class IndependentTeacher(Network):
    """E[eps - x0 | x_t], the same for every prompt."""

    def __init__(self, variance):
        super().__init__()
        self.variance, self.blocks = variance, nn.ModuleList()

    def forward(self, x_t, t, condition, *, cache=None, write=False, blocks=()):
        t = one_time(t)[:, None, None, None, None]
        slope = (t - (1 - t) * self.variance) / ((1 - t) ** 2 * self.variance + t**2)
        return Output((slope * x_t.double()).to(x_t.dtype))


FAMILY = ClosedFormFamily(lambda settings, model: IndependentTeacher(settings.variance))
'''

TABLE = "fastgen_k8s/experiments/families/__init__.py"
PAIRS = ("pairs.samples_per_prompt=2", "pairs.block_size=4", "pairs.solver_steps=100")
FAMILY = f"model.teacher={{kind: independent, variance: {VARIANCE}}}"


def stage(name: str, kind: str, *overrides: str, **inputs: str) -> dict[str, object]:
    """A stage of an experiment whose text fits that family, too."""
    return {"name": name, "kind": kind, "experiment": KD, "overrides": list(overrides), "inputs": inputs}


def test_a_closed_form_is_added_as_two_files_and_its_row(tmp_path: Path) -> None:
    copy = PackageCopy(tmp_path)
    copy.add("fastgen_k8s/experiments/families/independent.py", FACTS)
    copy.add("fastgen_k8s/networks/independent.py", TENSORS)
    imported = "from fastgen_k8s.experiments.families.gaussian_rotation import GaussianRotation"
    copy.insert(TABLE, "from fastgen_k8s.experiments.families.independent import Independent", after=imported)
    copy.insert(TABLE, "| Independent", after="GaussianRotation  # clips in which planes turn")
    (tmp_path / "prompts.txt").write_text("turning left\nturning right\n")
    ended = copy.run(
        stage("conditions", "encode", prompts=str(tmp_path / "prompts.txt")),
        stage("pairs", "pairs", FAMILY, *PAIRS, conditions="conditions"),
        stage("kd", "train", FAMILY, "train.steps=2", "train.global_batch=2", conditions="conditions", pairs="pairs"),
    )
    assert ended.returncode == 0, ended.stderr
    assert json.loads((copy.artifact("kd") / "artifact.json").read_text())["facts"]["step"] == 2
    made = copy.artifact("pairs") / "samples/000000"
    path, latent = (tensor_from_pth((made / name).read_bytes(), name) for name in ("path.pth", "latent.pth"))
    wider = math.sqrt(VARIANCE) / math.hypot(0.001 * math.sqrt(VARIANCE), 0.999)  # the clean clip than the first state
    torch.testing.assert_close(latent, wider * path[0], rtol=2e-3, atol=0)
