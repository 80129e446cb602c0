# pyright: basic
"""`models add`: what no stage could read is refused by name before anything is copied, and links go where they may."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from fastgen_k8s.artifacts import open_artifact
from fastgen_k8s.artifacts.models import add_model
from fastgen_k8s.artifacts.teacher import tensor_names
from fastgen_k8s.errors import BadInput
from tests import teachers
from tests.conftest import Say

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 5680000000\n"
WEIGHTS = f"transformer/{teachers.WEIGHTS}"
SHARDED = "text_encoder/model.safetensors.index.json"


def replaced(name: str, data: bytes) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_bytes(data)


def renamed(name: str, to: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).rename(folder / name.replace(name.rpartition("/")[2], to))


def removed(name: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).unlink()


def emptied(part: str) -> Callable[[Path], object]:
    return lambda folder: [path.unlink() for path in (folder / part).iterdir()]


UNREADABLE: dict[str, tuple[Callable[[Path], object], str]] = {
    "weights left with Git LFS": (replaced(WEIGHTS, POINTER), rf"{WEIGHTS}: wanted .*, found a Git LFS pointer"),
    "settings left with Git LFS": (replaced("vae/config.json", POINTER), r"vae/config\.json: .* a Git LFS pointer"),
    "an index left with Git LFS": (replaced(SHARDED, POINTER), rf"{SHARDED}: .* a Git LFS pointer"),
    "a vocabulary left with Git LFS": (replaced("tokenizer/spiece.model", POINTER), r"spiece\.model: .* a Git LFS poi"),
    "one of several files missing": (
        removed("text_encoder/model-2.safetensors"),
        r"text_encoder: wanted model-2\.safetensors, found config\.json, model-1\.safetensors, model\.safetensors\.ind",
    ),
    "another file under a name": (
        replaced("text_encoder/model-2.safetensors", teachers.safetensors("c")),
        r"text_encoder/model-2\.safetensors: wanted b as model\.safetensors\.index\.json says, found no such",
    ),
    "an index of nothing": (replaced(SHARDED, b"{}"), r"index\.json: wanted a weight_map of file names, found none"),
    "an index of no weights": (
        replaced(SHARDED, teachers.index({})),
        r"text_encoder: wanted model\.safetensors, found ",
    ),
    "half a download": (
        replaced(WEIGHTS, teachers.safetensors("proj.weight")[:-2]),
        rf"{WEIGHTS}: wanted a whole safetensors file of [0-9]+ bytes, found [0-9]+",
    ),
    "half a header": (
        replaced(WEIGHTS, teachers.safetensors("proj.weight")[:20]),
        rf"{WEIGHTS}: wanted a whole safetensors file, found no header of one",
    ),
    "nothing in a file": (replaced(WEIGHTS, b""), rf"{WEIGHTS}: wanted a whole safetensors file, found no header"),
    "a download that goes on": (
        renamed(WEIGHTS, f"{teachers.WEIGHTS}.incomplete"),
        r"transformer: wanted .*, found config\.json, diffusion_pytorch_model\.safetensors\.incomplete",
    ),
    "weights as .bin alone": (
        renamed(f"vae/{teachers.WEIGHTS}", "diffusion_pytorch_model.bin"),
        r"vae: wanted .*, found config\.json, diffusion_pytorch_model\.bin",
    ),
    "weights of a variant alone": (
        renamed(WEIGHTS, "diffusion_pytorch_model.fp16.safetensors"),
        r"transformer: wanted .*, found config\.json, diffusion_pytorch_model\.fp16\.safetensors",
    ),
    "no settings": (removed("transformer/config.json"), r"transformer: wanted config\.json, found diffusion_pytorch"),
    "settings that are none": (
        replaced("vae/config.json", b"[]"),
        r"vae/config\.json: wanted a JSON object, found lis",
    ),
    "no vocabulary": (removed("tokenizer/tokenizer.json"), r"tokenizer: wanted tokenizer\.json or vocab\.json or "),
    "half a vocabulary": (replaced("tokenizer/tokenizer.json", b'{"a'), r"tokenizer/tokenizer\.json: wanted JSON, fou"),
    "no codec": (emptied("codec"), r"codec: wanted codec\.safetensors, found nothing"),
    "a file where a part is": (
        lambda folder: (emptied("vae")(folder), (folder / "vae").rmdir(), (folder / "vae").write_text("../blobs/vae")),
        r"vae: wanted a folder, found a file",
    ),
    "an empty part": (emptied("vae"), r"vae: wanted config\.json, found nothing"),
}


@pytest.mark.parametrize("case", UNREADABLE)
def test_what_no_stage_could_read_is_refused_by_name_before_anything_is_copied(case: str, tmp_path: Path) -> None:
    spoil, said = UNREADABLE[case]
    folder = teachers.write(tmp_path / "given")
    spoil(folder)
    with pytest.raises(BadInput, match=said) as found:
        add_model(folder, str(tmp_path / "model"))
    assert "\n" not in str(found.value)
    assert not (tmp_path / "model").exists()


def test_a_folder_in_which_nothing_is_amiss_is_taken_with_what_lies_beside(tmp_path: Path) -> None:
    beside = {
        "README.md": POINTER,
        "transformer/diffusion_pytorch_model.fp16.safetensors": POINTER,
    }  # nobody opens them
    teachers.write(teachers.write(tmp_path / "given"), beside)
    manifest = add_model(tmp_path / "given", str(tmp_path / "model"))
    assert set(manifest.files) == {*teachers.FILES, *beside}
    assert manifest.facts["parts"] == ["transformer", "text_encoder", "tokenizer", "vae", "codec"]


def test_weights_that_an_encoders_settings_name_are_those_that_are_opened(tmp_path: Path) -> None:
    named = {"text_encoder/config.json": json.dumps({"transformers_weights": "w.safetensors"}).encode()}
    teachers.write(tmp_path, named)
    with pytest.raises(BadInput, match=r"text_encoder: wanted w\.safetensors, found config\.json"):
        add_model(tmp_path, str(tmp_path / "model"))


def test_the_names_in_a_header_are_those_that_its_writer_put_there(tmp_path: Path) -> None:
    tensors = {"a.weight": torch.zeros(2, 3), "b": torch.zeros(0), "c": torch.ones(5, dtype=torch.bfloat16)}
    save_file(tensors, tmp_path / "some.safetensors", {"format": "pt"})
    assert tensor_names(tmp_path / "some.safetensors") == set(tensors)


# --- links ------------------------------------------------------------------------------------------------------------


def snapshot(cache: Path) -> Path:
    """A teacher as a hub's cache has it: links to contents, which lie beside the snapshots."""
    repository = cache / "models--someone--model"
    for number, (name, data) in enumerate(teachers.FILES.items()):
        teachers.write(repository, {f"blobs/{number}": data})
        link = repository / "snapshots/c0ffee" / name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(os.path.relpath(repository / f"blobs/{number}", link.parent))
    return repository / "snapshots/c0ffee"


