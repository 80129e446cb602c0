"""The report stage on small real artifacts."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from examples.moving_shapes.metric import TEACHER
from fastgen_k8s.artifacts import Artifact, open_artifact, read
from fastgen_k8s.errors import BadInput, Misdescribed
from fastgen_k8s.report.history import stage_times
from fastgen_k8s.stages import report
from tests.conftest import run_stage
from tests.report_artifacts import (
    SHOWN,
    put_history,
    put_pairs,
    put_samples,
    put_training,
    report_job,
    whole_report,
)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """A report of all kinds of input."""
    job = whole_report(tmp_path_factory.mktemp("report"))
    report.check(job)
    report.run(job)
    return open_artifact(job.work.output, "report")


METRIC = "report.metric=examples.closed_form.gaussian:measure"


def summary(artifact: Artifact) -> dict[str, Any]:
    return json.loads(artifact.read("summary.json"))


def test_the_page_shows_the_first_clip_of_each_prompt_in_every_column(made: Artifact) -> None:
    assert made.read("index.html").count(b"<video ") == 4 * len(SHOWN)


def test_the_page_loads_nothing_from_elsewhere(made: Artifact) -> None:
    page = made.read("index.html").decode()
    assert not [
        found for found in re.findall(r'(?:src|href)="([^"]{0,5})', page) if not found.startswith(("data:", "#"))
    ]


def test_columns_stand_in_the_order_of_the_titles(made: Artifact) -> None:
    assert list(summary(made)["metrics"]) == ["teacher-samples", "untrained", "kd-samples", "sf-samples"]


def test_every_number_of_the_summary_is_on_the_page(made: Artifact) -> None:
    page = made.read("index.html").decode()
    rows = summary(made)["metrics"].values()
    numbers = [
        f"{value:.3f}" if value < 10 else f"{value:.1f}"
        for row in rows
        for name, value in row.items()
        if name != "clips"
    ]
    assert [number for number in numbers if number not in page] == []


def test_the_number_of_clips_is_told(made: Artifact) -> None:
    assert [row["clips"] for row in summary(made)["metrics"].values()] == [3, 6, 6, 6]


def test_shares_have_their_error(made: Artifact) -> None:
    assert set(summary(made)["standard_errors"]["untrained"]) == {"colour", "shape", "direction", "all"}


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"stages": {"kd": {"seconds": "many"}}}', '{"stages": [1]}'])
def test_a_history_that_is_none_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(BadInput, match=r"run\.json: wanted the history of a run"):
        stage_times(str(tmp_path / "report/0123"))


def test_stages_that_have_ended_are_timed(made: Artifact) -> None:
    assert summary(made)["stage_seconds"] == {"pairs": 31.5, "kd": 40.25}


def test_seeds_are_told_of_all_that_has_one(made: Artifact) -> None:
    seeds = {"kd": 3, "kd-samples": 1, "sf-samples": 1, "teacher-samples": 1, "untrained": 1}
    assert summary(made)["seeds"] == seeds
    assert made.read("index.html").count(b"<dt>seed</dt>") == len(seeds)


def test_the_numbers_are_facts_that_a_gate_can_read(made: Artifact) -> None:
    assert made.manifest.facts["sf-samples.all"] == summary(made)["metrics"]["sf-samples"]["all"]


def test_a_prompt_cannot_write_into_the_page(tmp_path: Path) -> None:
    inputs = {"kd": put_training(tmp_path / "kd", "1" * 64)}
    job = report_job(tmp_path, inputs, "report.note=<script>alert(1)</script>", "report.metric=null")
    report.run(job)
    assert b"<script>alert" not in open_artifact(job.work.output, "report").read("index.html")


def test_the_page_of_a_writer_that_was_killed_counts(tmp_path: Path) -> None:
    job = report_job(tmp_path, {"kd": put_training(tmp_path / "kd", "1" * 64)}, "report.metric=null")
    store = job.begin().store
    report.run(job)
    first = read(store, "index.html")
    store.delete("artifact.json")  # as if that writer had not come to its end
    put_history(tmp_path)  # and as if time had passed
    report.run(job)
    assert open_artifact(job.work.output, "report").read("index.html") == first


def test_a_report_of_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="wants pairs, samples or training runs to show, found none"):
        report.check(report_job(tmp_path, {}))


def test_a_metric_that_is_not_there_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    with pytest.raises(Misdescribed, match="wanted a module 'nowhere'"):
        report.check(
            report_job(tmp_path, {"s": put_samples(tmp_path / "s", "1" * 64)}, "report.metric=nowhere:measure")
        )


@pytest.mark.slow
def test_a_closed_form_is_reported_without_videos(tmp_path: Path, gaussian_conditions: Path) -> None:
    samples = tmp_path / "samples"
    run_stage(
        "sample", "closed_form/gaussian_kd", samples, "sample.samples_per_prompt=64", conditions=gaussian_conditions
    )
    made = run_stage("report", "closed_form/gaussian_kd", tmp_path / "report", METRIC, untrained=samples)
    assert (b"<video " in made.read("index.html"), list(summary(made)["metrics"])) == (False, ["untrained"])


@pytest.mark.slow
def test_the_students_speed_is_measured_where_the_teacher_is_given(tmp_path: Path) -> None:
    (tmp_path / "prompts.txt").write_text("\n".join(SHOWN))
    conditions = tmp_path / "conditions"
    run_stage("encode", "moving_shapes/sf", conditions, teacher=TEACHER, prompts=tmp_path / "prompts.txt")
    inputs = {"pairs": put_pairs(tmp_path / "pairs", "1" * 64, solver_steps=5), "conditions": str(conditions)}
    job = report_job(tmp_path, {**inputs, "teacher": str(TEACHER)}, "report.metric=null")
    report.run(job)
    speeds = summary(open_artifact(job.work.output, "report"))["seconds_per_clip"]
    assert [(speed["batch"], speed["ratio"] > 0) for speed in speeds] == [(1, True), (16, True)]
