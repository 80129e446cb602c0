"""The guardrail for prompts: asked for each, and named when it is not there. The package is a stand-in here."""

import sys
from types import ModuleType

import pytest

from fastgen_k8s.errors import BadInput, Misdescribed
from fastgen_k8s.networks.guardrail import refuse_unsafe


class StandIn(ModuleType):
    """Has what the real package is used for."""

    class CosmosSafetyChecker:
        def check_text_safety(self, prompt: str) -> bool:
            """Whether a prompt may be used."""
            return "forbidden" not in prompt


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cosmos_guardrail", StandIn("cosmos_guardrail"))


@pytest.mark.usefixtures("installed")
def test_prompts_that_it_passes_go_on() -> None:
    refuse_unsafe(["a red disc", "a blue disc"])


@pytest.mark.usefixtures("installed")
def test_a_prompt_that_it_refuses_is_named() -> None:
    with pytest.raises(BadInput, match="prompt 2: wanted one that the guardrail passes, found 'forbidden'"):
        refuse_unsafe(["a red disc", "forbidden"])


def test_without_the_package_one_line_says_what_is_missing_and_how_to_turn_it_off() -> None:
    with pytest.raises(Misdescribed, match=r"wanted the package cosmos_guardrail, .*conditions\.guardrail=false"):
        refuse_unsafe(["a red disc"])
