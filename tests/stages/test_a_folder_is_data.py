"""A DCP folder that says more than data is refused in one line by whoever reads one, and changes nothing."""
# pyright: basic

import io
import json
import pickle
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.distributed.checkpoint import filesystem, metadata
from torch.distributed.checkpoint.metadata import BytesStorageMetadata, Metadata

from fastgen_k8s.artifacts import FileEntry, begin, store_at
from fastgen_k8s.errors import BadInput
from fastgen_k8s.experiments import get_experiment
from fastgen_k8s.experiments.schema import Train
from fastgen_k8s.networks.dcp import read_into, read_whole
from fastgen_k8s.networks.foreign import read_weights
from fastgen_k8s.stages.inspection import inspect
from fastgen_k8s.stages.student import made_for
from fastgen_k8s.training.checkpoint import Checkpoints, resume, tensors
from fastgen_k8s.training.parallel import World, join
from tests.conftest import run_stage
from tests.training.toy import Toy, fresh

pytestmark = pytest.mark.filterwarnings("ignore:torch.distributed is disabled")
SETTINGS = Train(steps=8, global_batch=4)
MANIFEST, FOLDER = "checkpoints/step-00000000.json", "checkpoints/0001-aa/00000000"
KD = "closed_form/gaussian_kd"
WEIGHT = "student.weights.weight"
LARGE = 64 << 20  # numbers, in a folder of a few kilobytes


@pytest.fixture(scope="module")
def alone() -> Iterator[World]:
    """A process that has met itself."""
    with join(torch.device("cpu"), "float32", 60) as world:
        yield world


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, alone: World) -> Path:
    """A training with one checkpoint."""
    path = tmp_path_factory.mktemp("training") / "place"
    writer = Checkpoints(store_at(str(path)), alone, "0001-aa", 2, {})
    writer.save(fresh(Toy(), SETTINGS))
    writer.wait()
    return path


@pytest.fixture
def place(whole: Path, tmp_path: Path) -> Path:
    """A copy of the training, to be spoilt."""
    return Path(shutil.copytree(whole, tmp_path / "place"))


class Touch:
    """A pickle that wants to make a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


def rewritten(change: Callable[[Metadata, Path], object]) -> Callable[[Path], None]:
    """Change what a folder's metadata say."""

    def rewrite(folder: Path) -> None:
        said = pickle.loads((folder / ".metadata").read_bytes())
        change(said, folder)
        (folder / ".metadata").write_bytes(pickle.dumps(said))

    return rewrite


def tensor(said: Metadata) -> Any:
    return said.state_dict_metadata[WEIGHT]


def stored(said: Metadata) -> Any:
    """Where the weight is."""
    return next(info for index, info in said.storage_data.items() if index.fqn == WEIGHT)


def elsewhere(said: Metadata, folder: Path, name: str) -> None:
    """Move the data next to the folder, and name them there."""
    (folder / stored(said).relative_path).rename(folder.parent / "elsewhere.distcp")
    for info in said.storage_data.values():
        info.relative_path = name


def linked(said: Metadata, folder: Path) -> None:
    name = stored(said).relative_path
    elsewhere(said, folder, name)
    (folder / name).symlink_to(folder.parent / "elsewhere.distcp")


def larger(said: Metadata, folder: Path) -> None:
    tensor(said).size = tensor(said).chunks[0].sizes = torch.Size([1, LARGE])


def twice(said: Metadata, folder: Path) -> None:
    """Every tensor in the bytes of one."""
    for info in said.storage_data.values():
        info.offset, info.length = stored(said).offset, stored(said).length


def named_by_a_number(said: Metadata) -> None:
    entries: dict[Any, Any] = said.state_dict_metadata
    entries[7] = tensor(said)


def called(folder: Path) -> None:
    (folder / ".metadata").write_bytes(pickle.dumps(Touch(folder.parents[2] / "marker")))


def class_changed(folder: Path) -> None:
    """The name of a class, and an attribute to be set on what stands behind it."""
    name = pickle.dumps(metadata.TensorProperties, protocol=4).removesuffix(b".")
    state = pickle.dumps((None, {"fastgen_was_here": 1}), protocol=2)[2:].removesuffix(b".")
    (folder / ".metadata").write_bytes(name + state + pickle.BUILD + b".")


def pickled(folder: Path) -> None:
    """An object of its own under the name of a tensor, which makes a file when it is unpickled."""
    said = pickle.loads((folder / ".metadata").read_bytes())
    (folder / "object.distcp").write_bytes(torch_pickle(Touch(folder.parents[2] / "marker")))
    size = (folder / "object.distcp").stat().st_size
    said.state_dict_metadata[WEIGHT] = BytesStorageMetadata()
    said.storage_data[metadata.MetadataIndex(WEIGHT)] = filesystem._StorageInfo("object.distcp", 0, size)
    (folder / ".metadata").write_bytes(pickle.dumps(said))


def torch_pickle(value: object) -> bytes:
    written = io.BytesIO()
    torch.save(value, written)
    return written.getvalue()


