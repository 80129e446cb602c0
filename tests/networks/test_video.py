# pyright: basic
"""A causal student out of an unmodified transformer of any family: who sees whom, exactly."""

import itertools

import pytest
import torch
from torch import Tensor

from fastgen_k8s.diffusion.chunks import chunk_sizes
from fastgen_k8s.errors import BadInput
from fastgen_k8s.networks.network import Condition, KVCache, flow
from fastgen_k8s.networks.video import VideoNetwork, frame_times
from tests.networks import tiny
from tests.networks.tiny import Make


def leaks(network: VideoNetwork, frames: int, changed: slice, watched: slice) -> float:
    """How much the flow of the watched frames moves when the changed frames are replaced."""
    x, t, other = tiny.clip(frames), tiny.times(frames), tiny.clip(frames, seed=9)
    y = x.clone()
    y[:, :, changed] = other[:, :, changed]
    with torch.no_grad():
        before, after = (flow(network, state, t, tiny.condition()) for state in (x, y))
    return float((before - after)[:, :, watched].abs().max())


def chunk_by_chunk(network: VideoNetwork, x: Tensor, t: Tensor, condition: Condition, sizes: tuple[int, ...]) -> Tensor:
    """The flow of a clip through the cache, every chunk written as it is."""
    cache = KVCache()
    parts = zip(x.split(sizes, dim=2), t.split(sizes, dim=1), strict=True)
    return torch.cat([flow(network, part, time, condition, cache=cache, write=True) for part, time in parts], dim=2)


@pytest.mark.parametrize(("chunk_size", "window", "sink"), tiny.SETTINGS)
@pytest.mark.parametrize("frames", range(1, 10))
def test_no_chunk_sees_a_later_one(make: Make, frames: int, chunk_size: int, window: int | None, sink: int) -> None:
    network = tiny.network(make(), chunk_size, window, sink)
    ends = list(itertools.accumulate(chunk_sizes(frames, chunk_size)))[:-1]
    assert [leaks(network, frames, slice(end, None), slice(0, end)) for end in ends] == [0.0] * len(ends)


@pytest.mark.parametrize(("chunk_size", "window", "sink"), tiny.SETTINGS)
def test_every_chunk_sees_the_chunk_before_it(make: Make, chunk_size: int, window: int | None, sink: int) -> None:
    network = tiny.network(make(), chunk_size, window, sink)
    ends = itertools.accumulate(chunk_sizes(9, chunk_size))
    moved = [leaks(network, 9, slice(a - 1, a), slice(a, b)) for a, b in itertools.pairwise(ends)]
    assert min(moved) > 1e-5


def test_a_bidirectional_network_sees_the_future(make: Make) -> None:
    assert leaks(tiny.network(make(), None), 6, slice(5, 6), slice(0, 1)) > 1e-5


def test_frames_of_a_chunk_see_each_other(make: Make) -> None:
    assert leaks(tiny.network(make(), 3), 6, slice(5, 6), slice(3, 4)) > 1e-5


@pytest.mark.parametrize(
    ("changed", "sees"),
    [(0, True), (1, False), (2, False), (3, False), (4, True), (5, True), (6, True)],
)
def test_a_chunk_sees_the_sink_its_window_and_itself(make: Make, changed: int, sees: bool) -> None:
    one_layer = tiny.network(make(num_layers=1), 1, window=2, sink=1)  # deeper layers reach further back
    moved = leaks(one_layer, 7, slice(changed, changed + 1), slice(6, 7))
    assert (moved > 1e-5) if sees else moved == 0


@pytest.mark.parametrize(("chunk_size", "window", "sink"), tiny.SETTINGS)
def test_chunk_by_chunk_equals_one_pass_in_float32(make: Make, chunk_size: int, window: int | None, sink: int) -> None:
    network, sizes = tiny.network(make(), chunk_size, window, sink), chunk_sizes(7, chunk_size)
    x, t = tiny.clip(7), tiny.times(7)
    with torch.no_grad():
        at_once = flow(network, x, t, tiny.condition())
        in_turn = chunk_by_chunk(network, x, t, tiny.condition(), sizes)
    torch.testing.assert_close(in_turn, at_once, rtol=0, atol=1e-6)