def test_a_snapshot_of_a_hubs_cache_is_taken_through_its_links(tmp_path: Path) -> None:
    add_model(snapshot(tmp_path / "hub"), str(tmp_path / "model"))
    artifact = open_artifact(str(tmp_path / "model"), "model")
    assert {name: artifact.read(name) for name in artifact.manifest.files} == teachers.FILES


def test_links_to_files_and_folders_inside_are_followed(tmp_path: Path) -> None:
    folder = teachers.write(tmp_path / "given")
    (folder / "vae").rename(folder / "autoencoder")
    (folder / "vae").symlink_to("autoencoder")
    (folder / WEIGHTS).rename(folder / "weights")
    (folder / WEIGHTS).symlink_to("../weights")
    manifest = add_model(folder, str(tmp_path / "model"))
    assert manifest.files.keys() >= teachers.FILES.keys()


ELSEWHERE: dict[str, str] = {"a file": WEIGHTS, "a folder": "text_encoder"}


@pytest.mark.parametrize("case", ELSEWHERE)
def test_a_link_that_leads_elsewhere_is_refused_by_name_unless_it_may(case: str, tmp_path: Path, say: Say) -> None:
    name, folder = ELSEWHERE[case], teachers.write(tmp_path / "given")
    (folder / name).rename(tmp_path / "elsewhere")
    (folder / name).symlink_to(tmp_path / "elsewhere")
    words = ["models", "add", str(folder), "--to", str(tmp_path / "model")]
    code, _, err = say(*words)
    assert (code, (tmp_path / "model").exists()) == (65, False)
    assert f"{folder / name}: wanted what is inside the folder, found a link to {tmp_path / 'elsewhere'}" in err
    assert say(*words, "--follow-links")[0] == 0
    assert open_artifact(str(tmp_path / "model"), "model").manifest.files.keys() == teachers.FILES.keys()


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("gone", r"vae/more: wanted a file or a folder, found a link to nothing \(gone\)"),
        ("more", r"vae/more: wanted a file or a folder, found a link to nothing \(more\)"),
        ("..", r"vae/more: wanted a file or a folder, found a link to a folder that it lies in"),
    ],
    ids=["dangling", "to itself", "to above"],
)
@pytest.mark.parametrize("anywhere", [False, True])
def test_a_link_that_no_walk_can_follow_is_refused_by_name(
    target: str, said: str, anywhere: bool, tmp_path: Path
) -> None:
    folder = teachers.write(tmp_path / "given")
    (folder / "vae/more").symlink_to(target)
    with pytest.raises(BadInput, match=said):
        add_model(folder, str(tmp_path / "model"), follow_links=anywhere)


def test_what_is_hidden_is_neither_copied_nor_followed(tmp_path: Path) -> None:
    folder = teachers.write(tmp_path / "given", {**teachers.FILES, ".git/config": b""})
    (folder / ".cache").symlink_to("/nowhere")
    assert add_model(folder, str(tmp_path / "model")).files.keys() == teachers.FILES.keys()
