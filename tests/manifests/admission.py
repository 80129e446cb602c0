# pyright: basic
"""A ValidatingAdmissionPolicy judged without an API server, as far as its expressions ask nobody (no `authorizer`)."""

import functools
from typing import Any

import celpy
from celpy import celtypes
from celpy.adapter import json_to_cel

from tests.manifests.render import Object, render

POLICIES: dict[str, Object] = {
    made["metadata"]["name"]: made["spec"] for made in render("base") if made["kind"] == "ValidatingAdmissionPolicy"
}

_ENVIRONMENT = celpy.Environment()
_ENVIRONMENT.compile("true")  # raises the recursion limit, which hypothesis does not like to see inside a test


def refusals(policy: str, new: Object, old: Object | None = None, user: str = "somebody") -> list[str]:
    """What a policy of the base says against a new object, or against a change of one, when somebody asks for it."""
    return judged(POLICIES[policy], new, old, user)


def judged(spec: Object, new: Object, old: Object | None = None, user: str = "somebody") -> list[str]:
    """What a policy of this spec says."""
    request = {
        "operation": "CREATE" if old is None else "UPDATE",
        "kind": {"group": str(new.get("apiVersion", "")).partition("/")[0]},
        "userInfo": {"username": user},
    }
    given = {
        "object": json_to_cel(new),
        "oldObject": json_to_cel(old),
        "request": json_to_cel(request),
        "variables": celtypes.MapType(),
    }
    if not all(_evaluated(one["expression"], given) for one in spec["matchConditions"]):
        return []
    for one in spec.get("variables", ()):
        given["variables"][celtypes.StringType(one["name"])] = _evaluated(one["expression"], given)
    broken = [one for one in spec["validations"] if not _evaluated(one["expression"], given)]
    return [
        str(_evaluated(one["messageExpression"], given)) if "messageExpression" in one else one["message"]
        for one in broken
    ]


def _evaluated(expression: str, given: dict[str, Any]) -> Any:
    return _program(expression).evaluate(given)


@functools.cache
def _program(expression: str) -> Any:
    return _ENVIRONMENT.program(_ENVIRONMENT.compile(expression))
