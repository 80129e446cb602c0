"""What a job is made with, and how that differs from what its pipeline says now."""

import pytest

from fastgen_k8s.controller.form import difference, form_of, read_form
from fastgen_k8s.pipeline.spec import Pipeline, Stage
from fastgen_k8s.pipeline.work import Execution, Placement

STAGE = Stage(name="conditions", kind="encode", experiment="closed_form/gaussian_kd", placement=Placement(nodes="1:2"))
PIPELINE = Pipeline(image="trainer:1", queue="gpus", stages=(STAGE,))
MADE_WITH = form_of(PIPELINE, STAGE)


@pytest.mark.parametrize(
    ("pipeline", "stage", "said"),
    [
        ({}, {}, None),
        ({"image": "trainer:2"}, {}, "image trainer:1 instead of trainer:2"),
        ({"image": None}, {}, "image trainer:1 instead of none"),
        ({"image": "trainer:2"}, {"image": "trainer:1"}, None),
        ({"queue": None}, {}, "queue gpus instead of none"),
        ({"backend": "volcano"}, {}, "backend jobset instead of volcano"),
        (
            {},
            {"placement": Placement(nodes="4", pool="spot")},
            "placement.nodes 1:2 instead of 4, placement.pool none instead of spot",
        ),
        ({"suspend": True, "deadline": 7}, {"retries": 3, "deadline": 7, "execution": Execution(save_every=7)}, None),
    ],
)
def test_a_job_differs_by_image_placement_and_queue(
    pipeline: dict[str, object], stage: dict[str, object], said: str | None
) -> None:
    now = form_of(PIPELINE.model_copy(update=pipeline), STAGE.model_copy(update=stage))
    assert difference(MADE_WITH, now) == said


def test_what_a_job_carries_is_read_back_and_says_nothing_of_defaults() -> None:
    assert read_form(MADE_WITH.text()) == MADE_WITH
    assert MADE_WITH.text() == '{"image":"trainer:1","queue":"gpus","placement":{"nodes":"1:2"}}'


@pytest.mark.parametrize("text", [None, "", "{", '{"image":7}', '{"planet":"mars"}'])
def test_a_job_that_says_nothing_of_it_is_left_alone(text: str | None) -> None:
    assert difference(read_form(text), MADE_WITH) is None
