"""What manifests say beside their files: typed by kind, and the same bytes as ever."""

from pathlib import Path

import pytest

from fastgen_k8s.artifacts import begin, open_artifact
from fastgen_k8s.artifacts.facts import ConditionsFacts, StudentFacts, TrainingFacts
from fastgen_k8s.errors import BadInput

# As the version before wrote them.
OF_A_TRAINING = {
    "method": "distribution_matching",
    "roles": ["student", "fake_score"],
    "steps": 2,
    "seed": 3,
    "ema": False,
    "t_list": [0.999, 0.0],
    "chunk_size": None,
    "latent": [2, 6, 1, 1],
    "renoise": "ode",
    "context_noise": 0.1,
    "step": 2,
}


def test_what_was_written_is_read_and_would_be_written_again() -> None:
    assert TrainingFacts.parse(OF_A_TRAINING, "it").said() == OF_A_TRAINING


def test_what_was_not_said_is_not_written() -> None:
    made = StudentFacts(t_list=(0.999, 0.0), chunk_size=None, latent=(2, 6, 1, 1))
    assert made.said() == {"t_list": [0.999, 0.0], "chunk_size": None, "latent": [2, 6, 1, 1]}


def test_a_manifest_may_say_more_than_its_reader_knows(tmp_path: Path) -> None:
    begin(str(tmp_path), "conditions", "d" * 64, {}).commit({"prompts": 2, "of_another_version": [1]})
    assert open_artifact(str(tmp_path), "conditions").facts(ConditionsFacts) == ConditionsFacts(prompts=2)


@pytest.mark.parametrize(
    ("facts", "words"),
    [({}, "prompts: field required"), ({"prompts": "two"}, "prompts: input should be a valid integer.*, found 'two'")],
)
def test_a_manifest_that_says_less_or_something_else_is_refused(
    facts: dict[str, str], words: str, tmp_path: Path
) -> None:
    begin(str(tmp_path), "conditions", "d" * 64, {}).commit({**facts})
    with pytest.raises(BadInput, match=rf"artifact\.json: facts: {words}"):
        open_artifact(str(tmp_path), "conditions").facts(ConditionsFacts)
