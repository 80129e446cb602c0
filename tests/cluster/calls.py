"""What a controller asks of the API server for a look at a pipeline, told apart from what caches and elections ask."""

import re

WRITES = {"POST", "PUT", "PATCH", "DELETE"}
READ = {"GET distillationpipelines", "GET jobsets", "GET jobs", "GET pods"}
WRITTEN = {"PATCH jobsets", "PATCH distillationpipelines/status", "POST events", "DELETE jobsets"}

_PLACE = re.compile(r"/namespaces/[^/]+/(?P<kind>[a-z]+)(?P<name>/[^/]+)?(?P<part>/status)?$")
_OTHERS = ("leases", "workloads", "batch.volcano.sh")  # of the election, and of kinds that are not installed


def call(verb: str, path: str) -> str | None:
    """The kind of a call: its verb and what it is about."""
    found = _PLACE.search(path)
    if verb == "WATCH" or found is None or any(other in path for other in _OTHERS):
        return None
    if verb == "GET" and not found["name"] and found["kind"] in ("distillationpipelines", "jobsets"):
        return None
    return f"{verb} {found['kind']}{found['part'] or ''}"
