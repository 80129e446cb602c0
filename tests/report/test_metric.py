"""The report's use of an experiment's metric."""

import pytest

from fastgen_k8s.errors import Misdescribed
from fastgen_k8s.report.metric import load_metric, standard_error


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("nowhere.at_all:measure", "wanted a module 'nowhere.at_all'"),
        ("examples.moving_shapes.metric:weigh", "wanted a function 'weigh'"),
        ("examples.moving_shapes.metric", "wanted package.module:function, found 'examples.moving_shapes.metric'"),
        ("examples.moving_shapes.metric:", "wanted package.module:function"),
        (":measure", "wanted package.module:function"),
        ("..metric:measure", "wanted package.module:function"),
        ("examples.moving_shapes.metric:MARGIN", "found 2"),
    ],
)
def test_a_metric_that_is_not_there_is_refused(reference: str, message: str) -> None:
    with pytest.raises(Misdescribed, match=message):
        load_metric(reference)


def test_the_error_of_a_share_is_binomial() -> None:
    assert standard_error(0.5, 10_000) == pytest.approx(0.005, rel=1e-3)


def test_no_failure_in_few_clips_is_no_certainty() -> None:
    assert standard_error(1.0, 8) > 0.05
