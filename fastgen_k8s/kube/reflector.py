"""A copy of all objects of one kind that does not stay behind: listed, watched, and listed again after a gap.

Written here because what the existing libraries do was measured: objects deleted in a gap stayed in their caches for
ever, an error event in a stream ended the process, or work began before the first list was complete.
"""

import json
import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, cast

import structlog
import urllib3

from fastgen_k8s.kube.connection import Connection, Refused, Unreachable, cut, lines
from fastgen_k8s.kube.objects import Object

Key = tuple[str, str]  # namespace ("" where a kind has none) and name
Change = tuple[Object | None, Object | None]  # before and after; None is absent

_PAGE = 500
_LIST = (5.0, 60.0)  # seconds to connect, and for a page
_WATCH = (5.0, 90.0)  # bookmarks come each 60 s: silence for longer means that nobody is there
_STEADY = 10.0  # seconds that a watch has to last to count as one that worked
_SHORTEST, _LONGEST = 0.1, 2.0  # seconds between two tries
_FORBIDDEN = 30.0  # seconds until the server is asked again for what it forbids

log = structlog.get_logger()


class Pause(NamedTuple):
    """What to do after a failure."""

    seconds: float
    relist: bool  # or watch on from where it was


def pause(status: int | None, failures: int, *, expired_before: bool) -> Pause:
    """What to do after a refusal (None: no answer), which makes so many failures in a row."""
    doubled = min(_LONGEST, _SHORTEST * 2 ** min(failures - 1, 10))
    match status:
        case None | 429 | 502 | 503:  # nobody there yet
            return Pause(doubled, relist=False)
        case 403:
            return Pause(_FORBIDDEN, relist=True)
        case 404:  # the kind is not installed; it may be at any time
            return Pause(_LONGEST, relist=True)
        case 410:  # our version is too old, as it is after each restart of the server
            return Pause(doubled if expired_before else 0.0, relist=True)
        case _:
            return Pause(doubled, relist=True)


def changes(old: Mapping[Key, Object], new: Mapping[Key, Object]) -> Iterator[Change]:
    """What differs between two lists; what was made again under its name is one that went and one that came."""
    for key in old.keys() | new.keys():
        before, after = old.get(key), new.get(key)
        if before is not None and after is not None and _uid(before) != _uid(after):
            yield before, None
            yield None, after
        elif before is None or after is None or _version(before) != _version(after):
            yield before, after


class Reflector(threading.Thread):
    """Holds in `items` what the server has, and tells each change once it is in there."""

    def __init__(
        self,
        connection: Connection,
        path: str,
        on_change: Callable[[Object | None, Object | None], None],
        keep: Callable[[Object], Object],  # what of an object is held: name, namespace, uid, resourceVersion and more
        *,
        optional: bool = False,  # a kind that we may not list is as good as not installed
        **query: Any,
    ) -> None:
        super().__init__(daemon=True, name=f"reflector {path}")
        self.items: dict[Key, Object] = {}  # changes at any time: use `get`, or iterate over a copy
        self.synced = threading.Event()  # `items` has been complete
        self.absent = False  # the kind is not there
        self.beat = time.monotonic()  # the loop turns, whether the server answers or not
        self._connection, self._path, self._query = connection, path, query
        self._on_change, self._keep, self._optional = on_change, keep, optional
        self._version: str | None = None  # None: list before the next watch
        self._watches = False
        self._stream: urllib3.BaseHTTPResponse | None = None
        self._stopped = threading.Event()

    def stop(self) -> None:
        """End the thread: at once while it watches, else when its request ends."""
        self._stopped.set()
        if (stream := self._stream) is not None:
            cut(stream)

    def run(self) -> None:
        """List and watch until stopped."""
        failures: int = 0
        last: int | None = 0  # status of the failure before; 0: there was none
        while not self._stopped.is_set():
            begun = time.monotonic()
            failure = self._turn()
            if time.monotonic() - begun > _STEADY:
                failures = last = 0
                if failure is None:  # the server's own time-out
                    continue
            failures += 1
            status = failure.status if isinstance(failure, Refused) else None
            wait, relist = pause(status, failures, expired_before=last == 410)
            if relist:
                self._version = None
            if status == 404 or (status == 403 and self._optional):
                self.absent = True
                self._replace({})
            if not self._stopped.is_set() and (self._watches or status != last):
                log.warning("does not watch", path=self._path, problem=str(failure or "it ended soon"))
            self._watches, last = False, status
            self.beat = time.monotonic()
            self._stopped.wait(wait * random.uniform(0.5, 1))

    def _turn(self) -> Refused | Unreachable | None:
        """List if need be and watch, until that ends; why it did, unless the server ended it in order."""
        try:
            if self._version is None:
                self._version = self._list()
            self._watch(self._version)
        except (Refused, Unreachable) as failure:
            return failure
        return None

    def _list(self) -> str:
        """Hold what there is now; the version of that."""
        found: dict[Key, Object] = {}
        more: dict[str, str] = {}
        while True:
            self.beat = time.monotonic()
            page = self._connection.get(self._path, _LIST, limit=_PAGE, **more, **self._query)
            if page is None:
                raise Refused(404, "wanted this kind, found that it is not installed", self._path)
            found |= {_key(item): self._keep(item) for item in page["items"]}
            if not page["metadata"].get("continue"):
                self.absent = False
                self._replace(found)
                return str(page["metadata"]["resourceVersion"])
            more = {"continue": page["metadata"]["continue"]}

    def _replace(self, found: dict[Key, Object]) -> None:
        """Hold these instead: what vanished while nobody watched is a change too."""
        held, self.items = self.items, found
        for before, after in changes(held, found):
            self._on_change(before, after)
        self.synced.set()

    def _watch(self, version: str) -> None:
        seconds = random.randint(240, 360)  # not all watches at once
        asked = {"watch": "true", "allowWatchBookmarks": "true", "resourceVersion": version, "timeoutSeconds": seconds}
        stream = self._connection.request("GET", self._path, timeout=_WATCH, stream=True, **asked, **self._query)
        self._stream = stream
        if not self._watches:
            log.info("watches", path=self._path, objects=len(self.items))
            self._watches = True
        if self._stopped.is_set():  # before it was there to be cut
            cut(stream)
        try:
            for line in lines(stream):
                self.beat = time.monotonic()
                self._take(line)
        finally:
            self._stream = None

    def _take(self, line: bytes) -> None:
        """Follow one event of a watch."""
        try:
            event = cast("Object", json.loads(line))
        except ValueError as error:
            raise Unreachable(f"{self._path}: wanted an event, found a part of one") from error
        item: Object = event["object"]
        if event["type"] == "ERROR":
            raise Refused(int(item.get("code", 500)), str(item.get("message", "")), self._path)
        if event["type"] != "BOOKMARK":
            key = _key(item)
            before, after = self.items.get(key), None if event["type"] == "DELETED" else self._keep(item)
            if after is not None:
                self.items[key] = after
            else:
                self.items.pop(key, None)
            if before is not None or after is not None:
                self._on_change(before, after)
        self._version = str(item["metadata"]["resourceVersion"])


def _key(item: Object) -> Key:
    return item["metadata"].get("namespace", ""), item["metadata"]["name"]


def _uid(item: Object) -> str:
    return item["metadata"]["uid"]


def _version(item: Object) -> str:
    return item["metadata"]["resourceVersion"]
