"""What agents tell each other where they meet: JSON, there and back; what others wrote is checked, never unpickled."""

import json
import pickle
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from torch.distributed import PrefixStore, TCPStore  # pyright: ignore[reportPrivateImportUsage]
from torch.distributed.elastic.rendezvous.api import RendezvousStateError
from torch.distributed.elastic.rendezvous.c10d_rendezvous_backend import C10dRendezvousBackend
from torch.distributed.elastic.rendezvous.dynamic_rendezvous import (
    _NodeDesc,  # pyright: ignore[reportPrivateUsage]
    _RendezvousState,  # pyright: ignore[reportPrivateUsage]
)

from fastgen_k8s.agent.meeting import Elastic
from fastgen_k8s.agent.meeting_state import LARGEST, CheckedBackend, read, written
from fastgen_k8s.errors import StoreFailed

RUN = "run"
KEY = f"torch.rendezvous.{RUN}"


def test_a_state_of_torch_has_the_fields_that_are_written() -> None:
    assert set(vars(_RendezvousState())) == {
        "round",
        "complete",
        "deadline",
        "closed",
        "participants",
        "wait_list",
        "redundancy_list",
        "last_heartbeats",
    }
    assert [(field.name, field.type) for field in fields(_NodeDesc)] == [("addr", str), ("pid", int), ("local_id", int)]


COUNTS = st.integers(0, 2**31)
INSTANTS = st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC))
NODES = st.builds(_NodeDesc, st.text(max_size=9), COUNTS, COUNTS)


@st.composite
def states(draw: st.DrawFn) -> _RendezvousState:
    """Any state."""
    state = _RendezvousState()
    state.round, state.complete, state.closed = draw(COUNTS), draw(st.booleans()), draw(st.booleans())
    state.deadline = draw(st.none() | INSTANTS)
    state.participants = draw(st.dictionaries(NODES, COUNTS, max_size=3))
    state.wait_list, state.redundancy_list = (draw(st.sets(NODES, max_size=2)) for _ in range(2))
    state.last_heartbeats = dict.fromkeys(state.participants, draw(INSTANTS)) | draw(
        st.dictionaries(NODES, INSTANTS, max_size=2)
    )
    return state


@given(states())
def test_a_state_is_the_same_after_it_was_written_and_read(state: _RendezvousState) -> None:
    assert vars(read(written(state))) == vars(state)
    assert written(read(written(state))) == written(state)


@pytest.fixture
def store() -> Iterator[TCPStore]:
    """The place where agents meet."""
    yield TCPStore("localhost", 0, is_master=True, wait_for_workers=False, timeout=timedelta(seconds=5))


def meeting(store: TCPStore) -> Elastic:
    """An agent's side of it."""
    habits = "is_host=false,join_timeout=20,last_call_timeout=1,keep_alive_interval=1"
    environment = {"PET_RDZV_ENDPOINT": f"localhost:{store.port}", "PET_RDZV_ID": RUN, "PET_RDZV_CONF": habits}
    return Elastic(2, 2, 1, environment)


def test_agents_meet_and_leave_json_in_the_store(store: TCPStore) -> None:
    meetings = [meeting(store) for _ in range(2)]
    with ThreadPoolExecutor(2) as pool:
        groups = list(pool.map(Elastic.next, meetings))
    assert sorted(group.first_rank for group in groups if group) == [0, 1]
    found = C10dRendezvousBackend(store, RUN).get_state()
    assert found is not None
    assert len(json.loads(found[0])["nodes"]) == 2
    for each in meetings:
        each.close()
    assert meeting(store).next() is None


def test_a_write_is_refused_where_another_came_first(store: TCPStore) -> None:
    mine, other = (CheckedBackend(C10dRendezvousBackend(store, RUN)) for _ in range(2))
    first = mine.set_state(pickle.dumps(_RendezvousState()))
    assert first is not None
    assert first[2]
    later = _RendezvousState()
    later.round = 1
    assert other.set_state(pickle.dumps(later), first[1]) is not None
    late = mine.set_state(pickle.dumps(_RendezvousState()), first[1])
    assert late is not None
    assert (pickle.loads(late[0]).round, late[2]) == (1, False)


class Touch:
    """What is unpickled leaves a mark."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.mark,)


def test_what_another_has_pickled_is_refused_in_one_line_and_never_unpickled(store: TCPStore, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    C10dRendezvousBackend(store, RUN).set_state(pickle.dumps(Touch(mark)))
    with pytest.raises(StoreFailed, match="the state of the rendezvous: wanted JSON, found b'") as refused:
        meeting(store).next()
    assert "\n" not in str(refused.value)
    assert not mark.exists()


WHOLE: dict[str, Any] = {"round": 0, "complete": False, "closed": False, "deadline": None, "nodes": []}
NODE: dict[str, Any] = {"addr": "host", "pid": 1, "local_id": 0, "rank": 0, "heard": 1}


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "wanted JSON, found b''"),
        pytest.param(b"[" * 100_000, "wanted JSON", id="deep"),
        (b"[]", "should be a valid dictionary"),
        ({"round": 0}, "complete: field required"),
        (WHOLE | {"round": -1}, "round: input should be greater than or equal to 0, found -1"),
        (WHOLE | {"round": True}, "round: wanted a number, found true"),
        (WHOLE | {"deadline": "soon"}, "deadline: .*, found 'soon'"),
        (WHOLE | {"deadline": 2**60}, "deadline: input should be less than"),
        (WHOLE | {"more": 1}, "unknown setting 'more'"),
        (WHOLE | {"nodes": [NODE | {"addr": "h" * 256}]}, "at most 255 characters"),
        (WHOLE | {"nodes": [NODE | {"heard": -1}]}, "nodes.0.heard"),
        (WHOLE | {"nodes": [NODE, {"addr": "host"}]}, "nodes.1.pid: field required"),
    ],
)
def test_a_state_that_is_none_is_refused_in_one_line(data: bytes | dict[str, Any], said: str) -> None:
    with pytest.raises(RendezvousStateError, match=f"the state of the rendezvous: .*{said}"):
        read(data if isinstance(data, bytes) else json.dumps(data).encode())


def test_a_state_that_is_too_large_is_refused() -> None:
    with pytest.raises(RendezvousStateError, match=f"wanted at most {LARGEST} bytes, found {LARGEST + 1}"):
        read(b" " * (LARGEST + 1))


@pytest.mark.parametrize(
    ("address", "port"), [(b"host", b"soon"), (b"host", b"99999"), (b"a host", b"1"), (b"", b"1"), (b"\xff", b"1")]
)
def test_an_address_that_is_none_is_refused(store: TCPStore, address: bytes, port: bytes) -> None:
    first = _NodeDesc("first", 1, 0)
    state = _RendezvousState()
    state.participants, state.last_heartbeats = {first: 0}, {first: datetime.now(UTC) + timedelta(minutes=1)}
    CheckedBackend(C10dRendezvousBackend(store, RUN)).set_state(pickle.dumps(state))
    left = PrefixStore(f"{KEY}.0", store)
    left.set("MASTER_ADDR", address)  # pyright: ignore[reportArgumentType]
    left.set("MASTER_PORT", port)  # pyright: ignore[reportArgumentType]
    with pytest.raises(StoreFailed, match="wanted the address of the first node in the rendezvous, found"):
        meeting(store).next()
