"""Inputs that earlier versions misread: what was made of them stays in its place, and is planned anew elsewhere."""
# pyright: basic

from pathlib import Path
from typing import Any

import pytest
import torch

from fastgen_k8s.artifacts import FileEntry, begin, find_artifact, store_at
from fastgen_k8s.pipeline.resolve import place, resolve
from fastgen_k8s.pipeline.spec import Pipeline
from fastgen_k8s.pipeline.work import work_digest
from tests.conftest import job_of
from tests.s3_server import Server

KD = "closed_form/gaussian_kd"
ONE = {"a": torch.zeros(2)}
GENERATORS = {"generator": ONE, "generator_ema": ONE}
MISREAD: dict[str, tuple[Any, tuple[str, ...], bool]] = {
    "an average in the model": ({"model": {"net": ONE, "ema": ONE}}, ("bridge.weights=ema",), True),
    "an average beside the model": ({"model": ONE, "ema": ONE}, ("bridge.weights=ema",), True),
    "a word of an average that is longer": ({"generator_ema.a": torch.zeros(2)}, ("bridge.weights=ema",), True),
    "a critic": ({"generator": ONE, "critic": ONE}, ("bridge.role=fake_score",), True),
    "a critic's average": (GENERATORS, ("bridge.role=fake_score", "bridge.weights=ema"), True),
    "an averaged generator": (GENERATORS, ("bridge.weights=ema",), False),
    "a generator": (GENERATORS, (), False),
    "a model": ({"model": {"net": ONE, "ema": ONE}}, (), False),
    "another format": (GENERATORS, ("bridge.format=safetensors",), False),
}


@pytest.mark.parametrize("case", MISREAD)
@pytest.mark.parametrize("zipped", [True, False])
def test_what_an_old_root_holds_counts_unless_it_was_made_of_a_misread_file(
    tmp_path: Path, case: str, zipped: bool
) -> None:
    content, settings, misread = MISREAD[case]
    path = tmp_path / "x.pt"
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    stage = {"name": "bridge", "kind": "bridge", "experiment": KD, "overrides": settings}
    pipeline = Pipeline.parse({"stages": [{**stage, "inputs": {"checkpoint": str(path)}}]}, "p")
    bytes_alone = {"checkpoint": FileEntry.of_file(path).sha256}
    old = work_digest("bridge", pipeline.stages[0].resolve(), bytes_alone)
    begin(place(str(tmp_path), "bridge", old), "weights", old, bytes_alone).commit({"role": "student"})

    planned = resolve(pipeline, str(tmp_path))["bridge"]
    assert (find_artifact(planned.output) is None) == misread
    assert planned.work.expect_inputs == bytes_alone
    assert job_of("bridge", KD, tmp_path / "out", *settings, checkpoint=path).digest == planned.digest


def test_a_file_on_s3_is_read_as_one_in_a_folder(tmp_path: Path, s3: Server) -> None:
    uri = s3.place()
    for name, content in {"right.pt": GENERATORS, "wrong.pt": {"model": ONE, "ema": ONE}}.items():
        torch.save(content, tmp_path / name)
        store_at(uri).upload(name, tmp_path / name, FileEntry.of_file(tmp_path / name))
        jobs = (job_of("bridge", KD, "out", "bridge.weights=ema", checkpoint=f"{at}/{name}") for at in (tmp_path, uri))
        assert len({job.digest for job in jobs}) == 1


def test_no_other_stage_reads_a_file_in_more_than_one_way(tmp_path: Path) -> None:
    torch.save(ONE, tmp_path / "x.pt")
    found = job_of("train", "closed_form/gaussian_sf", "out", "train.steps=1", student=tmp_path / "x.pt").inputs
    assert found == {"student": FileEntry.of_file(tmp_path / "x.pt").sha256}
