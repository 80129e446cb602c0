"""Digests and places of a pipeline's stages: what they depend on, and on what they do not."""

from collections.abc import Callable
from pathlib import Path

import pytest

from fastgen_k8s.artifacts import begin, find_artifact
from fastgen_k8s.artifacts.single import Input, input_digest
from fastgen_k8s.config import digest
from fastgen_k8s.errors import BadInput
from fastgen_k8s.pipeline.resolve import Frozen, bound, missing, place, resolve
from fastgen_k8s.pipeline.settings import apply
from fastgen_k8s.pipeline.spec import Pipeline, read_pipeline
from fastgen_k8s.pipeline.work import work_digest

PIPELINE = read_pipeline(Path("manifests/pipelines/closed-form-gaussian.yaml")).spec
ALL = {stage.name for stage in PIPELINE.stages}
AFTER_KD = {"kd", "bridge", "sf", "kd-samples", "sf-samples", "report"}
AFTER_SF = {"sf", "sf-samples", "report"}


def content(uri: str) -> Input:
    """A stand-in for the content of a URI."""
    return Input(f"content of {uri}", digest(uri))


def digests(pipeline: Pipeline, content: Callable[[str], Input] = content, root: str = "root") -> dict[str, str]:
    """Every stage's digest."""
    return {name: stage.digest for name, stage in resolve(pipeline, root, content).items()}


def differ(changed: dict[str, str]) -> set[str]:
    """The stages whose digest is another one now."""
    return {name for name, digest in digests(PIPELINE).items() if changed[name] != digest}


@pytest.mark.parametrize(
    ("setting", "stages"),
    [
        ("kd.train.steps=3", AFTER_KD),
        ("sf.train.steps=3", AFTER_SF),
        ("sf.method.guidance=2", AFTER_SF),
        ("kd.optimisation.student.lr=0.5", AFTER_KD),
        ("bridge.bridge.format=safetensors", AFTER_SF | {"bridge"}),
        ("pairs.pairs.solver_steps=3", AFTER_KD | {"pairs"}),
        ("untrained.sample.seed=3", {"untrained", "report"}),
        ("report.videos=3", {"report"}),
        ("conditions.negative_prompt=blurred", ALL),
        ("model.chunk_size=3", ALL - {"conditions"}),
        ("kd.placement.processes=2", set[str]()),
        ("kd.placement.micro_batch=2", set[str]()),
        ("execution.save_every=3", set[str]()),
        ("kd.retries=5", set[str]()),
        ("kd.deadline=5", set[str]()),
        ("kd.train.steps=3000", set[str]()),  # what it is anyway
    ],
)
def test_a_setting_changes_the_digests_of_what_depends_on_it(setting: str, stages: set[str]) -> None:
    assert differ(digests(apply(PIPELINE, [setting]))) == stages


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("closed-form-gaussian", "43984e76db0becfb"),
        ("closed-form-ring", "e582a3790f40ae5a"),
        ("cosmos-predict2", "b03fef7984a7bda1"),
        ("moving-shapes", "3b05fcdf45df39f1"),
        ("wan-t2v", "f3b1fa81b90554f2"),
    ],
)
def test_the_digests_of_the_shipped_pipelines_stay_what_they_are(name: str, said: str) -> None:
    assert digest(digests(read_pipeline(Path(f"manifests/pipelines/{name}.yaml")).spec))[:16] == said


def test_other_content_outside_changes_everything_made_from_it() -> None:
    assert differ(digests(PIPELINE, lambda uri: Input(f"other {uri}", digest(uri)))) == ALL


def test_an_artifact_of_prompts_that_were_misread_is_not_taken_for_the_right_one(tmp_path: Path) -> None:
    file = tmp_path / "prompts.json"
    file.write_text('["a red disc"]')
    stage = PIPELINE.stages[0].model_copy(update={"inputs": {"prompts": str(file)}})
    pipeline = PIPELINE.model_copy(update={"stages": (stage,)})
    root = tmp_path / "root"
    as_lines = work_digest("encode", stage.resolve(), {"prompts": input_digest(str(file))})
    before = begin(place(str(root), stage.name, as_lines), "conditions", as_lines, {})
    before.commit({"prompts": 1})
    planned = resolve(pipeline, str(root))[stage.name]
    assert planned.digest != as_lines
    assert find_artifact(planned.output) is None


def test_another_root_changes_nothing() -> None:
    assert differ(digests(PIPELINE, root="elsewhere")) == set()


def test_a_stage_under_another_name_is_the_same_work() -> None:
    renamed = PIPELINE.model_dump() | {
        "stages": [
            stage.model_dump() | ({"name": "prompts"} if stage.name == "conditions" else {})
            for stage in PIPELINE.stages[:1]
        ]
    }
    assert digests(Pipeline.parse(renamed, "renamed"))["prompts"] == digests(PIPELINE)["conditions"]


def test_a_stage_writes_where_its_digest_says_and_reads_where_the_others_write() -> None:
    resolved = resolve(PIPELINE, "root", content)
    assert resolved["kd"].output == f"root/kd/{resolved['kd'].digest[:16]}"
    assert resolved["bridge"].work.inputs == {"checkpoint": resolved["kd"].output}
    assert resolved["conditions"].work.inputs == {"prompts": "examples/closed_form/gaussian.txt"}
    assert resolved["kd"].work.expect_digest == resolved["kd"].digest


def test_a_stage_expects_what_was_seen_of_its_inputs() -> None:
    resolved = resolve(PIPELINE, "root", content)
    assert resolved["conditions"].work.expect_inputs == {"prompts": digest("examples/closed_form/gaussian.txt")}
    assert resolved["kd"].work.expect_inputs == {}  # nothing is made yet
    seen = {"conditions": "1" * 64, "pairs": "2" * 64, "bridge": "3" * 64}
    assert bound(PIPELINE, resolved["kd"], seen).work.expect_inputs == {"conditions": "1" * 64, "pairs": "2" * 64}
    assert bound(PIPELINE, resolved["kd"], {"pairs": None}) == resolved["kd"]


def test_what_is_frozen_is_taken_as_it_was() -> None:
    frozen = {"conditions": Frozen("a" * 64, {"prompts": "b" * 64}), "pairs": Frozen("c" * 64, {})}
    resolved = resolve(PIPELINE, "root", content, frozen)
    assert (resolved["conditions"].digest, resolved["conditions"].work.expect_inputs) == (
        "a" * 64,
        {"prompts": "b" * 64},
    )
    assert (resolved["pairs"].digest, resolved["pairs"].work.expect_inputs) == ("c" * 64, {})


def test_an_input_that_is_not_there_is_refused_before_anything_runs(tmp_path: Path) -> None:
    setting = PIPELINE.model_dump()
    setting["stages"][0]["inputs"] = {"prompts": str(tmp_path / "prompts.txt")}
    with pytest.raises(BadInput, match=r"stage conditions, input prompts: .*found nothing"):
        resolve(Pipeline.parse(setting, "moved"), "root")


@pytest.mark.parametrize(
    ("chosen", "whole", "absent"),
    [
        ({"sf"}, {"conditions", "bridge"}, []),
        ({"sf"}, {"conditions"}, ["bridge"]),
        ({"sf", "bridge"}, {"conditions"}, ["kd"]),
        (ALL, set[str](), []),
        ({"pairs"}, set[str](), ["conditions"]),
    ],
)
def test_chosen_stages_need_the_artifacts_of_those_that_are_not(
    chosen: set[str], whole: set[str], absent: list[str]
) -> None:
    assert missing(PIPELINE, frozenset(chosen), lambda name: name in whole) == absent
