"""Places as people write them: a person's own folder is found, and a variable is not taken for a name."""

from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest

from fastgen_k8s.artifacts import store_at
from fastgen_k8s.artifacts.address import SCHEMES, Address, expanded, is_remote
from fastgen_k8s.artifacts.cache import cache_folder
from fastgen_k8s.artifacts.directory import Directory
from fastgen_k8s.artifacts.single import find_file, find_input, is_folder
from fastgen_k8s.errors import Misdescribed
from fastgen_k8s.pipeline.spec import Pipeline
from fastgen_k8s.pipeline.work import Work
from fastgen_k8s.runner.prepare import describe, prepare
from fastgen_k8s.runner.root import Root

KD = "closed_form/gaussian_kd"
PIPELINE = """
apiVersion: fastgen-k8s.github.io/v1alpha1
kind: DistillationPipeline
metadata: {name: tiny}
spec:
  root: ~/runs
  stages: [{name: conditions, kind: encode, experiment: closed_form/gaussian_kd, inputs: {prompts: ~/prompts.txt}}]
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A person's own folder, with a file of prompts; the process is elsewhere."""
    home, here = tmp_path / "home", tmp_path / "here"
    home.mkdir()
    here.mkdir()
    (home / "prompts.txt").write_text("turning left\n")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(here)
    return home


@pytest.mark.parametrize(
    ("place", "found"),
    [
        ("~/runs", "{home}/runs"),
        ("~", "{home}"),
        ("file://~/runs", "file://{home}/runs"),
        ("~somebody/runs", "~somebody/runs"),
        ("runs/~/x", "runs/~/x"),
        ("./~", "./~"),
        ("s3://bucket/~/x", "s3://bucket/~/x"),
        ("runs/a$$b", "runs/a$$b"),
        ("runs/$", "runs/$"),
        ("runs/${", "runs/${"),
    ],
)
def test_a_person_s_own_folder_is_found_and_nothing_else_is_read_into_a_place(
    home: Path, place: str, found: str
) -> None:
    assert expanded(place) == found.replace("{home}", str(home))


def test_a_pipeline_s_root_and_inputs_may_be_below_a_person_s_own_folder(home: Path) -> None:
    Path("tiny.yaml").write_text(PIPELINE)
    [(name, state, output)] = describe(prepare(Path("tiny.yaml"), None))
    assert (name, state, Path(output).parent) == ("conditions", "to do", home / "runs/conditions")
    assert prepare(Path("tiny.yaml"), None).stages["conditions"].work.inputs == {"prompts": f"{home}/prompts.txt"}


def test_a_stage_reads_from_and_writes_to_a_person_s_own_folder(home: Path) -> None:
    work = Work(kind="encode", experiment=KD, inputs={"prompts": "~/prompts.txt"}, output="~/made")
    assert (work.inputs["prompts"], work.output) == (f"{home}/prompts.txt", f"{home}/made")


def test_what_is_asked_for_by_a_person_s_own_folder_is_there(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_file("~/prompts.txt") == home / "prompts.txt"
    assert find_input("~/prompts.txt") == find_input(str(home / "prompts.txt"))
    assert is_folder("file://~")
    assert store_at("~/made").uri == f"{home}/made"
    assert Root.parse("~/runs").here == home / "runs"
    monkeypatch.setenv("FASTGEN_CACHE", "~/cache")
    assert cache_folder() == home / "cache"


PLACES: dict[str, Callable[[str], object]] = {
    "a store": store_at,
    "a file": find_file,
    "a root": Root.parse,
    "an output": lambda place: Work.parse({"kind": "encode", "experiment": KD, "output": place}, "arguments"),
    "an input": lambda place: Work.parse(
        {"kind": "encode", "experiment": KD, "output": "out", "inputs": {"prompts": place}}, "arguments"
    ),
    "a pipeline's root": lambda place: Pipeline.parse(pipeline(root=place), "file"),
    "a pipeline's input": lambda place: Pipeline.parse(pipeline(prompts=place), "file"),
}


def pipeline(root: str = "runs", prompts: str = "./prompts.txt") -> dict[str, object]:
    """A pipeline with these places."""
    stage = {"name": "conditions", "kind": "encode", "experiment": KD, "inputs": {"prompts": prompts}}
    return {"root": root, "stages": [stage]}


@pytest.mark.parametrize("what", PLACES)
@pytest.mark.parametrize("place", ["${HOME}/x", "runs/${USER}", "s3://bucket/${RUN}/x", "file:///${}/x"])
def test_a_place_with_a_variable_in_it_is_refused(what: str, place: str) -> None:
    with pytest.raises(Misdescribed, match=r"wanted a place, found the variable \$\{\w*\} in it"):
        PLACES[what](place)


def test_another_kind_of_bucket_is_one_row(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not is_remote("gs://bucket/a")
    monkeypatch.setitem(cast("dict[str, str]", SCHEMES), "gs", f"{__name__}:Bucket")
    assert (is_remote("gs://bucket/a"), Address.parse("gs://bucket/a").uri) == (True, "gs://bucket/a")
    assert isinstance(store_at("gs://bucket/a"), Bucket)
    assert Root.parse("gs://bucket/a").remote


class Bucket(Directory):
    """Stands for a store of another kind."""