SAID: dict[str, tuple[Callable[[Path], None], str]] = {
    "a call": (
        called,
        r"a pickle that wants pathlib\.Path\.touch",
    ),
    "a change of a class": (class_changed, "a pickle that changes what it did not make"),
    "a file above the folder": (
        rewritten(lambda said, folder: elsewhere(said, folder, "../elsewhere.distcp")),
        "a file outside the folder",
    ),
    "an absolute file": (
        rewritten(lambda said, folder: elsewhere(said, folder, str(folder.parent / "elsewhere.distcp"))),
        "a file outside the folder",
    ),
    "a link that leaves the folder": (rewritten(linked), "a file outside the folder|a link that leads out"),
    "more numbers than bytes": (rewritten(larger), rf"a part \[1, {LARGE}\] of {WEIGHT} in \d+ bytes"),
    "bytes that count twice": (rewritten(twice), "two parts in the same bytes"),
    "bytes behind the end": (
        rewritten(lambda said, folder: setattr(stored(said), "length", LARGE)),
        rf"{LARGE} bytes from \d+ on in __0_0.distcp, which has \d+",
    ),
    "a part outside its tensor": (
        rewritten(lambda said, folder: setattr(tensor(said), "size", torch.Size([1, 4]))),
        rf"a part \[1, 5\] from \[0, 0\] on in {WEIGHT}, which is \[1, 4\]",
    ),
    "a tensor with a hole": (
        rewritten(lambda said, folder: setattr(tensor(said), "size", torch.Size([2, 5]))),
        rf"parts of {WEIGHT} that do not make up its \[2, 5\]",
    ),
    "a size below nothing": (
        rewritten(lambda said, folder: setattr(tensor(said), "size", torch.Size([-1, 5]))),
        "'-1' where a count was wanted",
    ),
    "a name that is none": (
        rewritten(lambda said, folder: named_by_a_number(said)),
        "a name that is int",
    ),
    "a field of its own": (
        rewritten(lambda said, folder: setattr(tensor(said), "more", 1)),
        "TensorStorageMetadata with other fields",
    ),
    "another type than is stored": (
        rewritten(lambda said, folder: setattr(tensor(said).properties, "dtype", torch.int32)),
        r"wanted a part \[1, 5\] torch\.int32 as in \.metadata, found \[1, 5\] torch\.float32",
    ),
}


def into(place: Path, alone: World) -> None:
    read_into(dict(tensors(fresh(Toy(), SETTINGS))), place / FOLDER)


def bridged(place: Path, alone: World) -> None:
    """Out of a training that ended with this checkpoint."""
    model = get_experiment(KD).model
    writer = begin(f"{place}-ended", "training", "d" * 64, {})
    for path in (place / FOLDER).iterdir():
        writer.put(f"{FOLDER}/{path.name}", path.read_bytes())
        if path.is_symlink():
            (Path(f"{place}-ended") / FOLDER / path.name).unlink()
            (Path(f"{place}-ended") / FOLDER / path.name).symlink_to(path.resolve())
    of = {"method": "regression", "roles": ["student"], "steps": 1, "seed": 0, "ema": False, "step": 0}
    writer.commit({**made_for(model).said(), **of})
    run_stage("bridge", KD, place.parent / "weights", checkpoint=Path(f"{place}-ended"))


READERS: dict[str, Callable[[Path, World], object]] = {
    "read_into": into,
    "read_whole": lambda place, alone: read_whole(place / FOLDER, "student."),
    "inspect": lambda place, alone: list(inspect(str(place / FOLDER))),
    "resume": lambda place, alone: resume(store_at(str(place)), fresh(Toy(), SETTINGS), alone),
    "bridge": bridged,
    "a bridge of foreign weights": lambda place, alone: read_weights(place / FOLDER),
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("case", SAID)
def test_a_folder_that_says_more_than_data_is_refused_in_one_line_and_changes_nothing(
    place: Path, alone: World, case: str, reader: str
) -> None:
    spoil, found = SAID[case]
    spoil(place / FOLDER)
    _sign_again(place)
    before = attributes()
    with pytest.raises(BadInput, match=found) as error:
        READERS[reader](place, alone)
    assert "\n" not in str(error.value)
    assert attributes() == before
    assert not (place.parent / "marker").exists()


@pytest.mark.parametrize("reader", ["read_into", "resume"])
def test_a_pickled_object_under_the_name_of_a_tensor_is_refused(place: Path, alone: World, reader: str) -> None:
    pickled(place / FOLDER)
    _sign_again(place)
    with pytest.raises(BadInput, match=rf"wanted tensors, found a pickled object under '{WEIGHT}'"):
        READERS[reader](place, alone)
    assert not (place.parent / "marker").exists()


@pytest.mark.parametrize("reader", ["read_whole", "inspect"])
def test_a_pickled_object_that_nobody_asks_for_is_left_alone(place: Path, alone: World, reader: str) -> None:
    pickled(place / FOLDER)
    _sign_again(place)
    READERS[reader](place, alone)
    assert not (place.parent / "marker").exists()


@pytest.mark.parametrize("reader", ["read_into", "read_whole", "inspect", "resume"])
def test_a_folder_of_tensors_alone_is_read(place: Path, alone: World, reader: str) -> None:
    READERS[reader](place, alone)


def attributes() -> dict[str, dict[str, object]]:
    """What hangs on the classes that metadata may name."""
    named = [*vars(metadata).values(), filesystem._StorageInfo, torch.Size, torch.serialization._get_layout, Path]
    return {
        str(value): {name: id(one) for name, one in vars(value).items()}
        for value in named
        if callable(value) and hasattr(value, "__dict__")
    }


def _sign_again(place: Path) -> None:
    """Make the manifest fit changed files, as one who means harm would."""
    manifest = json.loads((place / MANIFEST).read_text())
    for name in list(manifest["files"]):
        if (place / name).is_file():
            manifest["files"][name] = FileEntry.of_file(place / name).model_dump(mode="json")
        else:
            del manifest["files"][name]
    (place / MANIFEST).write_text(json.dumps(manifest))
