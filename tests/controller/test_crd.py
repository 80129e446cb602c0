"""The API that a cluster serves is the one that a laptop reads."""

from pathlib import Path

import pytest
import yaml
from pydantic import Field

from fastgen_k8s.config import Config
from fastgen_k8s.controller.crd import crd
from fastgen_k8s.errors import Misdescribed
from fastgen_k8s.kube.structural import structural


def test_the_file_is_in_step_with_the_models() -> None:
    assert yaml.safe_load(Path("manifests/base/crd.yaml").read_text()) == crd(), "run `make manifests`"


def test_the_columns_are_those_that_people_look_for() -> None:
    columns = [column["name"] for column in crd()["spec"]["versions"][0]["additionalPrinterColumns"]]
    assert columns == ["Stage", "Progress", "Nodes", "Loss", "Status", "Age"]


class Unbounded(Config):
    """A model with a text of any length."""

    text: str


class Either(Config):
    """A model with a field of two types."""

    size: int | str = Field(default=1, le=3, ge=1)


@pytest.mark.parametrize(("model", "said"), [(Unbounded, "spec.text: wanted maxLength"), (Either, "one type or null")])
def test_a_field_that_a_cluster_could_not_bound_is_refused_by_name(model: type[Config], said: str) -> None:
    with pytest.raises(Misdescribed, match=said):
        structural(model, "spec", {})


def test_a_rule_for_a_field_that_is_not_there_is_refused() -> None:
    with pytest.raises(Misdescribed, match=r"found none at spec\.nowhere"):
        structural(Config, "spec", {"spec.nowhere": {"minLength": 1}})
