"""What agents tell each other where they meet: JSON of a closed schema, so that nobody unpickles what others wrote.

torch's rendezvous pickles its state into the store and unpickles what it finds there. Between the two stands a backend
that keeps JSON in the store: the pickles that torch is given are made here, from JSON that was checked. All agents of a
job are of one version; a state that another one writes is refused.
"""

import json
import pickle
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from pydantic import Field
from torch.distributed.elastic.rendezvous.api import RendezvousStateError
from torch.distributed.elastic.rendezvous.dynamic_rendezvous import (
    RendezvousBackend,
    _NodeDesc,  # pyright: ignore[reportPrivateUsage]
    _RendezvousState,  # pyright: ignore[reportPrivateUsage]
)

from fastgen_k8s.artifacts.manifest import from_json
from fastgen_k8s.config import Config
from fastgen_k8s.errors import BadInput

LARGEST = 1 << 22  # bytes of a state; that of ten thousand nodes is half of it
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

Count = Annotated[int, Field(ge=0, lt=1 << 32)]
Instant = Annotated[int, Field(ge=0, lt=1 << 53)]  # microseconds since 1970


class Node(Config):
    """An agent, and what is known of it."""

    addr: Annotated[str, Field(max_length=255)]
    pid: Count
    local_id: Count
    rank: Count | None = None  # of a participant
    waits: bool = False  # for the next round
    spare: bool = False  # beyond the most nodes of a round
    heard: Instant | None = None  # its last sign of life


class MeetingState(Config):
    """The state of a rendezvous."""

    round: Count
    complete: bool
    closed: bool
    deadline: Instant | None
    nodes: tuple[Node, ...]


class CheckedBackend(RendezvousBackend):
    """A backend whose state is JSON in the store of another one; RendezvousStateError for a state that is not."""

    def __init__(self, stored: RendezvousBackend) -> None:
        self._stored = stored

    @property
    def name(self) -> str:
        """The other's."""
        return self._stored.name

    def get_state(self) -> tuple[bytes, Any] | None:
        """A pickle of our own with the token of what it was made from."""
        found = self._stored.get_state()
        return None if found is None else (_pickled(found[0]), found[1])

    def set_state(self, state: bytes, token: Any = None) -> tuple[bytes, Any, bool] | None:
        """Store a state that torch pickled in this process a moment ago, where the token is still the store's."""
        found = self._stored.set_state(written(pickle.loads(state)), token)
        return None if found is None else (_pickled(found[0]), *found[1:])


def written(state: _RendezvousState) -> bytes:
    """A state as JSON; equal states are equal bytes."""
    nodes = {*state.participants, *state.wait_list, *state.redundancy_list, *state.last_heartbeats}
    said = MeetingState(
        round=state.round,
        complete=state.complete,
        closed=state.closed,
        deadline=_microseconds(state.deadline),
        nodes=tuple(
            Node(
                addr=node.addr,
                pid=node.pid,
                local_id=node.local_id,
                rank=state.participants.get(node),
                waits=node in state.wait_list,
                spare=node in state.redundancy_list,
                heard=_microseconds(state.last_heartbeats.get(node)),
            )
            for node in sorted(nodes)
        ),
    )
    return json.dumps(said.canonical(), separators=(",", ":")).encode()


def read(data: bytes) -> _RendezvousState:
    """The state that JSON says; RendezvousStateError when it says none."""
    where = "the state of the rendezvous"
    if len(data) > LARGEST:
        raise RendezvousStateError(f"{where}: wanted at most {LARGEST} bytes, found {len(data)}")
    try:
        said = from_json(MeetingState, data, where)
    except BadInput as error:
        raise RendezvousStateError(str(error)) from error
    nodes = {_NodeDesc(node.addr, node.pid, node.local_id): node for node in said.nodes}
    state = _RendezvousState()
    state.round, state.complete, state.closed = said.round, said.complete, said.closed
    state.deadline = None if said.deadline is None else _instant(said.deadline)
    state.participants = {key: node.rank for key, node in nodes.items() if node.rank is not None}
    state.wait_list = {key for key, node in nodes.items() if node.waits}
    state.redundancy_list = {key for key, node in nodes.items() if node.spare}
    state.last_heartbeats = {key: _instant(node.heard) for key, node in nodes.items() if node.heard is not None}
    return state


def _pickled(data: bytes) -> bytes:
    return pickle.dumps(read(data))


def _microseconds(instant: datetime | None) -> int | None:
    return None if instant is None else (instant - _EPOCH) // _MICROSECOND


def _instant(microseconds: int) -> datetime:
    return _EPOCH + microseconds * _MICROSECOND
