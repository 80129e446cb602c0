"""A whole DCP folder as an input: hashed, planned with, bridged and trained from, in a folder and on S3."""
# pyright: basic

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.distributed.checkpoint.filesystem import FileSystemWriter
from torch.distributed.checkpoint.state_dict_saver import save

from components.bridge import bridge
from fastgen_k8s.artifacts import FileEntry, store_at
from fastgen_k8s.artifacts.manifest import TooLarge
from fastgen_k8s.artifacts.s3_client import client
from fastgen_k8s.artifacts.single import MOST_PARTS, find_input, input_digest
from fastgen_k8s.config import digest
from fastgen_k8s.errors import BadInput
from fastgen_k8s.experiments import get_experiment
from fastgen_k8s.networks.load import build_student, weights
from fastgen_k8s.pipeline.resolve import resolve
from fastgen_k8s.pipeline.spec import Pipeline
from fastgen_k8s.stages import train
from fastgen_k8s.stages.inspection import inspect
from fastgen_k8s.stages.student import student_state
from tests.conftest import job_of, run_stage
from tests.s3_server import BUCKET, Server

pytestmark = pytest.mark.filterwarnings("ignore:torch.distributed is disabled")
KD, SF = "closed_form/gaussian_kd", "closed_form/gaussian_sf"
STATE: dict[str, Tensor] = weights(build_student(get_experiment(KD).model, None))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A checkpoint of 2000 steps with a step beside the weights."""
    held = {f"net.{name}": value for name, value in STATE.items()} | {"seen": torch.tensor(7)}
    save(held, storage_writer=FileSystemWriter(tmp_path / "0002000.net_model"), no_dist=True)
    return tmp_path / "0002000.net_model"


def ours(folder: Path, place: str) -> str:
    """The folder on S3 as this package puts files there."""
    for path in folder.iterdir():
        store_at(place).upload(f"{folder.name}/{path.name}", path, FileEntry.of_file(path))
    return f"{place}/{folder.name}"


def foreign(folder: Path, place: str) -> str:
    """The folder on S3 as others put files there."""
    prefix = place.removeprefix(f"s3://{BUCKET}/")
    for path in folder.iterdir():
        client().upload_file(str(path), BUCKET, f"{prefix}/{folder.name}/{path.name}")
    return f"{place}/{folder.name}"


PUTS: dict[str, Callable[[Path, str], str]] = {"ours": ours, "foreign": foreign}


def test_a_folders_digest_is_that_of_its_files(folder: Path) -> None:
    entries = {path.name: FileEntry.of_file(path) for path in folder.iterdir()}
    assert input_digest(str(folder)) == digest({name: [one.size, one.sha256] for name, one in entries.items()})
    assert find_input(f"file://{folder}/").sha256 == input_digest(str(folder))


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: (folder / "__1_0.distcp").write_bytes(b""),
        lambda folder: (folder / "__0_0.distcp").rename(folder / "__1_0.distcp"),
        lambda folder: (folder / ".metadata").write_bytes(b"other"),
    ],
    ids=["one more file", "another name", "another content"],
)
def test_a_changed_folder_is_another_input(folder: Path, change: Callable[[Path], object]) -> None:
    before = input_digest(str(folder))
    change(folder)
    assert input_digest(str(folder)) != before


@pytest.mark.parametrize("put", PUTS)
def test_a_folder_on_s3_is_the_same_input(folder: Path, s3: Server, put: str) -> None:
    assert input_digest(PUTS[put](folder, s3.place())) == input_digest(str(folder))


def test_what_was_hashed_when_it_was_put_is_not_read_for_its_digest(folder: Path, s3: Server) -> None:
    assert find_input(ours(folder, s3.place()), at_most=0).digest == input_digest(str(folder))


def test_a_foreign_folder_is_read_up_to_a_bound(folder: Path, s3: Server) -> None:
    uri, size = foreign(folder, s3.place()), sum(path.stat().st_size for path in folder.iterdir())
    with pytest.raises(TooLarge, match=r"wanted a smaller DCP folder: .* wanted at most"):
        find_input(uri, size - 1)
    assert find_input(uri, size).digest == input_digest(str(folder))


def test_a_folder_of_very_many_files_is_refused(folder: Path) -> None:
    for number in range(MOST_PARTS):
        (folder / f"{number}.txt").touch()
    with pytest.raises(TooLarge, match="wanted at most 4,096 files, found more"):
        input_digest(str(folder))


def test_a_folder_without_a_description_is_none(tmp_path: Path) -> None:
    (tmp_path / "__0_0.distcp").touch()
    with pytest.raises(BadInput, match=r"wanted an artifact, a file or a DCP folder, found a folder without artifact"):
        input_digest(str(tmp_path))


@pytest.mark.parametrize("where", ["folder", *PUTS])
def test_a_folder_crosses_the_bridge(tmp_path: Path, folder: Path, where: str, request: pytest.FixtureRequest) -> None:
    uri = str(folder)
    if where != "folder":
        uri = PUTS[where](folder, request.getfixturevalue("s3").place())
    artifact = run_stage("bridge", KD, tmp_path / "b", checkpoint=uri)
    found = student_state(artifact, "raw")
    assert found.keys() == STATE.keys()
    assert all(torch.equal(found[name], value) for name, value in STATE.items())
    assert (artifact.manifest.facts["step"], artifact.manifest.facts["origin"]) == (2000, input_digest(str(folder)))
    assert "step: 2000" in [*inspect(uri)]


@pytest.mark.parametrize("where", ["folder", "ours"])
def test_a_training_starts_from_a_folder(
    tmp_path: Path, folder: Path, gaussian_conditions: Path, where: str, request: pytest.FixtureRequest
) -> None:
    uri = str(folder) if where == "folder" else ours(folder, request.getfixturevalue("s3").place())
    train.check(job_of("train", SF, tmp_path / "sf", conditions=gaussian_conditions, student=uri))


def test_a_pipeline_and_a_component_take_a_folder(folder: Path) -> None:
    stage = {"name": "bridge", "kind": "bridge", "experiment": KD, "inputs": {"checkpoint": str(folder)}}
    planned = resolve(Pipeline.parse({"stages": [stage]}, "p"), "root")["bridge"]
    assert planned.work.expect_inputs == {"checkpoint": input_digest(str(folder))}
    [role] = bridge(checkpoint=str(folder), experiment=KD, output="out").roles
    assert f"checkpoint={folder}" in role.args


def test_another_folder_than_the_planner_saw_is_refused(tmp_path: Path, folder: Path) -> None:
    job = job_of("bridge", KD, tmp_path / "b", checkpoint=folder)
    bound = job.work.model_copy(update={"expect_inputs": {"checkpoint": "0" * 64}})
    with pytest.raises(BadInput, match="wanted what was there when this was planned"):
        type(job)(bound, job.experiment, job.digest, job.inputs, None, job.execution).weights("checkpoint")