@pytest.mark.parametrize(("chunk_size", "window", "sink"), tiny.SETTINGS)
def test_chunk_by_chunk_equals_one_pass_in_float64(
    make: Make, chunk_size: int, window: int | None, sink: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # diffusers' blocks compute their residuals in float32 by calling `float()`: here they shall stay in float64.
    monkeypatch.setattr(Tensor, "float", Tensor.double)
    network, sizes = tiny.network(make(), chunk_size, window, sink).double(), chunk_sizes(7, chunk_size)
    x, t = tiny.clip(7).double(), tiny.times(7)
    with torch.no_grad():
        at_once = flow(network, x, t, tiny.condition())
        in_turn = chunk_by_chunk(network, x, t, tiny.condition(), sizes)
    # The tables of Cosmos are of float32, and a window that moves turns by other angles of the same differences.
    torch.testing.assert_close(in_turn, at_once, rtol=0, atol=1e-14 if make is tiny.wan else 1e-9)


@pytest.mark.parametrize(("chunk_size", "window", "sink"), tiny.SETTINGS)
def test_a_chunk_on_a_clean_past_equals_one_pass_with_clean_frames(
    make: Make, chunk_size: int, window: int | None, sink: int
) -> None:
    network, sizes = tiny.network(make(), chunk_size, window, sink), chunk_sizes(7, chunk_size)
    x, t, past = tiny.clip(7), tiny.times(7), 7 - sizes[-1]
    t[:, :past] = 0
    with torch.no_grad():
        cache = KVCache()
        for part in x[:, :, :past].split(sizes[:-1], dim=2):
            flow(network, part, torch.zeros(2), tiny.condition(), cache=cache, write=True)
        in_turn = flow(network, x[:, :, past:], t[:, past:], tiny.condition(), cache=cache)
        at_once = flow(network, x, t, tiny.condition())[:, :, past:]
    torch.testing.assert_close(in_turn, at_once, rtol=0, atol=1e-6)


def test_one_time_for_a_sample_equals_that_time_for_every_frame(make: Make) -> None:
    network, t = tiny.network(make(), 2), torch.tensor([0.9, 0.2])
    ours = flow(network, tiny.clip(5), t, tiny.condition())
    assert torch.equal(ours, flow(network, tiny.clip(5), t[:, None].expand(2, 5), tiny.condition()))


@pytest.mark.parametrize(("window", "sink"), [(None, 0), (2, 1)])
@pytest.mark.parametrize("way", ["one pass", "chunk by chunk", "through a clean past"])
def test_gradients_do_not_depend_on_activation_checkpointing(
    make: Make, way: str, window: int | None, sink: int
) -> None:
    kept, recomputed = (gradients(way, tiny.network(make(), 2, window, sink), again) for again in (False, True))
    assert [name for name, value in kept.items() if not torch.equal(value, recomputed[name])] == []


def gradients(way: str, network: VideoNetwork, checkpointing: bool) -> dict[str, Tensor]:
    """Of the weights and of the input, for a loss on the flow of every chunk."""
    x, t = tiny.clip(6).requires_grad_(), tiny.times(6)
    if checkpointing:
        network.transformer.enable_gradient_checkpointing()
    if way == "one pass":
        out = flow(network, x, t, tiny.condition())
    elif way == "chunk by chunk":
        out = rollout_without_gradient_in_the_cache(network, x, t)
    else:
        out = chunk_by_chunk(network, x, t, tiny.condition(), (2, 2, 2))
    (out * tiny.clip(6, seed=5)).sum().backward()
    found = {name: parameter.grad for name, parameter in network.named_parameters()} | {"x": x.grad}
    return {name: gradient for name, gradient in found.items() if gradient is not None}


def rollout_without_gradient_in_the_cache(network: VideoNetwork, x: Tensor, t: Tensor) -> Tensor:
    """Each chunk with gradient, then its clean version into the cache without, as Self-Forcing does it."""
    cache, parts = KVCache(), list[Tensor]()
    for part, time in zip(x.split(2, dim=2), t.split(2, dim=1), strict=True):
        parts.append(flow(network, part, time, tiny.condition(), cache=cache))
        with torch.no_grad():
            flow(network, part, torch.zeros(2), tiny.condition(), cache=cache, write=True)
    return torch.cat(parts, dim=2)


def test_every_weight_gets_a_gradient(make: Make) -> None:
    network = tiny.network(make(), 2)
    flow(network, tiny.clip(4), tiny.times(4), tiny.condition()).square().sum().backward()
    trained = [(name, parameter) for name, parameter in network.named_parameters() if parameter.requires_grad]
    assert [name for name, parameter in trained if parameter.grad is None] == []


def test_the_gradient_of_a_chunk_does_not_reach_later_frames(make: Make) -> None:
    x = tiny.clip(6).requires_grad_()
    flow(tiny.network(make(), 2), x, tiny.times(6), tiny.condition())[:, :, 2:4].square().sum().backward()
    assert x.grad is not None
    assert float(x.grad[:, :, 4:].abs().max()) == 0.0


def test_a_call_that_does_not_write_leaves_the_cache_alone(make: Make) -> None:
    network, cache = tiny.network(make(), 2), KVCache()
    flow(network, tiny.clip(2), tiny.times(2), tiny.condition(), cache=cache, write=True)
    held = {layer: keys.clone() for layer, (keys, _) in cache.layers.items()}
    flow(network, tiny.clip(2, seed=4), tiny.times(2), tiny.condition(), cache=cache)
    assert cache.frames == 2
    assert all(torch.equal(cache.layers[layer][0], keys) for layer, keys in held.items())


def test_weights_keep_the_keys_of_diffusers(make: Make) -> None:
    assert list(tiny.network(make(), 2).transformer.state_dict()) == list(make().state_dict())


def with_positions(make: Make, frames: int) -> object:
    """A transformer whose table of positions ends there."""
    return make(rope_max_seq_len=frames) if make is tiny.wan else make(max_size=(frames, 8, 8))


def test_a_window_lets_a_rollout_go_on_past_the_table_of_positions(make: Make) -> None:
    x, t = tiny.clip(9), tiny.times(9)
    with torch.no_grad():
        short, long = (
            chunk_by_chunk(tiny.network(with_positions(make, frames), 1, window=3), x, t, tiny.condition(), (1,) * 9)
            for frames in (4, 16)
        )
    torch.testing.assert_close(short, long, rtol=0, atol=1e-6)


def test_more_frames_in_sight_than_positions_are_refused(make: Make) -> None:
    network = tiny.network(with_positions(make, 4), 1)
    with pytest.raises(BadInput, match=r"wanted at most 4 frames in sight .* found 5"):
        flow(network, tiny.clip(5), tiny.times(5), tiny.condition())


def test_conditions_of_another_text_encoder_are_refused(make: Make) -> None:
    with pytest.raises(
        BadInput, match=r"wanted conditions of 8 numbers a token \((text_dim|text_embed_dim)\), found 5"
    ):
        flow(tiny.network(make(), 1), tiny.clip(2), tiny.times(2), {"text": torch.zeros(2, 4, 5)})


def in_bfloat16(make: Make) -> VideoNetwork:
    """A network of one frame a chunk that computes in half precision."""
    network = tiny.network(make(), 1)
    torch.nn.Module.to(network, torch.bfloat16)
    return network


@pytest.mark.parametrize(
    ("make", "embedding", "wanted"),
    [
        (tiny.wan, "transformer.condition_embedder.timesteps_proj", [999, 937]),
        (tiny.cosmos, "transformer.time_embed.time_proj", [0.999, 0.937]),
    ],
)
def test_times_stay_exact_when_the_network_computes_in_bfloat16(
    make: Make, embedding: str, wanted: list[float]
) -> None:
    network, fed = in_bfloat16(make), list[Tensor]()
    network.get_submodule(embedding).register_forward_pre_hook(lambda _, args: fed.append(args[0]))
    flow(network, tiny.clip(2, 1).bfloat16(), torch.tensor([[0.999, 0.937]]), tiny.condition(1))
    assert fed[0].tolist() == pytest.approx(wanted, rel=1e-6)


def test_the_flow_has_the_dtype_of_the_state(make: Make) -> None:
    assert flow(in_bfloat16(make), tiny.clip(2), tiny.times(2), tiny.condition()).dtype == torch.float32


@pytest.mark.parametrize("t", [torch.tensor([0.5, 0.25]), torch.tensor([[0.5] * 3, [0.25] * 3])])
def test_the_network_is_fed_its_own_multiple_of_t_for_every_frame(t: Tensor) -> None:
    assert frame_times(1000, t, 2, 3).tolist() == [500, 500, 500, 250, 250, 250]


def test_a_transformer_whose_patches_mix_frames_is_refused(make: Make) -> None:
    with pytest.raises(BadInput, match=r"wanted patches of one frame, found patch_size \(2, 1, 1\)"):
        tiny.network(make(patch_size=(2, 1, 1)), 1)
