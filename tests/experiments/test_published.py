"""Numbers of published runs, by the setting that is named where it was published (FastGen at 34f30e8 and its fork)."""

import pytest

from fastgen_k8s.experiments import EXPERIMENTS
from fastgen_k8s.experiments.method import DistributionMatchingSettings


@pytest.mark.parametrize("run", ["wan_t2v/sf", "cosmos_predict2/sf", "cosmos_predict2/dmd2"])
def test_the_fake_score_of_a_published_run_is_fitted_to_x0(run: str) -> None:
    method = EXPERIMENTS[run].method
    assert isinstance(method, DistributionMatchingSettings)
    assert method.critic_loss == "x0"  # there: fake_score_pred_type
