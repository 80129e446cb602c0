"""Folders like a teacher's for whoever opens settings, indices and headers alone: there is no network in them."""

import json
from collections.abc import Mapping
from pathlib import Path

WEIGHTS = "diffusion_pytorch_model.safetensors"


def safetensors(*names: str) -> bytes:
    """A file with one number under each name."""
    header = {
        name: {"dtype": "F32", "shape": [1], "data_offsets": [4 * place, 4 * place + 4]}
        for place, name in enumerate(names)
    }
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + bytes(4 * len(names))


def index(files: Mapping[str, str]) -> bytes:
    """What says which file holds which weight."""
    return json.dumps({"metadata": {}, "weight_map": dict(files)}).encode()


FILES: Mapping[str, bytes] = {
    "transformer/config.json": b"{}",
    f"transformer/{WEIGHTS}": safetensors("proj.weight"),
    "text_encoder/config.json": b"{}",
    "text_encoder/model.safetensors.index.json": index({"a": "model-1.safetensors", "b": "model-2.safetensors"}),
    "text_encoder/model-1.safetensors": safetensors("a"),
    "text_encoder/model-2.safetensors": safetensors("b"),
    "tokenizer/tokenizer_config.json": b"{}",
    "tokenizer/tokenizer.json": b"{}",
    "vae/config.json": b"{}",
    f"vae/{WEIGHTS}": safetensors("conv.weight"),
    "codec/codec.safetensors": safetensors("basis"),
}
"""A folder in which nothing is amiss."""


def write(folder: Path, files: Mapping[str, bytes] = FILES) -> Path:
    """These files below a folder."""
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder
