"""Kinds of third parties: the fields that our manifests may use, where no schema can be had offline.

Names only, from the references of each project; the kinds whose definitions can be had as files are checked against
these as well (test_definitions.py).
"""

from collections.abc import Callable

from tests.manifests.render import Object

Check = Callable[[Object], str | None]

FACTS: dict[tuple[str, str], Check] = {}
