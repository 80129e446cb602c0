"""How much memory a bridge takes: both readers and both writers in CI, their third pairing in `make soak`."""

import pytest

from benchmarks.bridge_memory import measure


@pytest.mark.processes
@pytest.mark.parametrize(
    ("source", "form"),
    [("pt", "diffusers"), ("safetensors", "pt"), pytest.param("pt", "safetensors", marks=pytest.mark.soak)],
)
def test_a_bridge_takes_little_more_memory_than_its_input_has_bytes(source: str, form: str) -> None:
    [peak] = measure(("model.network.num_layers=2",), [source], [form])
    assert peak.size > 400e6
    assert peak.ratio < 1.2, peak.line()
