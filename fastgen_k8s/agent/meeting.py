"""How the agents of a stage find each other: not at all on one node, by torch's elastic rendezvous on several."""

import os
import re
import socket
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from fastgen_k8s import log
from fastgen_k8s.errors import Misdescribed, StoreFailed
from fastgen_k8s.printable import shown

if TYPE_CHECKING:
    from torch.distributed.elastic.rendezvous import RendezvousHandler, RendezvousInfo

_HABITS = {
    "join_timeout": "600",
    "last_call_timeout": "10",
    "keep_alive_interval": "2",
    "keep_alive_max_attempt": "3",
    "read_timeout": "10",
}
_SILENCE = 10.0  # seconds after which an endpoint whose machine is gone counts as lost: its connection never says so
_HOST = re.compile(r"[\w.:%-]{1,255}", re.ASCII)  # a name or an address, of IPv6 with its zone


class WorkerGroup(NamedTuple):
    """The processes that train together, as this node sees them."""

    first_rank: int  # of this node's workers
    world: int
    address: str  # where rank 0 listens
    port: int

    def environment(self, local_rank: int) -> dict[str, str]:
        """What a worker needs to meet the others."""
        return {
            "RANK": str(self.first_rank + local_rank),
            "WORLD_SIZE": str(self.world),
            "LOCAL_RANK": str(local_rank),
            "MASTER_ADDR": self.address,
            "MASTER_PORT": str(self.port),
        }


class Alone:
    """The meeting of a single node."""

    def __init__(self, processes: int) -> None:
        self.processes = processes

    def next(self) -> WorkerGroup:
        """The next group: all workers of this node, at a port that was free a moment ago."""
        with socket.socket() as probe:
            probe.bind(("localhost", 0))
            return WorkerGroup(0, self.processes, "localhost", probe.getsockname()[1])

    def others_wait(self) -> bool:
        """Whether all have to meet again, because nodes wait to be let in: there are no others."""
        return False

    def close(self) -> None:
        """Nobody needs to come any more: nobody would have."""


