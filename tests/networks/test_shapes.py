"""What a family says of its weights is what diffusers' own class has."""

import pytest
import torch

from fastgen_k8s.experiments import get_experiment
from fastgen_k8s.networks.load import architecture, build_student, weights


@pytest.mark.parametrize(
    ("experiment", "changes"),
    [
        ("moving_shapes/kd_causal", ()),
        ("wan_t2v/kd_causal", ("model.network.num_layers=2",)),
        ("wan_t2v/kd_causal", ("model.network.num_layers=1", "model.network.cross_attn_norm=false")),
        ("cosmos_predict2/kd_causal", ("model.network.num_layers=2",)),
        ("cosmos_predict2/kd_causal", ("model.network.num_layers=1", "model.network.mlp_ratio=1.3")),
        ("closed_form/ring_kd", ()),
    ],
)
def test_the_shapes_of_a_family_are_those_of_its_class(experiment: str, changes: tuple[str, ...]) -> None:
    model = get_experiment(experiment).override(*changes).model
    with torch.device("meta"):
        built = weights(build_student(model, None))
    assert architecture(model) == {name: tuple(value.shape) for name, value in built.items()}
    assert all(value.is_floating_point() for value in built.values())
