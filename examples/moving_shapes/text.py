"""Build the demo's text encoder: a frozen UMT5 with random weights, and a tokeniser from a list of words."""
# pyright: basic

from pathlib import Path

import torch
from transformers import T5Tokenizer, UMT5Config, UMT5EncoderModel

from examples.moving_shapes.shapes import COLOURS, DIRECTIONS, SHAPES

SPECIAL = ("<pad>", "</s>", "<unk>")
WORDS = ("a", *COLOURS, *SHAPES, "moving", *DIRECTIONS)
WIDTH = 32


def tokenizer() -> T5Tokenizer:
    """One token a word; other words are unknown."""
    vocabulary = [(token, 0.0) for token in SPECIAL] + [("▁", -2.0)] + [(f"▁{word}", -1.0) for word in WORDS]
    return T5Tokenizer(vocab=vocabulary, extra_ids=0)


def encoder(seed: int = 0) -> UMT5EncoderModel:
    """Two random layers: enough to give each prompt an encoding of its own."""
    config = UMT5Config(
        vocab_size=len(SPECIAL) + 1 + len(WORDS),
        d_model=WIDTH,
        d_kv=WIDTH // 4,
        d_ff=2 * WIDTH,
        num_layers=2,
        num_heads=4,
        dropout_rate=0.0,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return UMT5EncoderModel(config).eval()


def write(folder: Path) -> None:
    """Write `text_encoder/` and `tokenizer/` under the teacher's folder."""
    encoder().save_pretrained(folder / "text_encoder")
    tokenizer().save_pretrained(folder / "tokenizer")
