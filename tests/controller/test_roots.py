"""The places that a namespace's pipelines may name are below its roots, and judged before anything is read."""

from pathlib import Path

import pytest

from fastgen_k8s.artifacts.address import Address
from fastgen_k8s.artifacts.single import Input
from fastgen_k8s.controller.accept import accept
from fastgen_k8s.controller.job import Settings
from fastgen_k8s.controller.roots import Roots, check_places, parsed
from fastgen_k8s.errors import FastgenError, Misdescribed
from fastgen_k8s.lifecycle.status import Status
from fastgen_k8s.pipeline.spec import Pipeline

LIST = """
# team a
s3://team-a
s3://shared/models/   # what all may read
"""
ROOTS = parsed(LIST, "team-a")


def pipeline(root: str = "s3://team-a/run", prompts: str = "s3://team-a/prompts.txt") -> Pipeline:
    """A pipeline of one stage."""
    encode = {"name": "conditions", "kind": "encode", "experiment": "closed_form/gaussian_kd"}
    return Pipeline.parse({"root": root, "stages": [encode | {"inputs": {"prompts": prompts}}]}, "test")


BELOW: dict[str, tuple[str, str, bool]] = {
    "the bucket itself": ("s3://team-a", "s3://team-a/prompts.txt", True),
    "deep in the bucket": ("s3://team-a/b/c", "s3://team-a/d/e/f", True),
    "an input of another root": ("s3://team-a/run", "s3://shared/models/wan", True),
    "an input that is another root": ("s3://team-a/run", "s3://shared/models", True),
    "what the image ships": ("s3://team-a/run", "examples/prompts.txt", True),
    "a bucket whose name begins alike": ("s3://team-ab/run", "s3://team-a/prompts.txt", False),
    "an input of a bucket whose name begins alike": ("s3://team-a/run", "s3://team-ab/prompts.txt", False),
    "a prefix that begins alike": ("s3://team-a/run", "s3://shared/models-of-others/wan", False),
    "above a root": ("s3://team-a/run", "s3://shared/prompts.txt", False),
    "somewhere else": ("s3://other/run", "s3://team-a/prompts.txt", False),
}


@pytest.mark.parametrize(("root", "prompts", "allowed"), BELOW.values(), ids=BELOW)
def test_a_place_counts_by_whole_segments(root: str, prompts: str, allowed: bool) -> None:
    assert refused(pipeline(root, prompts), ROOTS) is (not allowed)
    assert not refused(pipeline(root, prompts), None)  # without a list, any
    assert refused(pipeline(root, prompts), [])  # with an empty one, none


def refused(described: Pipeline, roots: list[Address] | None) -> bool:
    try:
        check_places(described, roots)
    except Misdescribed:
        return True
    return False


NOWHERE = ["/etc/hostname", "file:///etc/hostname", "prompts.txt", "examples/../prompts.txt", "gs://bucket/prompts.txt"]


@pytest.mark.parametrize("roots", [None, ROOTS], ids=["any root", "some roots"])
@pytest.mark.parametrize("prompts", NOWHERE)
def test_an_input_that_no_pod_reaches_is_refused_before_the_controller_looks_for_it(
    prompts: str, roots: list[Address] | None
) -> None:
    described = pipeline(prompts=prompts).canonical()
    found = {"metadata": {"namespace": "team-a", "name": "a", "uid": "u"}, "spec": described}
    read: list[str] = []
    with pytest.raises(Misdescribed, match="wanted a place that every pod reaches"):
        accept(found, Status(), Settings(), roots, lambda uri: read.append(uri) or Input("0" * 64, "0" * 64))
    assert read == []


def test_a_place_that_is_not_allowed_is_not_read() -> None:
    found = {
        "metadata": {"namespace": "team-a", "name": "a", "uid": "u"},
        "spec": pipeline(prompts="s3://other/prompts.txt").canonical(),
    }
    read: list[str] = []
    with pytest.raises(Misdescribed):
        accept(found, Status(), Settings(), ROOTS, lambda uri: read.append(uri) or Input("0" * 64, "0" * 64))
    assert read == []


@pytest.mark.parametrize(
    ("root", "prompts", "said"),
    [
        (
            "s3://other/run",
            "s3://team-a/p",
            "root: wanted a place below s3://team-a or s3://shared/models, found 's3://other/run'",
        ),
        (
            "s3://team-a/run",
            "s3://other/p",
            "stage conditions, input prompts: wanted a place below s3://team-a or s3://shared/models, found 's3://other/p'",
        ),
    ],
)
def test_a_refusal_says_where_what_was_wanted_and_found(root: str, prompts: str, said: str) -> None:
    with pytest.raises(Misdescribed) as refusal:
        check_places(pipeline(root, prompts), ROOTS)
    assert str(refusal.value) == said


def test_a_refusal_of_many_roots_is_short() -> None:
    many = parsed("\n".join(f"s3://bucket-{number}" for number in range(1000)), "team-a")
    with pytest.raises(Misdescribed, match="s3://bucket-0 or s3://bucket-1 or s3://bucket-2 or 997 more, found"):
        check_places(pipeline(), many)


def test_a_list_is_read_as_it_is_now(tmp_path: Path) -> None:
    roots, file = Roots(tmp_path), tmp_path / "team-a"
    assert roots.of("team-a") is None
    file.write_text("s3://team-a\n")
    assert roots.of("team-a") == [Address.parse("s3://team-a")]
    file.write_text("")
    assert (roots.of("team-a"), roots.of("team-b")) == ([], None)


def test_without_a_folder_there_are_no_lists() -> None:
    assert Roots(None).of("team-a") is None


def test_a_map_that_is_not_there_is_no_list(tmp_path: Path) -> None:
    assert Roots(tmp_path / "nothing").of("team-a") is None


@pytest.mark.parametrize("line", ["team-a", "s3://", "s3://Team/a", "s3://team-a/../b", "s3://team-a//b"])
def test_a_line_that_is_no_place_lets_nothing_through(line: str) -> None:
    with pytest.raises(Misdescribed, match="the roots of namespace team-a, line 2: "):
        parsed(f"s3://team-b\n{line}\n", "team-a")


def test_a_list_that_cannot_be_read_is_not_taken_for_none(tmp_path: Path) -> None:
    (tmp_path / "team-a").mkdir()
    with pytest.raises(FastgenError, match="team-a: Is a directory"):
        Roots(tmp_path).of("team-a")
