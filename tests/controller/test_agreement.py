# pyright: basic
"""A laptop and a cluster take the same pipelines, and refuse the same."""

import copy
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastgen_k8s.artifacts.address import Address
from fastgen_k8s.controller.crd import EXTRAS, crd
from fastgen_k8s.errors import Misdescribed
from fastgen_k8s.pipeline.kinds import KINDS
from fastgen_k8s.pipeline.spec import Pipeline
from tests.controller.cel import refusals

Data = dict[str, Any]
SPEC: Data = crd()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
EXPERIMENT = "closed_form/gaussian_kd"


def stage(name: str, kind: str = "encode", **more: Any) -> Data:
    return {"name": name, "kind": kind, "experiment": EXPERIMENT, **more}


def spec(*stages: Data, **more: Any) -> Data:
    return {"root": "s3://bucket/runs", "stages": list(stages)} | more


def locally(data: Data) -> str | None:
    """What a laptop says against a spec."""
    try:
        Pipeline.parse(data, "spec")
    except Misdescribed as refusal:
        return str(refusal)
    return None


WHOLE = spec(
    stage("conditions", inputs={"prompts": "p.txt"}),
    stage("pairs", "pairs", inputs={"conditions": "conditions"}, placement={"nodes": "1:8", "pool": "spot"}),
    stage("kd", "train", inputs={"conditions": "conditions", "pairs": "pairs"}, gate={"loss": {"max": 1}}, retries=3),
    stage("bridge", "bridge", inputs={"checkpoint": "kd"}, needs=["pairs"]),
    queue="fastgen",
)


def test_a_whole_pipeline_is_taken_by_both() -> None:
    assert (refusals(SPEC, WHOLE), locally(WHOLE)) == ([], None)


@pytest.mark.parametrize(("low", "high", "taken"), [(1, 2.5, True), (2.5, 3, True), (3, 2.5, False), (2, 2.0, True)])
def test_bounds_are_numbers_with_a_point_or_without(low: float, high: float, taken: bool) -> None:
    data = spec(stage("a", gate={"loss": {"min": low, "max": high}}))
    assert (refusals(SPEC, data) == [], locally(data) is None) == (taken, taken)


names = st.sampled_from(["a", "b", "c"])
sources = st.one_of(names, st.sampled_from(["s3://bucket/x", "p.txt", ""]))
whole = st.sampled_from([-1, 0, 1, 2, 100, 101, 1024, 1025, 9999, 10_000, 10_001, 86_400, 86_401, 10**6, 10**6 + 1])
wrong = st.sampled_from([None, True, "text", "3", 3.0, [], {}, 1.5])
amounts = st.one_of(whole, whole, wrong)
nodes = st.one_of(
    whole, wrong, st.sampled_from(["1", "2:4", "4:2", "3:3", "0", "01", "1:", ":2", "1:2:3", "9999", "10000", "1\n"])
)
bounds = st.fixed_dictionaries({}, optional={"min": st.one_of(wrong, st.floats(-2e12, 2e12)), "max": whole})
texts = st.sampled_from(["x", "x" * 63, "x" * 64, "x" * 512, "x" * 513, 1, None])


def some(**optional: Any) -> st.SearchStrategy[Data]:
    return st.fixed_dictionaries({}, optional=optional)


stages = st.fixed_dictionaries(
    {"name": names, "kind": st.sampled_from(sorted(KINDS)), "experiment": st.just(EXPERIMENT)},
    optional={
        "inputs": st.dictionaries(
            st.sampled_from(["conditions", "pairs", "student", "checkpoint", "other"]), sources, max_size=2
        ),
        "needs": st.lists(names, max_size=2),
        "gate": st.dictionaries(st.just("loss"), bounds, max_size=1),
        "placement": some(nodes=nodes, processes=amounts, micro_batch=amounts, resource=texts, grace=amounts),
        "execution": some(log_every=amounts, save_every=amounts, keep=amounts, collective_timeout=amounts),
        "retries": amounts,
        "deadline": amounts,
        "image": texts,
        "unknown": st.just(1),
    },
)
sound_stages = st.fixed_dictionaries(
    {"name": names, "kind": st.sampled_from(sorted(KINDS)), "experiment": st.just(EXPERIMENT)},
    optional={
        "inputs": st.dictionaries(
            st.sampled_from(["conditions", "pairs", "student", "checkpoint"]), sources, max_size=2
        ),
        "needs": st.lists(names, max_size=2),
    },
)


