"""The copy of a kind is what the server has: after a list, after events, after a gap."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastgen_k8s.kube.objects import Object
from fastgen_k8s.kube.reflector import Pause, Reflector, changes, pause
from tests.scripted_api import Answer, Asked, scripted

PATH = "/api/v1/configmaps"
QUIET = Answer(events=(), silent=True)


def item(name: str, version: int = 1, uid: str = "u") -> Object:
    return {"metadata": {"name": name, "namespace": "n", "uid": uid, "resourceVersion": str(version)}}


def version(found: Object | None) -> str | None:
    return None if found is None else found["metadata"]["resourceVersion"]


def listed(*items: Object, version: int = 1, more: str = "") -> Answer:
    return Answer(body={"items": items, "metadata": {"resourceVersion": str(version), "continue": more}})


def event(kind: str, what: Object) -> Object:
    return {"type": kind, "object": what}


def error(code: int) -> Object:
    return event("ERROR", {"kind": "Status", "code": code, "message": "no"})


def refused(status: int) -> Answer:
    return Answer(status, {"message": "no"})


@pytest.mark.parametrize(
    ("status", "failures", "expired_before", "wanted"),
    [
        (None, 1, False, Pause(0.1, relist=False)),
        (None, 3, False, Pause(0.4, relist=False)),
        (None, 5000, False, Pause(2.0, relist=False)),
        (429, 2, False, Pause(0.2, relist=False)),
        (503, 1, False, Pause(0.1, relist=False)),
        (500, 1, False, Pause(0.1, relist=True)),
        (504, 1, False, Pause(0.1, relist=True)),  # a version from the future: the server's store was set back
        (400, 6, False, Pause(2.0, relist=True)),
        (410, 1, False, Pause(0.0, relist=True)),
        (410, 7, False, Pause(0.0, relist=True)),
        (410, 2, True, Pause(0.2, relist=True)),
        (404, 1, False, Pause(2.0, relist=True)),
        (403, 1, False, Pause(30.0, relist=True)),
    ],
)
def test_what_follows_a_failure(status: int | None, failures: int, expired_before: bool, wanted: Pause) -> None:
    assert pause(status, failures, expired_before=expired_before) == wanted


HELD = st.dictionaries(st.tuples(st.just("n"), st.sampled_from("abcd")), st.integers(1, 3))


@given(old=HELD, new=HELD)
def test_the_changes_between_two_lists_lead_from_one_to_the_other_and_name_nothing_else(
    old: dict[tuple[str, str], int], new: dict[tuple[str, str], int]
) -> None:
    before = {key: item(key[1], at) for key, at in old.items()}
    after = {key: item(key[1], at) for key, at in new.items()}
    held = dict(before)
    for was, now in changes(before, after):
        assert was != now
        one = (now or was or {})["metadata"]
        held.pop((one["namespace"], one["name"]), None)
        if now is not None:
            held[one["namespace"], one["name"]] = now
    assert held == after


def test_what_was_made_again_under_its_name_in_a_gap_is_told_as_gone_and_as_new() -> None:
    before, after = item("a", 1, uid="first"), item("a", 2, uid="second")
    assert list(changes({("n", "a"): before}, {("n", "a"): after})) == [(before, None), (None, after)]


class Story:
    """A server that answers lists and watches from two lists, the last answer again and again, and a reflector."""

    def __init__(self, folder: Path, lists: list[Answer], watches: list[Answer], **more: Any) -> None:
        self.lists, self.watches = lists, watches
        self.told: list[tuple[str, str | None, str | None]] = []
        self.opened = scripted(self.answer, folder)
        self.more = more

    def answer(self, asked: Asked) -> Answer:
        answers = self.watches if asked.watches else self.lists
        return answers.pop(0) if len(answers) > 1 else answers[0]

    def tell(self, before: Object | None, after: Object | None) -> None:
        one: Object = before or after or {}
        self.told.append((one["metadata"]["name"], version(before), version(after)))

    def run(self, enough: Callable[[list[Asked]], bool]) -> tuple[list[Asked], Reflector]:
        """What it asked until that was enough, and the reflector, stopped."""
        with self.opened as server:
            reflector = Reflector(server.connect(), PATH, self.tell, dict, **self.more)
            reflector.start()
            server.wait_for(enough)
            reflector.stop()
            server.over.set()
            reflector.join()
            return list(server.asked), reflector


def watching(times: int) -> Callable[[list[Asked]], bool]:
    return lambda asked: sum(one.watches for one in asked) >= times


def test_events_change_what_is_held_and_each_change_is_told(tmp_path: Path) -> None:
    events = (event("ADDED", item("b", 2)), event("MODIFIED", item("a", 3)), event("DELETED", item("b", 4)))
    story = Story(tmp_path, [listed(item("a"))], [Answer(events=events), QUIET])
    _, reflector = story.run(watching(2))
    assert story.told == [("a", None, "1"), ("b", None, "2"), ("a", "1", "3"), ("b", "2", None)]
    assert reflector.items == {("n", "a"): item("a", 3)}


def test_a_watch_goes_on_after_the_last_event_or_bookmark(tmp_path: Path) -> None:
    bookmark = event("BOOKMARK", {"metadata": {"resourceVersion": "9"}})
    story = Story(tmp_path, [listed()], [Answer(events=(event("ADDED", item("a", 5)), bookmark)), QUIET])
    asked, _ = story.run(watching(2))
    assert [one.query["resourceVersion"] for one in asked if one.watches] == ["1", "9"]


def test_a_long_list_is_read_page_by_page(tmp_path: Path) -> None:
    story = Story(tmp_path, [listed(item("a"), more="next"), listed(item("b"))], [QUIET], labelSelector="x=y")
    asked, reflector = story.run(watching(1))
    assert [one.query for one in asked[:2]] == [
        {"limit": "500", "labelSelector": "x=y"},
        {"limit": "500", "labelSelector": "x=y", "continue": "next"},
    ]
    assert {name for _, name in reflector.items} == {"a", "b"}


@pytest.mark.parametrize("failing", [error(410), error(500)], ids=["410", "500"])
def test_after_an_error_in_the_stream_what_vanished_meanwhile_is_told(tmp_path: Path, failing: Object) -> None:
    story = Story(tmp_path, [listed(item("a"), item("b")), listed(item("b"))], [Answer(events=(failing,)), QUIET])
    story.run(watching(2))
    assert story.told[2:] == [("a", "1", None)]


def test_an_expired_list_is_begun_anew(tmp_path: Path) -> None:
    pages = [listed(item("a"), more="next"), refused(410), listed(item("b"))]
    _, reflector = Story(tmp_path, pages, [QUIET]).run(watching(1))
    assert list(reflector.items) == [("n", "b")]


def test_half_an_event_is_not_taken_and_watched_for_again(tmp_path: Path) -> None:
    whole, half = event("ADDED", item("a", 2)), b'{"type": "ADDED", "object": {"metadata'
    story = Story(tmp_path, [listed()], [Answer(events=(half,)), Answer(events=(whole,)), QUIET])
    story.run(watching(3))
    assert story.told == [("a", None, "2")]


@pytest.mark.parametrize(
    ("status", "optional", "synced", "absent"),
    [(404, False, True, True), (403, True, True, True), (403, False, False, False), (500, True, False, False)],
)
def test_a_kind_that_is_not_there_is_empty_and_one_that_is_not_told_is_unknown(
    tmp_path: Path, status: int, optional: bool, synced: bool, absent: bool
) -> None:
    story = Story(tmp_path, [refused(status)], [QUIET], optional=optional)
    _, reflector = story.run(lambda asked: len(asked) == 1)
    assert (reflector.synced.is_set(), reflector.absent, reflector.items) == (synced, absent, {})


def test_a_kind_that_is_installed_later_is_picked_up(tmp_path: Path) -> None:
    story = Story(tmp_path, [refused(404), listed(item("a"))], [QUIET])
    _, reflector = story.run(watching(1))
    assert (story.told, reflector.absent) == ([("a", None, "1")], False)


def test_a_reflector_that_hears_nothing_can_be_stopped(tmp_path: Path) -> None:
    with scripted(lambda asked: QUIET if asked.watches else listed(), tmp_path) as server:
        reflector = Reflector(server.connect(), PATH, lambda _before, _after: None, dict)
        reflector.start()
        server.wait_for(watching(1))
        reflector.stop()
        reflector.join(timeout=60)  # the watch would be silent for 90 s
        assert not reflector.is_alive()
