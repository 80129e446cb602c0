"""A rollout with a KV cache, against recomputing the past at every step: `python -m benchmarks.rollout_cache`.

7 chunks of 3 frames, 4 steps each, and what is needed to go on after a chunk: with the cache, one more forward that
writes it; without, nothing, but every forward computes the whole past again.
"""

from benchmarks.timing import Ratio, compare

# isort: split
import torch
from torch import Tensor

from fastgen_k8s.diffusion.schedule import add_noise
from fastgen_k8s.experiments.schema import Model
from fastgen_k8s.networks.load import build_student
from fastgen_k8s.networks.network import Cache, Network, x0

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
        "latent": (16, CHUNKS * CHUNK, 12, 12),
        "chunk_size": CHUNK,
    }
)
TIMES = MODEL.t_list[:-1]


def measure(pairs: int = 5) -> Ratio:
    """A whole rollout each way; both give the same clip."""
    student, noise = build_student(MODEL, None), torch.randn(1, *MODEL.latent)
    text = {"text": torch.randn(1, 8, 32)}
    with torch.inference_mode():
        difference = float((with_cache(student, noise, text) - recomputing(student, noise, text)).abs().max())
        assert difference < 1e-3, difference
        return compare(lambda: recomputing(student, noise, text), lambda: with_cache(student, noise, text), pairs)


def with_cache(student: Network, noise: Tensor, text: dict[str, Tensor]) -> Tensor:
    """Each chunk sees the past in the cache."""
    cache, made = Cache(), list[Tensor]()
    for eps in noise.split(CHUNK, dim=2):
        x = eps
        for i, t in enumerate(TIMES):
            x = add_noise(x, eps, torch.tensor([t])) if i else eps
            x = x0(student, x, torch.tensor([t]), text, cache=cache)
        x0(student, x, torch.zeros(1), text, cache=cache, write=True)
        made.append(x)
    return torch.cat(made, dim=2)


def recomputing(student: Network, noise: Tensor, text: dict[str, Tensor]) -> Tensor:
    """Each step computes the finished chunks at t = 0 again, in one pass with its own."""
    made = noise[:, :, :0]
    for eps in noise.split(CHUNK, dim=2):
        x, past = eps, made.shape[2]
        for i, t in enumerate(TIMES):
            x = add_noise(x, eps, torch.tensor([t])) if i else eps
            times = torch.cat([torch.zeros(1, past), torch.full((1, CHUNK), t)], dim=1)
            x = x0(student, torch.cat([made, x], dim=2), times, text)[:, :, past:]
        made = torch.cat([made, x], dim=2)
    return made


if __name__ == "__main__":
    torch.set_num_threads(1)
    print(measure().line(f"rollout of {CHUNKS} chunks of {len(TIMES)} steps, cache against recomputation", WANTED))
