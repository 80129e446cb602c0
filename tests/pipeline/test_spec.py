"""A pipeline file: what is taken, and for every field and rule what is refused in one line."""

import copy
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
import yaml

from fastgen_k8s.errors import Misdescribed
from fastgen_k8s.pipeline.spec import DistillationPipeline, read_pipeline
from tests.pipeline import files
from tests.pipeline.files import FILES

STAGE = {
    "name": "kd",
    "kind": "train",
    "experiment": "closed_form/gaussian_kd",
    "overrides": ["train.steps=10"],
    "inputs": {"conditions": "conditions"},
    "needs": ["conditions"],
    "image": "localhost/fastgen-k8s:1",
    "placement": {
        "nodes": "1:2",
        "processes": 1,
        "micro_batch": 2,
        "resource": "cpu_small",
        "pool": "spot",
        "grace": 9,
    },
    "execution": {
        "log_every": 1,
        "save_every": 2,
        "keep": 3,
        "trackers": ["tensorboard"],
        "collective_timeout": 5,
    },
    "gate": {"loss": {"min": 0.0, "max": 1.0}},
    "retries": 2,
    "deadline": 60,
}
ENCODE = {
    "name": "conditions",
    "kind": "encode",
    "experiment": "closed_form/gaussian_kd",
    "inputs": {"prompts": "p.txt"},
}
OBJECT: dict[str, Any] = {
    "apiVersion": "fastgen-k8s.github.io/v1alpha1",
    "kind": "DistillationPipeline",
    "metadata": {"name": "tiny", "namespace": "lab", "labels": {"a": "b"}, "annotations": {"c": "d"}},
    "spec": {"image": "i:1", "root": "runs", "backend": "jobset", "queue": "q", "stages": [ENCODE, STAGE]},
}
REQUIRED = ["apiVersion", "kind", "metadata", "spec", "metadata.name", "spec.stages"] + [
    f"spec.stages.0.{name}" for name in ("name", "kind", "experiment")
]


def paths(data: object, prefix: str = "") -> Iterator[tuple[str, object]]:
    """Every field with its dotted path."""
    items = cast("dict[str, object]", data).items() if isinstance(data, dict) else enumerate(cast("list[object]", data))
    for key, value in items:
        yield f"{prefix}{key}", value
        if isinstance(value, dict | list):
            yield from paths(cast("object", value), f"{prefix}{key}.")


def changed(path: str, value: object = None, *, delete: bool = False) -> dict[str, Any]:
    """The object with one field set or taken away."""
    data = copy.deepcopy(OBJECT)
    *parents, last = path.split(".")
    here: Any = data
    for part in parents:
        here = here[_key(part)]
    key = _key(last)
    if delete:
        del here[key]
    else:
        here[key] = value
    return data


def _key(part: str) -> str | int:
    return int(part) if part.isdigit() else part


def refusal(data: dict[str, Any]) -> str:
    """The one line in which an object is refused."""
    with pytest.raises(Misdescribed) as refused:
        DistillationPipeline.parse(data, "tiny.yaml")
    line = str(refused.value)
    assert "\n" not in line
    return line


def test_a_whole_object_is_read_as_it_is_written(tmp_path: Path) -> None:
    file = tmp_path / "tiny.yaml"
    file.write_text(yaml.safe_dump(OBJECT))
    assert read_pipeline(file).model_dump(mode="json", exclude_unset=True) == OBJECT


@pytest.mark.parametrize("path", [path for path, _ in paths(OBJECT)])
def test_a_field_of_the_wrong_type_is_refused_by_its_name(path: str) -> None:
    refused = refusal(changed(path, {"not": {"what": ["is", "wanted"]}}))
    assert re.sub(r"\.\d+$", "", path).rpartition(".")[2] in refused


FREE = ("inputs", "gate", "labels", "annotations")  # their names are the writer's
CLOSED = [path for path, value in paths(OBJECT) if isinstance(value, dict) and path.rpartition(".")[2] not in FREE]


@pytest.mark.parametrize("path", ["", *(f"{path}." for path in CLOSED)])
def test_an_unknown_field_is_refused_by_its_name(path: str) -> None:
    assert "surplus" in refusal(changed(f"{path}surplus", 1))


