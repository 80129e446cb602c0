"""The digest of a work, and its command line."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import create_model

from fastgen_k8s.artifacts.single import find_input, input_digest
from fastgen_k8s.errors import BadInput, Misdescribed
from fastgen_k8s.experiments import EXPERIMENTS, get_experiment
from fastgen_k8s.experiments.codecs import NoCodec
from fastgen_k8s.experiments.encoders import Labels
from fastgen_k8s.experiments.families.wan import Wan
from fastgen_k8s.experiments.method import RegressionSettings
from fastgen_k8s.experiments.model import Model
from fastgen_k8s.experiments.schema import Experiment, Pairs, Train
from fastgen_k8s.pipeline.argv import parse
from fastgen_k8s.pipeline.kinds import KINDS, Kind
from fastgen_k8s.pipeline.work import (
    Execution,
    Placement,
    Work,
    checked_digest,
    reads,
    resolve_inputs,
    sections,
    work_digest,
)

KD = get_experiment("closed_form/gaussian_kd")


FIXED = Experiment(
    name="fixed",
    model=Model(
        network=Wan(kind="wan", num_layers=2),
        text=Labels(kind="labels", labels=("left", "right")),
        codec=NoCodec(kind="none"),
        latent=(2, 6, 1, 1),
    ),
    pairs=Pairs(seed=5),
    method=RegressionSettings(kind="regression", pick="chunks"),
    train=Train(steps=7),
)


@pytest.mark.parametrize(
    ("kind", "wanted"),
    [
        ("encode", "e8d5c25b8848fb2e"),
        ("pairs", "139cd23e5b03a4ab"),
        ("train", "32be912024af2147"),
        ("bridge", "dec1f2236a154ddf"),
        ("sample", "26c8dd5296f94568"),
        ("report", "301eecc991b5b202"),
    ],
)
def test_the_digests_of_a_fixed_work_are_those_that_were_written_down(kind: Kind, wanted: str) -> None:
    """A new setting with a default keeps them. Where one changes, every artifact of that kind is made anew."""
    assert work_digest(kind, FIXED, {"input": "0" * 64})[:16] == wanted


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("section", Experiment.model_fields)
def test_a_kind_depends_on_the_sections_that_it_reads_and_on_no_other(kind: Kind, section: str) -> None:
    changes = {
        "name": "name=other",
        "model": "model.text.labels=[up, down]",
        "conditions": "conditions.negative_prompt=blurred",
        "pairs": "pairs.seed=5",
        "method": "method.clean_chunks=count",
        "optimisation": "optimisation.student.lr=0.5",
        "train": "train.steps=5",
        "bridge": "bridge.format=safetensors",
        "sample": "sample.seed=5",
        "report": "report.videos=5",
    }
    changed = work_digest(kind, KD.override(changes[section]), {}) != work_digest(kind, KD, {})
    assert changed == reads(kind, section)


def test_a_setting_added_later_with_a_default_changes_no_digest() -> None:
    longer = create_model("Longer", __base__=Train, invented=(int, 3))
    assert longer.model_validate(KD.train.model_dump()).canonical() == KD.train.canonical()


def test_overrides_count_by_what_they_come_to() -> None:
    once = KD.override("train.steps=7")
    twice = KD.override("train.steps=5", "train.seed=0", "train.steps=7.0")
    assert work_digest("train", once, {}) == work_digest("train", twice, {})


def test_kinds_with_equal_sections_do_not_share_a_digest() -> None:
    assert len({work_digest(kind, KD, {}) for kind in KINDS}) == len(KINDS)


def test_an_input_counts_by_name_and_digest() -> None:
    found = [work_digest("train", KD, inputs) for inputs in ({}, {"a": "1"}, {"a": "2"}, {"b": "1"})]
    assert len(set(found)) == 4


def test_every_section_that_a_kind_reads_is_one_of_every_experiment() -> None:
    for experiment in EXPERIMENTS.values():
        known = experiment.settings()
        assert all(section in known for kind in KINDS.values() for section in kind.reads)


def test_sections_hold_no_defaults() -> None:
    assert sections("bridge", KD)["bridge"] in (None, {})


def test_a_file_counts_by_its_bytes(tmp_path: Path) -> None:
    one, other = tmp_path / "one.txt", tmp_path / "other.txt"
    one.write_text("a red disc\n")
    other.write_text("a red disc\n")
    assert input_digest(str(one)) == input_digest(f"file://{other}")


@pytest.mark.parametrize(
    ("name", "as_before"),
    [
        ("prompts.txt", True),
        ("PROMPTS.TXT", True),
        ("prompts.jsonl", True),
        ("prompts.ndjson", True),
        ("prompts.JSONL", False),
        ("prompts.json", False),
        ("prompts.csv", False),
        ("prompts.Tsv", False),
    ],
)
def test_prompts_count_by_their_bytes_and_by_a_form_that_was_once_misread(
    tmp_path: Path, name: str, as_before: bool
) -> None:
    (tmp_path / name).write_text("a red disc\n")
    work = Work(kind="encode", experiment=KD.name, inputs={"prompts": str(tmp_path / name)}, output="out")
    assert (resolve_inputs(work)["prompts"] == input_digest(str(tmp_path / name))) == as_before


@pytest.mark.parametrize(
    ("name", "found"), [("nothing", "found nothing"), ("", "found a folder without artifact.json")]
)
def test_an_input_that_is_neither_file_nor_artifact_is_refused(tmp_path: Path, name: str, found: str) -> None:
    with pytest.raises(BadInput, match=found):
        input_digest(str(tmp_path / name))


def test_an_input_that_the_kind_does_not_know_is_refused(tmp_path: Path) -> None:
    work = Work(kind="bridge", experiment=KD.name, inputs={"pairs": str(tmp_path)}, output="out")
    with pytest.raises(Misdescribed, match="no input 'pairs': it knows checkpoint"):
        resolve_inputs(work)


def test_a_training_takes_no_videos_until_it_reads_them(tmp_path: Path) -> None:
    work = Work(kind="train", experiment=KD.name, inputs={"videos": str(tmp_path)}, output="out")
    with pytest.raises(Misdescribed, match="a train stage has no input 'videos'"):
        resolve_inputs(work)


def test_a_work_that_does_not_resolve_to_what_the_planner_saw_is_refused() -> None:
    work = Work(kind="train", experiment=KD.name, output="out", expect_digest="0" * 64)
    with pytest.raises(Misdescribed, match="wanted digest 0000"):
        checked_digest(work, KD, {})


WORDS = st.text(st.characters(categories=("L", "N", "P", "Zs")), min_size=1, max_size=12).filter(
    lambda word: not word.startswith("-")  # that would be a flag
)
WORKS = st.builds(
    Work,
    kind=st.sampled_from(list(KINDS)),
    experiment=WORDS,
    overrides=st.lists(WORDS, max_size=3).map(tuple),
    inputs=st.dictionaries(WORDS.filter(lambda name: "=" not in name), WORDS, max_size=3),
    output=WORDS,
    expect_digest=st.none() | WORDS,
)
EXECUTIONS = st.builds(
    Execution,
    log_every=st.integers(1, 99),
    save_every=st.integers(0, 99),
    keep=st.integers(1, 9),
    trackers=st.lists(st.sampled_from(["tensorboard", "wandb"]), max_size=2).map(tuple),
    collective_timeout=st.integers(1, 99),
)


@given(work=WORKS, execution=EXECUTIONS, micro_batch=st.none() | st.integers(1, 9))
def test_what_one_side_writes_the_other_reads(work: Work, execution: Execution, micro_batch: int | None) -> None:
    micro = ["--micro-batch", str(micro_batch)] if micro_batch else []
    assert parse([*work.argv(), *micro, *execution.argv()]) == (work, micro_batch, execution)


@given(names=st.sets(WORDS.filter(lambda name: "=" not in name), max_size=3), data=st.data())
def test_what_the_planner_saw_of_the_inputs_is_read_back_and_changes_no_other_word(
    names: set[str], data: st.DataObject
) -> None:
    seen = {name: data.draw(st.text("0123456789abcdef", min_size=64, max_size=64)) for name in sorted(names)}
    plain = Work(kind="report", experiment="e", inputs=dict.fromkeys(names, "place"), output="out")
    bound = plain.model_copy(update={"expect_inputs": seen})
    assert parse(bound.argv())[0] == bound
    assert bound.argv()[: len(plain.argv())] == plain.argv()
    assert len(bound.argv()) == len(plain.argv()) + 2 * len(seen)


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("pairs=" + "0" * 64, "wanted a sha256 of one of the inputs prompts, found that of pairs"),
        ("prompts=0123", "expect_inputs.prompts: string should match pattern"),
        ("prompts", "an input is name=uri"),
    ],
)
def test_what_a_planner_cannot_have_seen_is_refused(word: str, said: str) -> None:
    work = Work(kind="encode", experiment=KD.name, inputs={"prompts": "prompts.txt"}, output="out")
    with pytest.raises(Misdescribed, match=said):
        parse([*work.argv(), "--expect-input", word])


def test_an_input_that_is_not_the_one_that_was_planned_with_is_refused(tmp_path: Path) -> None:
    (tmp_path / "prompts.txt").write_text("a red disc")
    seen = find_input(str(tmp_path / "prompts.txt"))
    inputs = {"prompts": str(tmp_path / "prompts.txt")}
    work = Work(kind="encode", experiment=KD.name, inputs=inputs, output="out", expect_inputs={"prompts": seen.sha256})
    assert resolve_inputs(work) == {"prompts": seen.digest}
    (tmp_path / "prompts.txt").write_text("a blue disc")
    with pytest.raises(BadInput, match=rf"input prompts: .*prompts\.txt: wanted .* {seen.sha256}, found \w{{64}}$"):
        resolve_inputs(work)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "--kind"),
        (["--kind", "distil"], "'encode'"),
        (["--input", "pairs"], "name=uri"),
        (["--input", "=there"], "name=uri"),
        (["--input", "pairs="], "name=uri"),
        (["--save-evry", "3"], "--save-evry"),
        (["--save-every", "many"], "valid integer"),
        (["--micro-batch", "many"], "many"),
    ],
)
def test_a_command_line_that_does_not_fit_is_refused_in_one_line(words: list[str], said: str) -> None:
    base = Work(kind="train", experiment=KD.name, output="out").argv() if words else []
    with pytest.raises(Misdescribed, match=said) as refused:
        parse([*base, *words])
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("nodes", "low", "high"), [("1", 1, 1), ("3", 3, 3), ("1:4", 1, 4), (2, 2, 2), ("12:12", 12, 12)]
)
def test_nodes_are_a_number_or_a_range(nodes: str, low: int, high: int) -> None:
    placement = Placement(nodes=nodes)
    assert (placement.min_nodes, placement.max_nodes) == (low, high)


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("method.times=[0.9, 0.1]", "wanted a range that ascends, found 0.9 above 0.1"),
        ("method.health.variance=[1.5, 0.3]", "wanted a range that ascends, found 1.5 above 0.3"),
        (
            "method={kind: distribution_matching, exit_sampling: weighted, exit_weights: [1, 2]}",
            "method.exit_weights: wanted one for each of 4 steps",
        ),
    ],
)
def test_settings_that_contradict_each_other_are_refused(setting: str, said: str) -> None:
    with pytest.raises(Misdescribed, match=said):
        get_experiment("closed_form/gaussian_sf").override(setting)
