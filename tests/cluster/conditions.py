"""What an object's status says holds."""

from typing import cast

from tests.cluster.api import Object


def conditions(made: Object) -> list[Object]:
    """The conditions of an object; a status may say null where it has none yet."""
    return cast(list[Object], made.get("status", {}).get("conditions") or [])


def holds(made: Object, kind: str) -> bool:
    """Whether a condition is there and true."""
    return any(one["type"] == kind and one["status"] == "True" for one in conditions(made))
