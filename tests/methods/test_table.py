"""The table of methods: every row leads to the function that builds it."""

from pkgutil import resolve_name

import pytest
import torch

from fastgen_k8s.experiments import EXPERIMENTS
from fastgen_k8s.experiments.method import METHODS
from fastgen_k8s.experiments.model import Model
from fastgen_k8s.experiments.schema import Ema
from fastgen_k8s.methods.method import Parts, Target, build
from fastgen_k8s.networks.load import build_student


def parts(model: Model) -> Parts:
    nothing = {"text": torch.zeros(1, 1, 2)}
    return Parts(build_student(model, None), model, None, nothing, nothing, torch.device("cpu"))


@pytest.mark.parametrize("row", METHODS.values())
def test_every_row_names_a_function(row: str) -> None:
    assert callable(resolve_name(row))


def test_without_an_average_asked_for_a_method_has_the_targets_that_it_makes() -> None:
    its = EXPERIMENTS["closed_form/gaussian_sf"]
    found = build(its.method, parts(its.model), None)
    assert (list(found.roles), found.targets) == (["student", "fake_score"], {})


def test_the_average_that_an_experiment_asks_for_is_a_target_beside_the_methods_own() -> None:
    its = EXPERIMENTS["closed_form/gaussian_kd"]
    found = build(its.method, parts(its.model), Ema(decay=0.5))
    assert found.targets == {"student": Target(Ema(decay=0.5))}
