"""A rollout with a KV cache, against recomputing the past at every step: `python -m benchmarks.rollout_cache`.

7 chunks of 3 frames, 4 steps each, and what is needed to go on after a chunk: with the cache, one more forward that
writes it; without, nothing, but every forward computes the whole past again. With few tokens a frame the fixed costs
of 35 forwards against 28 show: at 36 instead of 144 the ratio falls below 2.
"""

import torch
from torch import Tensor

from benchmarks.timing import Ratio, compare
from fastgen_k8s.diffusion.schedule import add_noise
from fastgen_k8s.experiments.model import Model
from fastgen_k8s.networks.load import build_student
from fastgen_k8s.networks.network import Condition, KVCache, Network, flow, x0

CHUNKS, CHUNK, WANTED = 7, 3, 2.0
MODEL = Model.model_validate(
    {
        "network": {
            "kind": "wan",
            "num_layers": 4,
            "num_attention_heads": 4,
            "attention_head_dim": 48,
            "ffn_dim": 768,
            "text_dim": 32,
            "freq_dim": 64,
        },
        "text": {"kind": "umt5", "length": 8},
        "codec": {"kind": "none"},
        "latent": (16, CHUNKS * CHUNK, 24, 24),
        "chunk_size": CHUNK,
    }
)
TIMES = MODEL.times


def measure(pairs: int = 5) -> Ratio:
    """A whole rollout each way; both give the same clip."""
    student, noise = build_student(MODEL, None), torch.randn(1, *MODEL.latent)
    text = {"text": torch.randn(1, 8, 32)}
    with torch.inference_mode():
        difference = float((with_cache(student, noise, text) - recomputing(student, noise, text)).abs().max())
        assert difference < 1e-3, difference
        return compare(lambda: recomputing(student, noise, text), lambda: with_cache(student, noise, text), pairs)


def with_cache(student: Network, noise: Tensor, text: Condition) -> Tensor:
    """Each chunk sees the past in the cache."""
    cache, made = KVCache(), list[Tensor]()
    for number in range(CHUNKS):
        eps = noise[:, :, number * CHUNK : (number + 1) * CHUNK]
        x = eps
        for t in TIMES:
            x = x0(student, state(x, eps, t), torch.tensor([t]), text, cache=cache)
        flow(student, x, torch.zeros(1), text, cache=cache, write=True)
        made.append(x)
    return torch.cat(made, dim=2)


def recomputing(student: Network, noise: Tensor, text: Condition) -> Tensor:
    """Each step computes the finished chunks at t = 0 again, in one pass with its own."""
    made = noise[:, :, :0]
    for past in range(0, CHUNKS * CHUNK, CHUNK):
        eps = noise[:, :, past : past + CHUNK]
        x = eps
        for t in TIMES:
            clip = torch.cat([made, state(x, eps, t)], dim=2)
            times = torch.cat([torch.zeros(1, past), torch.full((1, CHUNK), t)], dim=1)
            x = x0(student, clip, times, text)[:, :, past:]
        made = torch.cat([made, x], dim=2)
    return made


def state(x: Tensor, eps: Tensor, t: float) -> Tensor:
    """Where a step begins: the last estimate noised to t; at the first time that is the noise itself."""
    return eps if t == TIMES[0] else add_noise(x, eps, torch.tensor([t]))


if __name__ == "__main__":
    torch.set_num_threads(1)  # with more on a busy machine OpenMP's barriers spin
    print(measure().line(f"rollout of {CHUNKS} chunks of {len(TIMES)} steps, cache against recomputation", WANTED))
