"""What stages open of a teacher's folder, and whether it can be read, as is asked before anything is copied.

Settings and indices are read whole, of weights the header: it says which tensors there are and where the file ends.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast

from pydantic import BaseModel, TypeAdapter, ValidationError

from fastgen_k8s.errors import BadInput

LARGEST_TEXT = 64 << 20
"""Bytes of a file of settings or of a vocabulary; the largest tokenizer.json that people have is of 35 MB."""
WEIGHTS = "diffusion_pytorch_model.safetensors"
INDEX = ".index.json"  # follows the name that weights have in one file
_ENCODER, _CODEC = "model.safetensors", "codec.safetensors"
_LARGEST_HEADER = 100_000_000  # bytes, by the format's own rule
_VOCABULARIES = ("tokenizer.json", "vocab.json", "vocab.txt", "spiece.model", "tokenizer.model")
_TOKENS = ("added_tokens.json", "special_tokens_map.json")
_POINTER = b"version https://git-lfs.github.com/spec/"


class Given(NamedTuple):
    """The files of a folder by their names in it, and how to call the folder."""

    files: Mapping[str, Path]
    where: str

    def path(self, *names: str) -> Path:
        """The first of some files that is there; BadInput when none is."""
        found = next((name for name in names if name in self.files), None)
        if found is None:
            part = names[0].rpartition("/")[0]
            beside = sorted(name.removeprefix(f"{part}/") for name in self.files if name.startswith(f"{part}/"))
            wanted = " or ".join(name.removeprefix(f"{part}/") for name in names)
            raise BadInput(f"{self.where}/{part}: wanted {wanted}, found {', '.join(beside) or 'nothing'}")
        return self.files[found]


def check_parts(parts: Sequence[str], given: Given) -> None:
    """Open every file that a stage opens of these parts; BadInput names the first that cannot be read."""
    for part in parts:
        PARTS[part](given, part)


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object in a file."""
    check_small(path)
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise BadInput(f"{path}: wanted a file, found none") from error
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{path}: wanted JSON, found {_pointer(path) or error}") from error
    if not isinstance(data, dict):
        raise BadInput(f"{path}: wanted a JSON object, found {type(data).__name__}")
    return cast("dict[str, Any]", data)


def check_small(path: Path) -> None:
    """Refuse a file of text that would take much memory (BadInput); an absent one is not large."""
    if path.is_file() and (size := path.stat().st_size) > LARGEST_TEXT:
        raise BadInput(f"{path}: wanted at most {LARGEST_TEXT >> 20} MiB, found {size >> 20}")


def weight_map(index: Path) -> dict[str, str]:
    """Which file beside an index holds which weight."""
    found = read_json(index).get("weight_map")
    names = cast("dict[str, object]", found) if isinstance(found, dict) else {"": None}
    if not all(isinstance(name, str) for name in names.values()):
        raise BadInput(f"{index}: wanted a weight_map of file names, found none")
    return {weight: Path(str(name)).name for weight, name in names.items()}


class _Place(BaseModel):
    """Where the numbers of a tensor lie, in bytes after the header."""

    data_offsets: tuple[int, int]


_PLACES = TypeAdapter(dict[str, _Place])


def tensor_names(path: Path) -> frozenset[str]:
    """The names of the tensors in a safetensors file, of which the header is read; BadInput for one that is cut."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        header = file.read(length) if length <= _LARGEST_HEADER else b""
    try:
        held = cast("dict[str, object]", json.loads(header))
        places = _PLACES.validate_python({name: value for name, value in held.items() if name != "__metadata__"})
    except (ValueError, RecursionError, AttributeError, ValidationError) as error:
        found = _pointer(path) or "no header of one"
        raise BadInput(f"{path}: wanted a whole safetensors file, found {found}") from error
    wanted = 8 + length + max((place.data_offsets[1] for place in places.values()), default=0)
    if (size := path.stat().st_size) != wanted:
        raise BadInput(f"{path}: wanted a whole safetensors file of {wanted:,} bytes, found {size:,}")
    return frozenset(places)


def _diffusers(given: Given, part: str) -> None:
    read_json(given.path(f"{part}/config.json"))
    _weights(given, part, given.path(f"{part}/{WEIGHTS}{INDEX}", f"{part}/{WEIGHTS}"))


def _encoder(given: Given, part: str) -> None:
    named = read_json(given.path(f"{part}/config.json")).get("transformers_weights")
    names = (named,) if isinstance(named, str) else (_ENCODER, f"{_ENCODER}{INDEX}")
    _weights(given, part, given.path(*(f"{part}/{name}" for name in names)))


def _weights(given: Given, part: str, found: Path) -> None:
    """The one file of weights, or those that an index names, with the weights that it says."""
    files = dict[str, set[str]]()
    for weight, file in (weight_map(found) if found.name.endswith(INDEX) else {}).items():
        files.setdefault(file, set()).add(weight)
    for file, weights in sorted(files.items()) or [(found.name.removesuffix(INDEX), set[str]())]:
        missing = weights - tensor_names(given.path(f"{part}/{file}"))
        if missing:
            raise BadInput(f"{given.where}/{part}/{file}: wanted {min(missing)} as {found.name} says, found no such")


def _tokenizer(given: Given, part: str) -> None:
    read_json(given.path(f"{part}/tokenizer_config.json"))
    given.path(*(f"{part}/{name}" for name in _VOCABULARIES))
    for path in (path for name, path in given.files.items() if name.startswith(f"{part}/")):
        if found := _pointer(path):
            raise BadInput(f"{path}: wanted a tokenizer's file, found {found}")
        if path.suffix == ".json" and path.name in (*_VOCABULARIES, *_TOKENS):
            read_json(path)


def _codec(given: Given, part: str) -> None:
    tensor_names(given.path(f"{part}/{_CODEC}"))


def _pointer(path: Path) -> str | None:
    """What to do about a file whose content was left with Git LFS; None for any other."""
    with path.open("rb") as file:
        is_one = file.read(len(_POINTER)) == _POINTER
    return "a Git LFS pointer: `git lfs pull` gets what it stands for" if is_one else None


PARTS: Mapping[str, Callable[[Given, str], None]] = {
    "transformer": _diffusers,
    "text_encoder": _encoder,
    "tokenizer": _tokenizer,
    "vae": _diffusers,
    "codec": _codec,
}
"""The parts that we read, and how each is looked at."""