@pytest.mark.parametrize("path", REQUIRED)
def test_a_missing_field_is_refused_by_its_name(path: str) -> None:
    assert path.rpartition(".")[2] in refusal(changed(path, delete=True))


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("apiVersion", "v1", "fastgen-k8s.github.io/v1alpha1"),
        ("kind", "Pipeline", "DistillationPipeline"),
        ("metadata.name", "Tiny_1", "pattern"),
        ("metadata.annotations", {"note": "a\0b"}, "metadata.annotations.note: wanted text, found a NUL byte"),
        ("spec.root", "runs/\ud83d", r"spec.root: wanted text, found half a surrogate pair (U+D83D)"),
        (
            "spec.stages.0.overrides",
            ['conditions.negative_prompt="\\ud83d"'],
            "negative_prompt: wanted text, found half",
        ),
        ("metadata.name", "a" * 41, "at most 40"),
        ("spec.stages", [], "at least 1"),
        ("spec.backend", "slurm", "'jobset'"),
        ("spec.stages.1.name", "conditions", "an earlier stage of that name"),
        ("spec.stages.1.kind", "distil", "'encode'"),
        ("spec.stages.1.experiment", "closed_form/gausian_kd", "did you mean 'closed_form/gaussian_kd'?"),
        ("spec.stages.1.overrides", ["train.stepz=1"], "did you mean 'steps'?"),
        ("spec.stages.1.overrides", ["train.steps=many"], "valid integer"),
        ("spec.stages.1.overrides", ["train.steps"], "key=value"),
        ("spec.stages.1.overrides", ["max_iter=10"], "it became train.steps"),
        ("spec.stages.1.overrides", ["sample.seed=10"], "a train stage reads model, method, optimisation, train"),
        ("spec.stages.1.needs", ["sf"], "wanted an earlier stage"),
        ("spec.stages.1.needs", ["kd"], "found itself"),
        ("spec.stages.0.needs", ["kd"], "found a later one"),
        ("spec.stages.1.inputs", {"conditions": "conditons"}, "did you mean 'conditions'?"),
        ("spec.stages.1.inputs", {"conditions": "kd"}, "found itself"),
        ("spec.stages.0.inputs", {"prompts": "kd"}, "found a later one"),
        ("spec.stages.1.inputs", {"pairs": "conditions"}, "wanted a stage of kind pairs"),
        ("spec.stages.1.inputs", {"student": "conditions"}, "wanted a stage of kind train or bridge"),
        ("spec.stages.1.inputs", {"prompts": "conditions"}, "no input 'prompts'"),
        ("spec.stages.1.inputs", {"conditions": ""}, "found nothing"),
        ("spec.stages.1.inputs", {"a=b": "conditions"}, "wanted an input's name without '=', found 'a=b'"),
        ("spec.stages.1.inputs", {"": "conditions"}, "wanted an input's name"),
        ("spec.stages.1.placement.nodes", "3:2", "min 3 above max 2"),
        ("spec.stages.1.placement.nodes", "0", "pattern"),
        ("spec.stages.1.placement.processes", 0, "greater than 0"),
        ("spec.stages.1.placement.micro_batch", 0, "greater than 0"),
        ("spec.stages.1.placement.grace", -1, "greater than 0"),
        ("spec.stages.1.execution.keep", 0, "greater than 0"),
        ("spec.stages.1.execution.trackers", ["mlflow"], "'tensorboard'"),
        ("spec.stages.1.gate", {"loss": {"min": 2, "max": 1}}, "wanted min up to max, found min 2 above max 1"),
        ("spec.stages.1.gate", {"loss": {}}, "found neither"),
        ("spec.stages.1.gate", {"loss": {"minn": 1}}, "did you mean 'min'?"),
        ("spec.stages.1.experimnt", "x", "did you mean 'experiment'?"),
        ("spec.stages.1.placement.proceses", 1, "did you mean 'processes'?"),
        ("spec.stages.1.retries", True, "retries: wanted a number, found true"),
        ("spec.stages.1.retries", -1, "greater than or equal to 0"),
        ("spec.stages.1.deadline", 0, "greater than 0"),
    ],
)
def test_a_rule_that_is_broken_is_said(path: str, value: object, words: str) -> None:
    assert words in refusal(changed(path, value))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"a: [", "wanted YAML"),
        (b"\xff", "UTF-8"),
        (b"- 1", "found list"),
        (b"", "found none"),
        (b"a: !!int b", "wanted YAML"),
        (b"[" * 5000, "wanted YAML"),
        (b"kind: a\nkind: b", "the key 'kind' is given twice"),
    ],
)
def test_a_file_that_is_no_object_is_refused(tmp_path: Path, content: bytes, words: str) -> None:
    file = tmp_path / "tiny.yaml"
    file.write_bytes(content)
    with pytest.raises(Misdescribed, match=words) as refused:
        read_pipeline(file)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("name", FILES)
def test_a_file_is_taken_or_refused_as_on_a_cluster(tmp_path: Path, name: str) -> None:
    case, file = FILES[name], tmp_path / "tiny.yaml"
    file.write_bytes(case.text.encode())
    if case.said is None:
        assert read_pipeline(file).metadata.name == "tiny"
        return
    with pytest.raises(Misdescribed, match=re.escape(case.said)) as refused:
        read_pipeline(file)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("written", "meant"),
    [("010", 8), ("0o10", 8), ("08", 8), ("0x1F", 31), ("0b11", 3), ("1_0", 10), ("1e1", 10), ("2.0", 2), ("+5", 5)],
)
def test_a_number_is_the_one_that_kubectl_reads(tmp_path: Path, written: str, meant: int) -> None:
    file = tmp_path / "tiny.yaml"
    file.write_text(files.stage(f"retries: {written}\nplacement: {{nodes: {written}}}"))
    [stage] = read_pipeline(file).spec.stages
    assert (stage.retries, stage.placement.max_nodes) == (meant, meant)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Misdescribed, match="found none"):
        read_pipeline(tmp_path / "tiny.yaml")


def test_a_range_of_nodes_needs_no_quotes(tmp_path: Path) -> None:
    file = tmp_path / "tiny.yaml"
    file.write_text(yaml.safe_dump(changed("spec.stages.1.placement.nodes", "NODES")).replace("NODES", "2:30"))
    assert read_pipeline(file).spec.stages[1].placement.max_nodes == 30


@pytest.mark.parametrize("file", sorted(Path("manifests/pipelines").glob("*.yaml")), ids=lambda file: file.name)
def test_the_pipelines_of_the_repository_are_valid(file: Path) -> None:
    assert read_pipeline(file).metadata.name == file.stem
