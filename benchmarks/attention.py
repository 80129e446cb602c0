"""Block-causal attention as a loop over chunks, against one call with a dense mask: `python -m benchmarks.attention`.

7,560 tokens are 21 latent frames of 360 in 7 chunks of 3. Of 7 x 7 blocks of the mask 28 are allowed, so the loop can
be 49 / 28 = 1.75 times as fast at most; what a measurement shows beyond that is the cost of the mask itself. The mask
is given as the numbers that attention adds, which is the fastest way to give it.
"""

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from benchmarks.timing import Ratio, compare
from fastgen_k8s.diffusion.chunks import chunk_sizes
from fastgen_k8s.networks.causal_attention import attend_in_view, look_at_clip

FRAMES, TOKENS, CHUNK, HEADS, DIM = 21, 360, 3, 2, 128
WANTED = 1.5


def measure(pairs: int = 5) -> Ratio:
    """Forward and backward of both."""
    query, key, value = (torch.randn(1, FRAMES * TOKENS, HEADS, DIM, requires_grad=True) for _ in range(3))
    sight, mask = look_at_clip(chunk_sizes(FRAMES, CHUNK), None, 0), dense_mask()

    def by_mask() -> None:
        q, k, v = query.transpose(1, 2), key.transpose(1, 2), value.transpose(1, 2)
        backward(scaled_dot_product_attention(q, k, v, attn_mask=mask))

    def by_loop() -> None:
        backward(attend_in_view(query, key, value, sight))

    def backward(mixed: Tensor) -> None:
        torch.autograd.grad(mixed.sum(), (query, key, value))

    return compare(by_mask, by_loop, pairs)


def dense_mask() -> Tensor:
    """0 where a query may see a key, minus infinity elsewhere, [tokens, tokens]."""
    chunk = torch.arange(FRAMES * TOKENS) // (CHUNK * TOKENS)
    return torch.zeros(len(chunk), len(chunk)).masked_fill(chunk[:, None] < chunk[None, :], -torch.inf)


if __name__ == "__main__":
    torch.set_num_threads(1)  # with more on a busy machine OpenMP's barriers spin
    print(measure().line("block-causal attention, loop against dense mask", WANTED))
