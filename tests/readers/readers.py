# pyright: basic
"""Every reader of ours with small valid files for it: what it is called with, and which of them are changed."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch.distributed.checkpoint.filesystem import FileSystemWriter
from torch.distributed.checkpoint.state_dict_saver import save

from fastgen_k8s.artifacts import begin, find_artifact
from fastgen_k8s.data.conditions import Conditions, write_conditions
from fastgen_k8s.data.prompts import read_prompts
from fastgen_k8s.experiments import get_experiment
from fastgen_k8s.networks.foreign import read_weights
from fastgen_k8s.networks.pretrained import read_tokenizer
from fastgen_k8s.pipeline.spec import read_pipeline
from fastgen_k8s.stages.inspection import inspect
from tests.networks import folders

EXAMPLE = Path(__file__).parents[2] / "manifests/pipelines/closed-form-gaussian.yaml"
STATE = {"a.weight": torch.arange(6.0).view(2, 3), "b": torch.tensor([1, 2])}


@dataclass(frozen=True)
class Reader:
    """Valid files in a folder, the names of those that are changed, and what reads one of them there."""

    make: Callable[[Path], object]
    changed: tuple[str, ...]
    read: Callable[[Path, str], object]


def _pth(folder: Path) -> None:
    whole = {"model": {"net": STATE}, "optimizer": {"state": {0: {"step": 3.0}}}, "iteration": np.int64(10)}
    torch.save(whole, folder / "x.pth")
    torch.save(STATE, folder / "old.pth", _use_new_zipfile_serialization=False)
    torch.save(torch.nn.Parameter(torch.zeros(3)), folder / "one.pth")


def _dcp(folder: Path) -> None:
    save({**STATE, "step": torch.tensor(3)}, storage_writer=FileSystemWriter(folder), no_dist=True)


def _safetensors(folder: Path) -> None:
    save_file(STATE, folder / "x.safetensors")
    folders.in_several_files(folder)


def _artifact(folder: Path) -> None:
    writer = begin(str(folder), "conditions", "0" * 64, {"prompts": "1" * 64})
    text = {"text": torch.zeros(1, 1, 2)}
    write_conditions(writer, ["a", "b"], [text, text], text, text)
    writer.commit({"prompts": 2})


def _read_artifact(folder: Path, name: str) -> None:
    list(inspect(str(folder)))
    artifact = find_artifact(str(folder))
    if artifact is not None:
        Conditions(artifact).batch([0, 1])


def _prompts(folder: Path) -> None:
    (folder / "x.txt").write_text("a red disc\nein blauer Kreis – schön\n")
    (folder / "x.jsonl").write_text('{"prompt": "a red disc", "seed": 12}\n{"prompt": "\\u00e9t\\u00e9"}\n')


def _yaml(folder: Path) -> None:
    (folder / "pipeline.yaml").write_bytes(EXAMPLE.read_bytes())
    (folder / "override").write_text("train.ema={decay: 0.99, start: 10}")


def _read_yaml(folder: Path, name: str) -> None:
    if name == "override":
        get_experiment("closed_form/gaussian_kd").override((folder / name).read_text(errors="replace"))
    else:
        read_pipeline(folder / name)


READERS = {
    "pth": Reader(_pth, ("x.pth", "old.pth", "one.pth"), lambda folder, name: list(inspect(str(folder / name)))),
    "DCP": Reader(_dcp, (".metadata", "__0_0.distcp"), lambda folder, name: list(inspect(str(folder)))),
    "safetensors": Reader(
        _safetensors,
        ("x.safetensors", "transformer/diffusion_pytorch_model.safetensors.index.json", "transformer/config.json"),
        lambda folder, name: read_weights(folder / name) if name == "x.safetensors" else list(inspect(str(folder))),
    ),
    "manifest": Reader(_artifact, ("artifact.json", "work.json", "prompts.json"), _read_artifact),
    "prompts": Reader(_prompts, ("x.txt", "x.jsonl"), lambda folder, name: read_prompts(folder / name)),
    "YAML": Reader(_yaml, ("pipeline.yaml", "override"), _read_yaml),
    "tokenizer": Reader(
        folders.text_encoder,
        ("tokenizer/tokenizer.json", "tokenizer/tokenizer_config.json"),
        lambda folder, name: read_tokenizer(folder / "tokenizer"),
    ),
}
