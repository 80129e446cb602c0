"""NVIDIA's guardrail for prompts, which the licence of Cosmos' weights asks for. Its package was never run here."""

from collections.abc import Sequence
from importlib import import_module

from fastgen_k8s.errors import BadInput, Misdescribed


def refuse_unsafe(prompts: Sequence[str]) -> None:
    """Raise BadInput for the first prompt that `cosmos_guardrail` refuses, Misdescribed when it is not installed."""
    try:
        package = import_module("cosmos_guardrail")
    except ModuleNotFoundError as error:
        raise Misdescribed(
            "conditions.guardrail: wanted the package cosmos_guardrail, found none; "
            "conditions.guardrail=false where the licence of the weights is met in another way"
        ) from error
    checker = package.CosmosSafetyChecker()
    for number, prompt in enumerate(prompts, 1):
        if not checker.check_text_safety(prompt):
            raise BadInput(f"prompt {number}: wanted one that the guardrail passes, found {prompt[:60]!r}")
