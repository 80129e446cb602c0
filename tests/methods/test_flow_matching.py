"""Flow matching of whole clips, and chunk by chunk on a clean past."""

import pytest
import torch

from fastgen_k8s.diffusion.draws import KeyedDraws
from fastgen_k8s.diffusion.schedule import add_noise, shift
from fastgen_k8s.errors import Misdescribed
from fastgen_k8s.experiments import get_experiment
from fastgen_k8s.experiments.method import FlowMatchingSettings
from fastgen_k8s.experiments.model import Model
from fastgen_k8s.methods.flow_matching import build
from fastgen_k8s.methods.method import Batch, Method, Parts
from fastgen_k8s.networks.load import build_student
from fastgen_k8s.networks.network import KVCache, Network, flow
from tests.methods.fixed import Fixed

MODEL = get_experiment("closed_form/gaussian_kd").model.override("network.num_layers=1")  # 6 frames in chunks of 2
WHOLE = MODEL.override("chunk_size=null")
B = 4
EMPTY = {"text": torch.zeros(1, 1, 2)}
X0 = torch.randn(B, 2, 6, 1, 1, generator=torch.Generator().manual_seed(0))
EPS = torch.randn(B, 2, 6, 1, 1, generator=torch.Generator().manual_seed(1))
BATCH = Batch({"text": torch.eye(2)[torch.arange(B) % 2][:, None]}, X0)


def method(model: Model = WHOLE, **settings: object) -> Method:
    parsed = FlowMatchingSettings.parse({"kind": "flow_matching", **settings}, "test")
    return build(parsed, Parts(build_student(model, None), model, None, EMPTY, EMPTY, torch.device("cpu")))


def student(its: Method) -> Network:
    found = its.roles["student"]
    assert isinstance(found, Network)
    return found


def test_the_loss_is_the_square_error_of_the_flow_at_a_shifted_time() -> None:
    matching, uniform = method(drop_prompt=0), torch.full((B, 1), 0.5, dtype=torch.float64)
    t = shift(torch.full((B,), 0.5, dtype=torch.float64), WHOLE.shift)
    wanted = flow(student(matching), add_noise(X0, EPS, t), t, BATCH.condition) - (EPS - X0)
    found = matching.losses(BATCH, Fixed(batch=B, t=uniform, eps=EPS)).loss
    torch.testing.assert_close(found, wanted.square().flatten(1).mean(1))


def test_dropped_prompts_are_the_empty_one() -> None:
    drop = torch.tensor([0.0, 0.2, 0.09, 0.5], dtype=torch.float64)
    matching, draws = method(drop_prompt=0.1), Fixed(batch=B, drop=drop)
    text = torch.where((drop < 0.1)[:, None, None], torch.zeros(1, 1, 2), BATCH.condition["text"])
    wanted = method(drop_prompt=0).losses(Batch({"text": text}, X0), draws).loss
    torch.testing.assert_close(matching.losses(BATCH, draws).loss, wanted)


def test_with_teacher_forcing_each_chunk_has_a_time_of_its_own_on_the_clean_chunks_before_it() -> None:
    matching = method(MODEL, drop_prompt=0, teacher_forcing=True)
    uniform = torch.tensor([[0.2, 0.5, 0.9]], dtype=torch.float64).expand(B, -1)
    t = shift(0.001 + 0.998 * uniform, MODEL.shift).clamp(0.001, 0.999)
    cache, condition, errors = KVCache(), BATCH.condition, list[torch.Tensor]()
    for k, frames in enumerate((slice(0, 2), slice(2, 4), slice(4, 6))):
        x_t = add_noise(X0[:, :, frames], EPS[:, :, frames], t[:, k])
        v = flow(student(matching), x_t, t[:, k], condition, cache=cache)
        flow(student(matching), X0[:, :, frames], torch.zeros(B), condition, cache=cache, write=True)
        errors.append((v - (EPS - X0)[:, :, frames]).square())
    found = matching.losses(BATCH, Fixed(batch=B, t=uniform, eps=EPS)).loss
    torch.testing.assert_close(found, torch.cat(errors, dim=2).flatten(1).mean(1))


def test_with_teacher_forcing_the_loss_reaches_what_the_network_makes_of_the_past() -> None:
    """The last chunk alone: its gradient by the clean past is not zero, nor by the weights that write it."""
    matching = method(MODEL, teacher_forcing=True)
    clean = X0.clone().requires_grad_()
    draws = KeyedDraws(0, 1, range(B))
    (found,) = torch.autograd.grad(matching.losses(Batch(BATCH.condition, clean), draws).loss.sum(), clean)
    assert int(found.count_nonzero()) == found.numel()


def test_the_loss_of_a_sample_does_not_depend_on_its_micro_batch() -> None:
    matching = method()
    alone = Batch({"text": BATCH.condition["text"][2:3]}, X0[2:3])
    found = matching.losses(alone, KeyedDraws(0, 1, [2])).loss
    torch.testing.assert_close(found, matching.losses(BATCH, KeyedDraws(0, 1, range(B))).loss[2:3])


def test_teacher_forcing_without_chunks_is_refused() -> None:
    with pytest.raises(Misdescribed, match=r"wants model\.chunk_size, found null"):
        method(WHOLE, teacher_forcing=True)