@given(
    st.one_of(st.lists(stages, max_size=2), st.lists(sound_stages, min_size=1, max_size=3)),
    some(image=texts, queue=texts, suspend=st.one_of(st.booleans(), wrong), deadline=amounts),
)
def test_whatever_is_written_both_say_the_same(listed: list[Data], more: Data) -> None:
    data = spec(*listed, **more)
    there, here = refusals(SPEC, data), locally(data)
    assert bool(there) == bool(here), f"cluster: {there}; laptop: {here}"


@given(st.lists(sound_stages, min_size=1, max_size=3))
def test_what_a_laptop_writes_back_a_cluster_takes(listed: list[Data]) -> None:
    data = spec(*listed)
    if locally(data) is None:
        assert refusals(SPEC, Pipeline.parse(data, "spec").model_dump(mode="json")) == []


BUCKETS = ["abc", "a-b.c", "ab", "a..b", "1.2.3.4", "1.2.3.4.5", "Abc", "abc.", "-abc", "a" * 63, "a" * 64, ""]
PREFIXES = ["", "/", "/x", "/x/y", "/x/", "//x", "/.", "/./x", "/..", "/../x", "/x..", "/.x", "/x=1", "/" + "x" * 800]


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize("bucket", BUCKETS)
def test_a_root_that_a_cluster_takes_is_an_address(bucket: str, prefix: str) -> None:
    root = f"s3://{bucket}{prefix}"
    assert (refusals(SPEC, spec(stage("a"), root=root)) == []) == is_address(root)


def is_address(root: str) -> bool:
    try:
        return bool(Address.parse(root))
    except Misdescribed:
        return False


BROKEN: dict[str, tuple[Data, str]] = {
    "a root of this machine": (WHOLE | {"root": "/tmp/runs"}, "root is a place that every pod reaches"),
    "a root without a bucket": (WHOLE | {"root": "s3://"}, "root is a place that every pod reaches"),
    "a name twice": (spec(stage("a"), stage("a")), "Duplicate value"),
    "a later need": (spec(stage("a", needs=["b"]), stage("b")), "needs names earlier stages"),
    "itself as a need": (spec(stage("a", needs=["a"])), "needs names earlier stages"),
    "a later input": (spec(stage("a", "report", inputs={"x": "b"}), stage("b")), "an input is an earlier stage"),
    "an unknown input": (spec(stage("a", inputs={"x": "p.txt"})), "stages of kind encode know the inputs"),
    "an input of another kind": (
        spec(stage("a"), stage("b", "train", inputs={"pairs": "a"})),
        "the input 'pairs' is a URI or a stage of kind pairs",
    ),
    "an empty gate": (spec(stage("a", gate={"loss": {}})), "a gate has min, max or both"),
    "a gate upside down": (spec(stage("a", gate={"loss": {"min": 2, "max": 1}})), "a gate's min is at most its max"),
    "nodes upside down": (spec(stage("a", placement={"nodes": "3:2"})), "min at most max"),
}


@pytest.mark.parametrize(("data", "message"), BROKEN.values(), ids=BROKEN)
def test_a_broken_rule_is_named(data: Data, message: str) -> None:
    said = refusals(SPEC, data)
    assert any(message in one for one in said), said


def changed(**more: Any) -> Data:
    data = copy.deepcopy(WHOLE)
    data["stages"][1] |= more
    return data


CHANGES: dict[str, tuple[Data, bool]] = {
    "the root": (WHOLE | {"root": "s3://bucket/elsewhere"}, False),
    "a stage's kind": (changed(kind="sample"), False),
    "a stage's placement": (changed(placement={"nodes": "2"}), True),
    "a stage's name and kind": (spec(WHOLE["stages"][0], stage("samples", "sample")), True),
    "the queue": (WHOLE | {"queue": None}, True),
}


@pytest.mark.parametrize(("new", "allowed"), CHANGES.values(), ids=CHANGES)
def test_root_and_kinds_are_immutable_and_nothing_else_is(new: Data, allowed: bool) -> None:
    assert (refusals(SPEC, new, WHOLE) == []) == allowed


def test_every_rule_has_a_case_that_breaks_it() -> None:
    said = [one for data, _ in BROKEN.values() for one in refusals(SPEC, data)]
    said += [one for new, _ in CHANGES.values() for one in refusals(SPEC, new, WHOLE)]
    rules = [rule for extra in EXTRAS.values() for rule in extra.get("x-kubernetes-validations", ())]
    messages = {cast("str", rule["message"]) for rule in rules}
    generated = {message for message in messages if message.startswith(("stages of kind", "the input '"))}
    unique = {"each stage has a name of its own"}  # the list's own key says it first
    assert [message for message in messages - generated - unique if not any(message in one for one in said)] == []
