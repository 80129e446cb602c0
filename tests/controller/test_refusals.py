"""What a cluster says of pods that it does not let be made."""

from pathlib import Path

from fastgen_k8s.controller.refusals import Refusals
from tests.scripted_api import Answer, Asked, scripted

PATH = "/api/v1/namespaces/n/events"


def said(of: str, when: str, message: str) -> dict[str, object]:
    return {"involvedObject": {"name": of}, "lastTimestamp": when, "message": message}


EVENTS = [
    said("one-trainer-0", "2026-01-02T12:00:09Z", "quota of memory"),
    said("one-trainer-0", "2026-01-02T12:00:01Z", "quota of cpu"),
    said("two-trainer-0", "2026-01-02T12:00:02Z", "no such account"),
]


def test_each_job_finds_its_own_the_newest_last_and_the_server_is_asked_once_for_all(tmp_path: Path) -> None:
    with scripted(lambda _: Answer(body={"items": EVENTS}), tmp_path) as server:
        refusals = Refusals(server.connect())
        found = [refusals("n", job) for job in ("one", "two", "three")]
        assert found == [["quota of cpu", "quota of memory"], ["no such account"], []]
        assert server.asked == [Asked("GET", PATH, {"fieldSelector": "reason=FailedCreate"}, "application/json", None)]
