# pyright: basic
"""A teacher's folder as diffusers writes it, with every component real and tiny."""

from pathlib import Path

import torch
from diffusers.models.autoencoders.autoencoder_kl_wan import AutoencoderKLWan
from safetensors.torch import save_file
from transformers import T5Tokenizer, UMT5Config, UMT5EncoderModel
from transformers.utils import logging

from tests.networks import tiny

WORDS = ["a", "red", "blue", "disc", "moving", "left", "right"]


def transformer(folder: Path, **changes: object) -> Path:
    """`transformer/` of a tiny Wan."""
    tiny.wan(**changes).save_pretrained(folder / "transformer")
    return folder


def in_several_files(folder: Path) -> Path:
    """`transformer/` of a tiny Wan as diffusers writes a large one."""
    tiny.wan().save_pretrained(folder / "transformer", max_shard_size="10KB")
    assert len(list((folder / "transformer").glob("*.safetensors"))) > 1
    return folder


def text_encoder(folder: Path) -> Path:
    """`text_encoder/` and `tokenizer/` of a tiny UMT5 that knows a few words."""
    logging.disable_progress_bar()
    vocabulary = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", -9.0), *((f"▁{word}", -1.0) for word in WORDS)]
    T5Tokenizer(vocab=vocabulary, extra_ids=0).save_pretrained(folder / "tokenizer")
    config = UMT5Config(vocab_size=len(vocabulary), d_model=tiny.TEXT, d_kv=4, d_ff=8, num_layers=1, num_heads=2)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        UMT5EncoderModel(config).save_pretrained(folder / "text_encoder")
    return folder


def vae(folder: Path) -> Path:
    """`vae/` of a tiny Wan autoencoder of 4 channels, 4 frames in one and 8 x 8 pixels in one."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        autoencoder = AutoencoderKLWan(
            base_dim=4,
            z_dim=4,
            dim_mult=[1, 1, 1, 1],
            num_res_blocks=1,
            temperal_downsample=[False, True, True],
            latents_mean=[0.1, 0.2, 0.3, 0.4],
            latents_std=[1.0, 2.0, 3.0, 4.0],
        )
    autoencoder.save_pretrained(folder / "vae")
    return folder


def codec(folder: Path, channels: int = 24) -> Path:
    """`codec/` with an orthonormal basis."""
    basis = torch.linalg.qr(torch.randn(192, 192, generator=torch.Generator().manual_seed(0))).Q[:channels]
    (folder / "codec").mkdir(parents=True)
    tensors = {"basis": basis.contiguous(), "mean": torch.full((192,), 0.1), "scale": torch.linspace(1, 2, channels)}
    save_file(tensors, folder / "codec" / "codec.safetensors")
    return folder
