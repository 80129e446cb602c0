"""What an object's status says holds."""

from typing import cast

from tests.cluster.api import Object


def holds(made: Object, kind: str) -> bool:
    """Whether a condition is there and true; a status may say null where it has no conditions yet."""
    found = cast(list[Object], made.get("status", {}).get("conditions") or [])
    return any(one["type"] == kind and one["status"] == "True" for one in found)
