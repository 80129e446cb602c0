# pyright: basic
"""The parts of a Cosmos teacher's folder that read prompts, real and tiny."""

from pathlib import Path

import torch
from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration, Qwen2Tokenizer
from transformers.utils import logging

from tests.networks import tiny

LAYERS, WIDTH = 2, 8
NUMBERS = LAYERS * WIDTH  # of all layers
_CHAT = "{% for said in messages %}<|im_start|>{{ said.role }} {{ said.content[0].text }}<|im_end|>{% endfor %}"


def qwen(folder: Path) -> Path:
    """`text_encoder/`, `tokenizer/` and a `transformer/` that projects for them."""
    logging.disable_progress_bar()
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    letters = [chr(code) for code in (*range(33, 127), 0x120)]  # 0x120 is how a space is written
    vocabulary = {word: number for number, word in enumerate([*special, *letters])}
    tokenizer = Qwen2Tokenizer(vocab=vocabulary, merges=[], pad_token=special[0], additional_special_tokens=special[1:])
    tokenizer.chat_template = _CHAT
    tokenizer.save_pretrained(folder / "tokenizer")
    text = {
        "vocab_size": len(tokenizer),
        "hidden_size": WIDTH,
        "intermediate_size": 16,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [1, 1, 0]},
    }
    vision = {"depth": 1, "hidden_size": 8, "intermediate_size": 8, "num_heads": 1, "out_hidden_size": WIDTH}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        encoder = Qwen2_5_VLForConditionalGeneration(Qwen2_5_VLConfig(text_config=text, vision_config=vision))
    encoder.save_pretrained(folder / "text_encoder")
    tiny.cosmos(crossattn_proj_in_channels=NUMBERS).save_pretrained(folder / "transformer")
    return folder
