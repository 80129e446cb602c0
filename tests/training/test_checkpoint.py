"""Checkpoints of one process: whole or absent, the newest that verifies, the last few kept."""

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import pytest
import torch

from fastgen_k8s.artifacts import Artifact, Cached, FileEntry, Store, begin, open_artifact, read, store_at
from fastgen_k8s.artifacts.facts import TrainingFacts
from fastgen_k8s.artifacts.manifest import MOST_BYTES
from fastgen_k8s.errors import BadInput
from fastgen_k8s.experiments.schema import Train
from fastgen_k8s.training.checkpoint import Checkpoints, load_role, resume
from fastgen_k8s.training.committed import committed, group_prefix, newest, prune
from fastgen_k8s.training.loop import train
from fastgen_k8s.training.parallel import World, join
from fastgen_k8s.training.state import TrainingState
from tests.s3_server import Server
from tests.training.toy import AVERAGED, SOURCE, Toy, fresh, weights

SETTINGS = Train(steps=8, global_batch=4, ema=AVERAGED)


@pytest.fixture(scope="module")
def alone() -> Iterator[World]:
    """A process that has met itself."""
    with join(torch.device("cpu"), "float32", 60) as world:
        yield world


@pytest.fixture(params=["folder", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """The place of an artifact."""
    if request.param == "folder":
        return store_at(str(tmp_path / "place"))
    server: Server = request.getfixturevalue("s3")
    return store_at(server.place())


class Run:
    """A toy run that can be trained and saved step by step."""

    def __init__(self, store: Store, world: World, keep: int = 2, prefix: str | None = None) -> None:
        self.toy = Toy()
        self.state: TrainingState = fresh(self.toy, SETTINGS)
        self.checkpoints = Checkpoints(store, world, prefix or group_prefix(store), keep, {"method": "toy"})

    def train(self, steps: int) -> None:
        """Go on to a step."""
        train(self.toy.method(), self.state, SETTINGS.override(f"steps={steps}"), SOURCE)

    def save(self, *steps: int) -> None:
        """Train to each step and save there."""
        for step in steps:
            self.train(step)
            self.checkpoints.save(self.state)
        self.checkpoints.wait()


def files_of(store: Store, step: int) -> list[str]:
    """The keys of a committed step's data."""
    return sorted(committed(store, step).files)


def test_a_resumed_run_ends_with_the_same_bits(store: Store, alone: World) -> None:
    whole, first, second = Run(store, alone), Run(store, alone), Run(store, alone)
    whole.train(8)
    first.save(5)
    resume(store, second.state, alone)
    second.train(8)
    assert torch.equal(weights(second.toy), weights(whole.toy))


def test_a_resumed_run_has_the_same_average(store: Store, alone: World) -> None:
    whole, first, second = Run(store, alone), Run(store, alone), Run(store, alone)
    whole.train(8)
    first.save(5)
    resume(store, second.state, alone)
    second.train(8)
    found, wanted = (it.state.averages["student"].means for it in (second, whole))
    assert found.keys() == wanted.keys() and all(torch.equal(found[name], wanted[name]) for name in wanted)


def test_a_resumed_run_goes_on_counting_broken_bounds(store: Store, alone: World) -> None:
    first, second = Run(store, alone), Run(store, alone)
    first.train(5)
    first.checkpoints.save(first.state)
    first.train(6)  # while it is written
    first.checkpoints.wait()
    resume(store, second.state, alone)
    second.train(8)
    assert second.toy.bounds.streaks == {"checks": 8}


def test_without_a_checkpoint_there_is_nothing_to_resume(store: Store, alone: World) -> None:
    run = Run(store, alone)
    assert (resume(store, run.state, alone), run.state.step) == (False, 0)


def test_a_checkpoint_without_its_manifest_is_not_there(store: Store, alone: World) -> None:
    run = Run(store, alone)
    run.save(2)
    store.delete("checkpoints/step-00000002.json")
    assert not resume(store, Run(store, alone).state, alone)


def test_training_goes_on_while_a_copy_is_written(store: Store, alone: World) -> None:
    run, other = Run(store, alone), Run(store, alone)
    run.train(2)
    run.checkpoints.save(run.state)
    run.train(8)
    run.checkpoints.wait()
    resume(store, other.state, alone)
    run_at_2 = Run(store, alone)
    run_at_2.train(2)
    assert torch.equal(weights(other.toy), weights(run_at_2.toy))


def test_the_last_few_are_kept(store: Store, alone: World) -> None:
    run = Run(store, alone, keep=2)
    run.save(1, 2, 3, 4)
    assert sorted({key.split("/")[-2] for key in store.keys("checkpoints/0")}) == ["00000003", "00000004"]


def test_garbage_of_a_killed_group_is_pruned_once_it_is_old(store: Store, alone: World) -> None:
    store.put("checkpoints/0001-dead/00000001/__0_0.distcp", b"half")
    store.put("checkpoints/0001-dead/00000007/__0_0.distcp", b"maybe being written")
    Run(store, alone, keep=1).save(2)
    assert list(store.keys("checkpoints/0001-dead/")) == ["checkpoints/0001-dead/00000007/__0_0.distcp"]


def test_what_else_lies_beside_checkpoints_is_left_alone(store: Store, alone: World) -> None:
    foreign = ["checkpoints/notes/old/a.txt", "checkpoints/step-latest.json"]
    for name in foreign:
        store.put(name, b"somebody's")
    Run(store, alone, keep=1).save(2, 4)
    assert resume(store, Run(store, alone).state, alone)
    assert [name for name in foreign if store.get(name)] == foreign


def test_a_checkpoint_that_names_no_metadata_is_passed_over(store: Store, alone: World) -> None:
    Run(store, alone).save(2)
    store.put("checkpoints/step-00000009.json", b'{"prefix": "0001-aa", "step": 9, "files": {}}')
    found = newest(store)
    assert found is not None
    assert found.step == 2


def test_a_torn_older_manifest_is_no_error_when_a_later_step_is_written(store: Store, alone: World) -> None:
    run = Run(store, alone)
    run.save(2)
    truncate(store, "checkpoints/step-00000002.json")
    run.save(4)
    assert committed(store, 4).step == 4


def test_the_second_writer_of_a_step_drops_its_copy_and_trains_on(store: Store, alone: World) -> None:
    first, second = Run(store, alone, prefix="0001-aa"), Run(store, alone, prefix="0001-bb")
    first.save(2)
    second.save(2, 3)
    assert (committed(store, 2).prefix, committed(store, 3).prefix) == ("0001-aa", "0001-bb")


def test_the_dropped_copy_leaves_no_files(store: Store, alone: World) -> None:
    Run(store, alone, prefix="0001-aa").save(2)
    Run(store, alone, prefix="0001-bb").save(2)
    assert not store.keys("checkpoints/0001-bb/")


def test_a_group_that_was_paused_while_it_pruned_spares_what_was_written_since(
    store: Store, alone: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    Run(store, alone, keep=2).save(2)
    later, listed = Run(store, alone, keep=2), store.keys
    resume(store, later.state, alone)

    def paused(_: Store, prefix: str = "") -> Sequence[str]:
        found = listed(prefix)
        monkeypatch.undo()
        later.save(4, 6, 8)  # the rest of the run, while this group sleeps
        return found

    monkeypatch.setattr(type(store), "keys", paused)
    prune(store, 2)
    assert [committed(store, step).step for step in (6, 8)] == [6, 8]


def test_a_checkpoint_that_is_pruned_while_it_is_read_is_no_error(
    store: Store, alone: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, later = Run(store, alone, keep=1), Run(store, alone, keep=1)
    first.save(2)
    resume(store, later.state, alone)
    reading = Cached.folder

    def slow(self: Cached, prefix: str, files: Mapping[str, FileEntry]) -> Path:
        monkeypatch.undo()
        later.save(4)  # which prunes step 2
        return reading(self, prefix, files)

    monkeypatch.setattr(Cached, "folder", slow)
    state = Run(store, alone).state
    assert resume(store, state, alone)
    assert state.step == 4


def truncate(store: Store, name: str) -> None:
    """Lose the second half of a file."""
    data = read(store, name)
    store.put(name, data[: len(data) // 2])


def change(store: Store, name: str) -> None:
    """Another byte in the middle, the same size."""
    data = bytearray(read(store, name))
    data[len(data) // 2] ^= 255
    store.put(name, bytes(data))


def lose(store: Store, name: str) -> None:
    """No file at all."""
    store.delete(name)


@pytest.mark.parametrize("damage", [truncate, change, lose])
@pytest.mark.parametrize("number", [0, 1])
def test_a_torn_newest_is_passed_over(
    store: Store, alone: World, damage: Callable[[Store, str], None], number: int
) -> None:
    Run(store, alone).save(2, 4)
    damage(store, files_of(store, 4)[number])
    state = Run(store, alone).state
    resume(store, state, alone)
    assert state.step == 2


def test_a_torn_manifest_is_passed_over(store: Store, alone: World) -> None:
    Run(store, alone).save(2, 4)
    truncate(store, "checkpoints/step-00000004.json")
    state = Run(store, alone).state
    resume(store, state, alone)
    assert state.step == 2


def test_a_run_that_passed_over_a_torn_step_can_write_it_again(store: Store, alone: World) -> None:
    Run(store, alone).save(2, 4)
    truncate(store, files_of(store, 4)[1])
    again = Run(store, alone)
    resume(store, again.state, alone)
    again.save(4)
    found = newest(store)
    assert found is not None
    assert (found.step, found.prefix) == (4, again.checkpoints.prefix)


def test_a_committed_checkpoint_that_does_not_verify_with_no_older_one_is_refused(store: Store, alone: World) -> None:
    Run(store, alone).save(2)
    truncate(store, files_of(store, 2)[1])
    with pytest.raises(BadInput, match="wanted a checkpoint that verifies, found 1 that do not"):
        resume(store, Run(store, alone).state, alone)


def test_a_checkpoint_of_another_architecture_is_refused(store: Store, alone: World) -> None:
    Run(store, alone).save(2)
    other = Run(store, alone)
    other.state.roles = {"teacher": other.state.roles["student"]}
    with pytest.raises(BadInput, match=r"wanted the tensors of this run, found: .*teacher"):
        resume(store, other.state, alone)


def test_a_checkpoint_of_another_precision_is_refused(store: Store, alone: World) -> None:
    first, other = Run(store, alone), Run(store, alone)
    first.save(2)
    other.state.roles["student"].module.double()
    with pytest.raises(BadInput, match=r"wanted student\.weights\.\S+ of torch\.float64, found torch\.float32"):
        resume(store, other.state, alone)


def test_a_failed_write_is_seen_by_the_loop_and_said_by_wait(tmp_path: Path, alone: World) -> None:
    store = store_at(str(tmp_path))
    run = Run(store, alone, prefix="0001-aa")
    store.put("checkpoints/0001-aa", b"a file where the folder should be")
    run.train(1)
    run.checkpoints.save(run.state)
    with pytest.raises(BadInput, match=r"0001-aa/00000001: wanted a folder on the way there, found a file"):
        run.checkpoints.wait()
    assert run.checkpoints.failed


def test_metadata_that_want_to_run_code_are_refused(store: Store, alone: World, tmp_path: Path) -> None:
    run = Run(store, alone)
    run.save(2)
    name = next(name for name in files_of(store, 2) if name.endswith(".metadata"))
    store.put(name, b"cposix\nsystem\n(S'touch " + str(tmp_path / "ran").encode() + b"'\ntR.")
    _sign_again(store, 2)
    with pytest.raises(BadInput, match=r"a pickle that wants posix\.system"):
        resume(store, Run(store, alone).state, alone)
    assert not (tmp_path / "ran").exists()


def test_prefixes_of_later_groups_sort_after_earlier_ones(store: Store, alone: World) -> None:
    prefixes: list[str] = []
    for _ in range(3):
        prefixes.append(group_prefix(store))
        store.put(f"log/{prefixes[-1]}/00000001.jsonl", b"")
    assert prefixes == sorted(prefixes)


def ended(run: Run, step: int) -> Artifact:
    """The artifact of a run that has ended with the checkpoint of a step."""
    store = run.checkpoints.store
    writer = begin(store.uri + "-artifact", "training", "d" * 64, {})
    for name in files_of(store, step):
        writer.put(name, read(store, name))
    made = {"t_list": (0.9, 0.0), "chunk_size": None, "latent": (1, 1, 1, 1), "step": step}
    of = {"method": "regression", "roles": ("student",), "steps": step, "seed": 0, "ema": True}
    writer.commit(TrainingFacts.parse(made | of, "a training").said())
    return open_artifact(writer.store.uri, "training")


@pytest.mark.parametrize("kind", ["raw", "ema"])
def test_a_role_is_read_from_a_training_artifact(store: Store, alone: World, kind: str) -> None:
    run = Run(store, alone)
    run.save(3)
    state, step = load_role(ended(run, 3), "student", "ema" if kind == "ema" else "raw")
    wanted = run.state.averages["student"].means if kind == "ema" else dict(run.toy.student.named_parameters())
    assert step == 3
    assert all(torch.equal(state[name], value) for name, value in wanted.items())


@pytest.mark.parametrize(
    ("role", "kind", "words"),
    [
        ("discriminator", "raw", "wanted raw weights of the role 'discriminator', found none"),
        ("fake_score", "ema", "wanted ema weights of the role 'fake_score', found none"),
    ],
)
def test_a_role_that_is_not_there_is_refused(store: Store, alone: World, role: str, kind: str, words: str) -> None:
    run = Run(store, alone)
    run.save(2)
    with pytest.raises(BadInput, match=words):
        load_role(ended(run, 2), role, "ema" if kind == "ema" else "raw")


def test_a_checkpoint_whose_manifest_is_too_large_is_passed_over(tmp_path: Path, alone: World) -> None:
    store = store_at(str(tmp_path / "place"))
    Run(store, alone).save(2, 4)
    os.truncate(tmp_path / "place/checkpoints/step-00000004.json", MOST_BYTES + 1)
    found = newest(store)
    assert (found and found.step) == 2


def _sign_again(store: Store, step: int) -> None:
    """Make the manifest fit changed files, as one who means harm would."""
    from fastgen_k8s.artifacts import FileEntry

    key = f"checkpoints/step-{step:08d}.json"
    manifest = json.loads(read(store, key))
    for name in manifest["files"]:
        manifest["files"][name] = FileEntry.of(read(store, name)).model_dump(mode="json")
    store.put(key, json.dumps(manifest).encode())


def test_who_may_read_a_checkpoint_is_what_the_umask_says(alone: World, tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        Run(store_at(str(tmp_path)), alone).save(1)
    finally:
        os.umask(before)
    assert {path.stat().st_mode & 0o777 for path in tmp_path.rglob("*") if path.is_file()} == {0o640}
