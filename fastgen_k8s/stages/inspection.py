"""What is this file or artifact: `fastgen-k8s inspect URI`, in a process of its own because it reads tensors."""

import json
import signal
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from torch import Tensor

from fastgen_k8s.artifacts import Artifact, find_artifact, store_at
from fastgen_k8s.artifacts.manifest import CLAIM, MOST_BYTES, Claim, from_json
from fastgen_k8s.artifacts.single import DESCRIBED, find_file, find_folder, is_folder, start_of
from fastgen_k8s.artifacts.teacher import read_json
from fastgen_k8s.errors import BadInput, FastgenError, failed_io, refuse
from fastgen_k8s.networks.dcp import read_whole
from fastgen_k8s.networks.dcp_description import describe
from fastgen_k8s.networks.folder import finite, read_component
from fastgen_k8s.networks.foreign import read_every
from fastgen_k8s.networks.pth import dense, from_pth
from fastgen_k8s.printable import clean
from fastgen_k8s.training.checkpoint import verified_folder
from fastgen_k8s.training.committed import newest

_WEIGHTS = (".pt", ".pth", ".safetensors", ".ckpt", ".bin")
_LONGEST = 120  # characters of a fact


def inspect(uri: str) -> Iterator[str]:
    """What is known about a URI, a line each; BadInput when it is torn or nothing that we know."""
    artifact = find_artifact(uri)
    if artifact is not None:
        yield from _artifact(artifact)
    elif (claim := store_at(uri).get(CLAIM, MOST_BYTES)) is not None:
        yield from _unfinished(uri, from_json(Claim, claim, f"{uri}/{CLAIM}"))
    elif (folder := Path(uri.removeprefix("file://"))).is_dir():
        yield from _folder(folder)
    elif (checkpoint := find_folder(uri)) is not None:
        yield from _dcp(checkpoint.path)
    elif (path := find_file(uri)) is None:
        raise BadInput(f"{uri}: wanted an artifact or a file, found {'other files' if is_folder(uri) else 'nothing'}")
    elif path.suffix in _WEIGHTS:
        yield from _file(path)
    else:
        raise BadInput(
            f"{uri}: wanted an artifact or tensors, found a file that starts with {start_of(str(path), 24)!r}"
        )


def _artifact(artifact: Artifact) -> Iterator[str]:
    manifest = artifact.manifest
    yield f"artifact: {manifest.kind} {manifest.digest[:16]}"
    for name, digest in manifest.inputs.items():
        yield f"input {name}: {digest[:16]}"
    for name, value in manifest.facts.items():
        text = json.dumps(value)
        yield f"{name}: {text if len(text) <= _LONGEST else text[:_LONGEST] + ' ...'}"
    for name in manifest.files:
        path = _whole(artifact, name)
        if path.suffix in _WEIGHTS and manifest.kind in ("weights", "model"):
            for _, found in read_every(path):
                yield from (f"{name}: {line}" for line in _tensors(found.state))
    if manifest.kind == "training":
        folder = verified_folder(artifact)
        yield from _roles(read_whole(folder, ""), folder)
    size = sum(file.size for file in manifest.files.values())
    yield f"whole: {len(manifest.files)} files, {size:,} bytes, every sha256 as the manifest says"


def _whole(artifact: Artifact, name: str) -> Path:
    try:
        return artifact.local(name)
    except BadInput as error:
        raise BadInput(f"{artifact.uri}/{name}: torn: its bytes are not those that the manifest names") from error


def _unfinished(uri: str, claim: Claim) -> Iterator[str]:
    yield f"unfinished: {claim.kind} {claim.digest[:16]}"
    if claim.kind == "training":
        checkpoint = newest(store_at(uri))
        yield "no checkpoint yet" if checkpoint is None else f"newest whole checkpoint: step {checkpoint.step}"


def _dcp(path: Path) -> Iterator[str]:
    yield "folder: a DCP checkpoint"
    names = describe(path).tensors
    if "step" in names and any(".weights." in name for name in names):  # one of our own trainings
        yield from _roles(read_whole(path, ""), path)
    else:
        yield from _weights(path)
    yield "whole"


def _folder(path: Path) -> Iterator[str]:
    if (path / DESCRIBED).is_file():
        yield from _dcp(path)
        return
    if (path / "transformer" / "config.json").is_file():
        named = read_json(path / "transformer" / "config.json")
        yield f"folder: diffusers, {named.get('_class_name', 'a transformer')}"
        yield from _tensors(read_component(path / "transformer"))
        yield "whole"
        return
    inside = [child for child in sorted(path.iterdir()) if (child / CLAIM).is_file()]
    if not inside:
        raise BadInput(f"{path}: wanted an artifact, a DCP or a diffusers folder, found none of them")
    for child in inside:
        yield f"{child.name}:"
        yield from (f"  {line}" for line in inspect(str(child)))


def _file(path: Path) -> Iterator[str]:
    if path.is_file() and path.suffix == ".pth":
        value = from_pth(path, str(path))
        if isinstance(value, Tensor):
            yield f"file: one tensor {list(value.shape)} {_name(dense(value, str(path)))}"
            yield "whole"
            return
    yield f"file: weights, {path.suffix}"
    yield from _weights(path)
    yield "whole"


def _weights(path: Path) -> Iterator[str]:
    """Each network's weights; what else a checkpoint holds is not counted."""
    every = read_every(path)
    for number, (name, found) in enumerate(every):
        if number == 0:
            yield f"layout: {found.layout}"
            if found.step is not None:
                yield f"step: {found.step}"
        else:
            yield f"beside it: {name}"
        yield from _tensors(found.state)


def _roles(state: Mapping[str, Tensor], where: Path) -> Iterator[str]:
    """A checkpoint of our own trainings, which hold `<role>.weights.<name>` besides the optimisers' state."""
    if "step" not in state or state["step"].numel() != 1:
        raise BadInput(f"{where}: wanted a training's checkpoint with its step, found none")
    yield f"step: {int(state['step'])}"
    for part in ("weights", "ema"):
        parts = [name.partition(f".{part}.") for name in state]
        for role in dict.fromkeys(role for role, found, _ in parts if found):
            weights = {name: value for name, value in state.items() if name.startswith(f"{role}.{part}.")}
            yield from (f"{role} {part}: {line}" for line in _tensors(weights))


def _tensors(state: Mapping[str, Tensor]) -> Iterator[str]:
    count = sum(value.numel() for value in state.values())
    kinds = ", ".join(sorted({_name(value) for value in state.values()}))
    yield f"{count:,} parameters in {len(state)} tensors, {kinds}"
    odd = [name for name, value in state.items() if not finite(value)]
    if odd:
        yield f"not finite: {', '.join(odd[:5])}"


def _name(value: Tensor) -> str:
    return str(value.dtype).removeprefix("torch.")


def main(words: list[str]) -> int:
    """Print what is known of a URI, cleaned unless `--raw` follows; the exit code of what is wrong with it."""
    uri, *options = words
    try:
        for line in inspect(uri):
            print(line if options else clean(line))
    except FastgenError as error:
        return refuse(error)
    except OSError as error:
        return refuse(failed_io(error))
    return 0


if __name__ == "__main__":
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # a reader that has seen enough is no error
    sys.exit(main(sys.argv[1:]))
