"""S3 behind a proxy that fails by a seed: nothing is lost, and nothing torn is ever read as whole.

Four seeds belong to `make test`, five hundred to `make soak`; each fault alone is a test of its own.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest
import torch

from fastgen_k8s.artifacts import Cached, FileEntry, Store, begin, open_artifact, read, s3_client, store_at
from fastgen_k8s.data.blocks import make_blocks
from fastgen_k8s.experiments.schema import Train
from fastgen_k8s.training.checkpoint import Checkpoints, resume
from fastgen_k8s.training.committed import group_prefix, newest
from fastgen_k8s.training.loop import train
from fastgen_k8s.training.parallel import World, join
from tests.faults import FAULTS, NONE, Faults, proxy
from tests.s3_server import Server
from tests.training.toy import SOURCE, Toy, fresh, weights

RATE = 0.12  # of requests that meet a fault
SETTINGS = Train(steps=8, global_batch=4)


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Transfers in parts that are small enough for a test."""
    monkeypatch.setattr(s3_client, "PART", 5 << 20)


@pytest.fixture(scope="module")
def alone() -> Iterator[World]:
    """A process that has met itself."""
    with join(torch.device("cpu"), "float32", 60) as world:
        yield world


@pytest.fixture
def behind(s3: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> "Network":
    """A place on S3 that is reached through a proxy."""
    return Network(s3, tmp_path, monkeypatch)


class Network:
    """The way to a place: through a proxy, or straight; from this node, or from another."""

    def __init__(self, server: Server, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self.server, self.uri, self._folder, self._patch, self._nodes = server, server.place(), folder, patch, 0
        self.another_node()

    def through(self, endpoint: str) -> Store:
        """The place, as it is reached there."""
        self._patch.setenv("AWS_ENDPOINT_URL", endpoint)
        return store_at(self.uri)

    def another_node(self) -> None:
        """From now on with an empty cache."""
        self._nodes += 1
        self._patch.setenv("FASTGEN_CACHE", str(self._folder / f"node{self._nodes}"))


def use_store(store: Store, seed: int, folder: Path) -> None:
    """Every kind of request, with what it has to come to."""
    data = {f"files/{number}": bytes([number, seed % 256]) * 500 for number in range(4)}
    for name, content in data.items():
        store.put(name, content)
    assert store.keys("files/") == sorted(data)
    assert {name: read(store, name) for name in data} == data
    with ThreadPoolExecutor(4) as pool:
        won = list(pool.map(partial(store.put_new, "once"), [b"0", b"1", b"2", b"3"]))
    assert won.count(True) == 1, won
    assert read(store, "once") == str(won.index(True)).encode()
    large = bytes([seed % 256]) * (6 << 20)
    (folder / "large").write_bytes(large)
    store.upload("large", folder / "large", FileEntry.of_file(folder / "large"))
    store.delete("files/0")
    assert store.get("files/0") is None


def read_elsewhere(store: Store, seed: int) -> None:
    """What was written, from a node that has none of it."""
    large = bytes([seed % 256]) * (6 << 20)
    entries = {f"files/{number}": FileEntry.of(bytes([number, seed % 256]) * 500) for number in range(1, 4)}
    folder = Cached(store).folder("files", entries)
    assert all(FileEntry.of_file(folder / name.removeprefix("files/")) == entry for name, entry in entries.items())
    assert Cached(store).local("large", FileEntry.of(large)).read_bytes() == large


def train_and_stop(store: Store, world: World) -> None:
    """A run that saves, and ends without a word."""
    toy = Toy()
    state = fresh(toy, SETTINGS)
    checkpoints = Checkpoints(store, world, group_prefix(store), 1, {})
    for step in (2, 5):
        train(toy.method(), state, SETTINGS.override(f"steps={step}"), SOURCE)
        checkpoints.save(state)
    checkpoints.wait()


def go_on(store: Store, world: World) -> torch.Tensor:
    """The run that comes after, to its end."""
    toy = Toy()
    state = fresh(toy, SETTINGS)
    assert resume(store, state, world)
    assert state.step == 5
    train(toy.method(), state, SETTINGS, SOURCE)
    return weights(toy)


def undisturbed() -> torch.Tensor:
    """What a run without any store comes to."""
    toy = Toy()
    train(toy.method(), fresh(toy, SETTINGS), SETTINGS, SOURCE)
    return weights(toy)


def make_pairs(uri: str) -> None:
    """Ten samples in blocks of four, by a maker that stands for the teacher."""

    def make(samples: Sequence[int]) -> dict[str, bytes]:
        return {f"samples/{number:06d}/path.pth": bytes([number]) * 2000 for number in samples}

    writer = begin(uri, "pairs", "d" * 64, {})
    make_blocks(writer, 10, 4, make)
    writer.commit({})


def one_run(network: Network, world: World, seed: int, folder: Path) -> Faults:
    """Store, checkpoints and pairs behind the proxy; what it did."""
    faults = Faults(seed, RATE)
    with proxy(network.server.endpoint, faults) as endpoint:
        store = network.through(endpoint)
        use_store(store, seed, folder)
        make_pairs(f"{store.uri}/pairs")
        train_and_stop(store_at(f"{store.uri}/training"), world)
        network.another_node()
        read_elsewhere(store, seed)
        assert torch.equal(go_on(store_at(f"{store.uri}/training"), world), undisturbed())
        artifact = open_artifact(f"{store.uri}/pairs", "pairs")
        assert all(artifact.read(f"samples/{n:06d}/path.pth") == bytes([n]) * 2000 for n in range(10))
    network.through(network.server.endpoint)
    assert newest(store_at(f"{store.uri}/training")) is not None
    return faults


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_nothing_is_lost_and_nothing_torn_is_read_behind_faults(
    behind: Network, alone: World, seed: int, tmp_path: Path, small_parts: None
) -> None:
    faults = one_run(behind, alone, seed, tmp_path)
    assert faults.met.total() - faults.met[NONE] > 2


@pytest.mark.parametrize("fault", FAULTS)
def test_every_fault_alone_is_overcome(behind: Network, fault: str, tmp_path: Path, small_parts: None) -> None:
    faults = Faults(1, 0.3, (fault,))
    with proxy(behind.server.endpoint, faults) as endpoint:
        store = behind.through(endpoint)
        use_store(store, 1, tmp_path)
        behind.another_node()
        read_elsewhere(store, 1)
    assert faults.met[fault] > 3


@pytest.mark.soak
@pytest.mark.timeout(7200)
def test_five_hundred_runs_behind_faults(
    s3: Server, alone: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small_parts: None
) -> None:
    for seed in range(1000, 1500):
        one_run(Network(s3, tmp_path / str(seed), monkeypatch), alone, seed, tmp_path)