class Elastic:
    """The meeting of several nodes, at an endpoint that one of them hosts."""

    def __init__(self, min_nodes: int, max_nodes: int, processes: int, environment: Mapping[str, str]) -> None:
        for name in ("PET_RDZV_ENDPOINT", "PET_RDZV_ID"):
            if not environment.get(name):
                raise Misdescribed(f"more than one node wants {name} in the environment, found none")
        self.nodes, self.processes = (min_nodes, max_nodes), processes
        self.endpoint, self.run = environment["PET_RDZV_ENDPOINT"], environment["PET_RDZV_ID"]
        self.habits = _HABITS | _pairs(environment.get("PET_RDZV_CONF", ""))
        for name in _HABITS:
            if not self.habits[name].isdecimal():
                raise Misdescribed(f"PET_RDZV_CONF: wanted a whole number as {name}, found {self.habits[name]!r}")
        host = self.endpoint.rpartition(":")[0]
        self.address = environment.get("PET_LOCAL_ADDR") or ("localhost" if host == "localhost" else None)
        self._handler: RendezvousHandler | None = None
        self._lost = False  # the endpoint, since the last meeting
        # Each group gets a store of its own on a fresh port: one that agents share outlives the group it belongs to.
        os.environ["TORCH_DISABLE_SHARE_RDZV_TCP_STORE"] = "1"

    def next(self) -> WorkerGroup | None:
        """The next group, when enough nodes are there; None when there will be none any more.

        Where the endpoint's host is gone, wait for another or become it.
        """
        from torch.distributed.elastic.rendezvous.api import (
            RendezvousClosedError,
            RendezvousConnectionError,
            RendezvousStateError,
            RendezvousTimeoutError,
        )

        until = time.monotonic() + float(self.habits["join_timeout"])
        self.others_wait()  # a handler whose endpoint is lost is dropped here
        while True:
            try:
                self._handler = self._handler or self._open()
                info = _met(self._handler)
            except RendezvousClosedError:
                return None
            except RendezvousTimeoutError as error:
                raise StoreFailed(f"{self.endpoint}: wanted {self.nodes[0]} nodes to meet, found fewer") from error
            except RendezvousStateError as error:
                raise StoreFailed(f"{self.endpoint}: {error}") from error
            except RendezvousConnectionError as error:
                self._handler = None
                if time.monotonic() > until:
                    raise StoreFailed(f"{self.endpoint}: wanted the rendezvous of {self.run}, found none") from error
                log.warning("the rendezvous cannot be reached; trying again", endpoint=self.endpoint)
                time.sleep(1)
            else:
                where = info.bootstrap_store_info
                assert where is not None  # the c10d rendezvous always says
                self._lost = False
                _check_address(where.master_addr, where.master_port)
                return WorkerGroup(
                    info.rank * self.processes, info.world_size * self.processes, where.master_addr, where.master_port
                )

    def others_wait(self) -> bool:
        """Whether nodes wait, or the endpoint was lost and is back: it has forgotten this group, and starts another.

        While it is away it is no reason to disturb workers.
        """
        if self._handler is not None:
            waiting = _within(_SILENCE, self._handler.num_nodes_waiting)
            if waiting is not None:
                return waiting > 0
            log.warning("the rendezvous is lost; the workers go on", endpoint=self.endpoint)
            self._handler, self._lost = None, True
        return self._lost and _answers(self.endpoint)

    def close(self) -> None:
        """The work has ended, well or for good: nodes that come later need not wait."""
        if self._handler is not None:
            self._handler.shutdown()

    def _open(self) -> "RendezvousHandler":
        from torch.distributed.elastic.rendezvous.api import RendezvousParameters
        from torch.distributed.elastic.rendezvous.c10d_rendezvous_backend import create_backend
        from torch.distributed.elastic.rendezvous.dynamic_rendezvous import create_handler

        from fastgen_k8s.agent.meeting_state import CheckedBackend

        low, high = self.nodes
        parameters = RendezvousParameters("c10d", self.endpoint, self.run, low, high, self.address, **self.habits)
        stored, store = create_backend(parameters)
        return create_handler(store, CheckedBackend(stored), parameters)


Meeting = Alone | Elastic
"""Where agents agree on the next group."""


def _met(handler: "RendezvousHandler") -> "RendezvousInfo":
    try:
        return handler.next_rendezvous()
    except ValueError as error:  # what the first node left is no text, or no number
        raise StoreFailed(f"wanted the address of the first node in the rendezvous, found none ({error})") from error


def _check_address(host: str, port: int) -> None:
    if not _HOST.fullmatch(host) or not 0 < port < 65_536:
        raise StoreFailed(f"wanted the address of the first node in the rendezvous, found {shown(f'{host}:{port}')}")


def _within(seconds: float, ask: Callable[[], int]) -> int | None:
    """The answer, or None when there is an error or silence; a thread of its own waits, for ever if need be."""
    from torch.distributed.elastic.rendezvous.api import RendezvousError

    answers: list[int] = []

    def wait() -> None:
        with suppress(RendezvousError):
            answers.append(ask())

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    thread.join(seconds)
    return answers[0] if answers else None


def _answers(endpoint: str) -> bool:
    host, _, port = endpoint.rpartition(":")
    with suppress(OSError), socket.create_connection((host, int(port)), timeout=1):
        return True
    return False


def _pairs(text: str) -> dict[str, str]:
    """torchrun's key=value,... (Misdescribed)."""
    words = [word.partition("=") for word in text.split(",") if word]
    for key, separator, value in words:
        if not (key and separator and value):
            raise Misdescribed(f"PET_RDZV_CONF: wanted key=value, found {key + separator + value!r}")
    return {key: value for key, _, value in words}
