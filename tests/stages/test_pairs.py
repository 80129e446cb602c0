"""Stage 1: the teacher's trajectories, and what refuses them later."""

import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save

from fastgen_k8s.artifacts import Artifact, open_artifact
from fastgen_k8s.artifacts.manifest import FileEntry, Manifest, from_json
from fastgen_k8s.data.conditions import Conditions
from fastgen_k8s.data.pairs import PairSet
from fastgen_k8s.errors import BadInput, Misdescribed, Unhealthy
from fastgen_k8s.experiments import get_experiment
from fastgen_k8s.experiments.encoders import Labels
from fastgen_k8s.networks.pth import to_pth
from tests.conftest import run_stage

GAUSSIAN = "closed_form/gaussian_kd"
SMALL = ("pairs.samples_per_prompt=3", "pairs.block_size=4")
MODEL = get_experiment(GAUSSIAN).model


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, gaussian_conditions: Path) -> Path:
    place = tmp_path_factory.mktemp("pairs") / "p"
    run_stage("pairs", GAUSSIAN, place, *SMALL, conditions=gaussian_conditions)
    return place


@pytest.fixture
def pairs(made: Path, tmp_path: Path) -> Path:
    """A copy to damage."""
    return Path(shutil.copytree(made, tmp_path / "copy"))


def opened(place: Path) -> Artifact:
    return open_artifact(str(place), "pairs")


def test_each_sample_has_the_seeds_files(made: Path) -> None:
    assert {path.name for path in (made / "samples/000005").iterdir()} == {"latent.pth", "path.pth", "prompt.txt"}


def test_padding_is_never_written(made: Path) -> None:
    assert len(list((made / "samples").iterdir())) == 6  # in blocks of 4, the second one padded


def test_files_load_without_running_code(made: Path) -> None:
    path = torch.load(made / "samples/000000/path.pth", weights_only=True)
    assert path.shape == (4, *MODEL.latent)


def test_the_first_state_is_the_noise_scaled_to_the_first_time(made: Path) -> None:
    x0, path = PairSet(opened(made)).batch(range(6), MODEL.times)
    assert path[:, 0].std().item() == pytest.approx(0.999, abs=0.15)
    assert not torch.allclose(path[:, 0], x0)


def test_the_index_says_the_exact_times_and_how_they_were_made(made: Path) -> None:
    index = json.loads((made / "index.json").read_text())
    assert index["times"] == [0.999, 0.937, 0.833, 0.624]
    assert set(index["times"]) < set(index["grid"])
    assert (index["solver"], index["solver_steps"], index["guidance"]) == ("unipc", 35, 1.0)


def test_the_manifest_says_the_seed(gaussian_conditions: Path, tmp_path: Path) -> None:
    made = run_stage("pairs", GAUSSIAN, tmp_path / "p", *SMALL, "pairs.seed=7", conditions=gaussian_conditions)
    assert made.manifest.facts["seed"] == 7


def test_a_sample_belongs_to_the_prompt_that_it_names(made: Path) -> None:
    pairs = PairSet(opened(made))
    texts = [(made / f"samples/{n:06d}/prompt.txt").read_text().strip() for n in range(6)]
    assert texts == [("turning left", "turning right")[prompt] for prompt in pairs.prompts(range(6))]


def test_a_bidirectional_teachers_index_says_no_chunk_as_it_always_has(made: Path) -> None:
    assert json.loads((made / "index.json").read_text())["chunk_size"] == 0
    assert PairSet(opened(made)).index.chunk_size is None


def test_columns_are_chosen_by_the_recorded_time(made: Path) -> None:
    pairs = PairSet(opened(made))
    _, whole = pairs.batch([0, 4], MODEL.times)
    _, part = pairs.batch([0, 4], (0.833,))
    assert torch.equal(part[:, 0], whole[:, 2])


def test_a_restart_after_a_lost_block_makes_the_same_bytes(made: Path, pairs: Path, gaussian_conditions: Path) -> None:
    for lost in ("artifact.json", "index.json", "blocks/000001.json", "samples/000004/path.pth"):
        (pairs / lost).unlink()
    run_stage("pairs", GAUSSIAN, pairs, *SMALL, conditions=gaussian_conditions)
    assert contents(pairs) == contents(made)


def contents(place: Path) -> dict[str, bytes]:
    return {str(path.relative_to(place)): path.read_bytes() for path in place.rglob("*") if path.is_file()}


def test_block_size_is_hashed_for_it_changes_bits() -> None:
    assert get_experiment(GAUSSIAN).override("pairs.block_size=3").canonical() != get_experiment(GAUSSIAN).canonical()


def test_a_grid_that_is_too_short_is_refused_before_anything_is_made(tmp_path: Path, gaussian_conditions: Path) -> None:
    with pytest.raises(Misdescribed, match="wanted a node of its own for each time"):
        run_stage("pairs", GAUSSIAN, tmp_path / "p", "pairs.solver_steps=3", conditions=gaussian_conditions)
    assert not (tmp_path / "p").exists()


def rewrite(place: Path, name: str, data: bytes) -> None:
    """Change a file together with its manifest, as somebody who publishes bad data would."""
    (place / name).write_bytes(data)
    manifest = from_json(Manifest, (place / "artifact.json").read_bytes(), "test")
    changed = manifest.model_copy(update={"files": {**manifest.files, name: FileEntry.of(data)}})
    (place / "artifact.json").write_bytes(changed.to_json())


def indexed(place: Path, **changes: object) -> None:
    """Change what the index says."""
    index = json.loads((place / "index.json").read_bytes())
    rewrite(place, "index.json", json.dumps(index | changes).encode())


def truncate(place: Path) -> None:
    path = place / "samples/000000/path.pth"
    path.write_bytes(path.read_bytes()[:100])


class Evil:
    """A pickle that wants to run code."""

    def __reduce__(self) -> tuple[Callable[[str], object], tuple[str]]:
        return print, ("code was run",)


BAD_FILES: dict[str, tuple[Callable[[Path], object], str]] = {
    "a truncated path": (truncate, r"path\.pth: wanted \d+ bytes, found 100"),
    "no path": (lambda p: (p / "samples/000000/path.pth").unlink(), r"path\.pth: wanted a file, found none"),
    "a path that is text": (
        lambda p: rewrite(p, "samples/000000/path.pth", b"hello"),
        r"path\.pth: wanted tensors, found something else",
    ),
    "a path that wants to run code": (
        lambda p: rewrite(p, "samples/000000/path.pth", pickle.dumps(Evil(), protocol=2)),
        r"path\.pth: wanted tensors, found a pickle that wants builtins.print",
    ),
    "a path without a state": (
        lambda p: rewrite(p, "samples/000000/path.pth", to_pth(torch.zeros(3, *MODEL.latent))),
        r"path\.pth: wanted a tensor \[4, 2, 6, 1, 1\], found \[3, 2, 6, 1, 1\]",
    ),
    "a latent of another shape": (
        lambda p: rewrite(p, "samples/000000/latent.pth", to_pth(torch.zeros(2, 5, 1, 1))),
        r"latent\.pth: wanted a tensor \[2, 6, 1, 1\], found \[2, 5, 1, 1\]",
    ),
    "a path of another type": (
        lambda p: rewrite(p, "samples/000000/path.pth", to_pth(torch.zeros(4, *MODEL.latent).double())),
        r"path\.pth: wanted numbers of type float32, found float64",
    ),
    "a path that is not finite": (
        lambda p: rewrite(p, "samples/000000/path.pth", to_pth(torch.zeros(4, *MODEL.latent) / 0)),
        r"path\.pth: wanted finite numbers",
    ),
    "an index that is text": (lambda p: rewrite(p, "index.json", b"hello"), r"index\.json: wanted JSON"),
    "an index that is a list": (lambda p: rewrite(p, "index.json", b"[]"), r"index\.json: .*found \[\]"),
    "an index without times": (lambda p: rewrite(p, "index.json", b'{"samples": 3}'), r"index\.json: "),
    "negative latents": (lambda p: indexed(p, latent=[2, -6, 1, 1]), r"index\.json: latent\.1: .*greater than 0"),
    "no times at all": (lambda p: indexed(p, times=[]), r"index\.json: times: .*at least 1 item"),
    "another kind of teacher": (lambda p: indexed(p, teacher="other"), r"index\.json: teacher: "),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_bad_files_are_refused_in_one_line(pairs: Path, case: str) -> None:
    damage, message = BAD_FILES[case]
    damage(pairs)
    with pytest.raises(BadInput, match=message):
        PairSet(opened(pairs)).batch([0], MODEL.times)


def test_a_pickle_that_wants_to_run_code_does_not(pairs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rewrite(pairs, "samples/000000/path.pth", pickle.dumps(Evil(), protocol=2))
    with pytest.raises(BadInput):
        PairSet(opened(pairs)).batch([0], MODEL.times)
    assert "code was run" not in capsys.readouterr().out


MISFITS = {
    "another time": (
        "t_list=[0.999,0.9,0]",
        "t_list time 0.9 is not in the pairs: they hold 0.999, 0.937, 0.833, 0.624",
    ),
    "another shape": ("latent=[2,5,1,1]", r"wanted latents of shape \[2, 5, 1, 1\], found \[2, 6, 1, 1\]"),
}


@pytest.mark.parametrize("case", MISFITS)
def test_pairs_that_do_not_fit_the_experiment_are_refused(made: Path, case: str) -> None:
    setting, message = MISFITS[case]
    pairs = PairSet(opened(made))
    with pytest.raises(BadInput, match=message):
        pairs.check(MODEL.override(setting), teacher=None, conditions=pairs.index.conditions_digest)


def test_pairs_without_a_path_of_each_sample_are_refused(pairs: Path) -> None:
    indexed(pairs, samples=10**30)
    given = PairSet(opened(pairs))
    with pytest.raises(BadInput, match="as many samples as the manifest has paths, 6, found 1000000"):
        given.check(MODEL, teacher=None, conditions=given.index.conditions_digest)


@pytest.mark.parametrize(
    ("name", "value"), [("latent", [2**62] * 4), ("times", [0.5] * (1 << 18)), ("teacher_digest", "../marker")]
)
def test_an_index_that_says_absurd_things_is_refused(pairs: Path, name: str, value: object) -> None:
    indexed(pairs, **{name: value})
    with pytest.raises(BadInput, match=rf"index\.json: {name}"):
        PairSet(opened(pairs))


CONDITIONS: dict[str, tuple[str, bytes, str]] = {
    "no prompts": ("prompts.json", b"[]", r"prompts\.json: wanted a list of prompts"),
    "prompts that are text": ("prompts.json", b"hello", r"prompts\.json: wanted JSON"),
    "prompts that are numbers": ("prompts.json", b"[1, 2]", r"prompts\.json: wanted a list of prompts"),
    "another encoding": ("prompts/000000.safetensors", save({"text": torch.zeros(1, 5)}), "wanted .* as in empty"),
    "no encoding": ("negative.safetensors", save({}), "wanted .* as in empty"),
    "not finite": ("prompts/000000.safetensors", save({"text": torch.zeros(1, 2) / 0}), "wanted finite numbers"),
}


@pytest.mark.parametrize("case", CONDITIONS)
def test_bad_conditions_are_refused_in_one_line(gaussian_conditions: Path, tmp_path: Path, case: str) -> None:
    name, data, message = CONDITIONS[case]
    given = Path(shutil.copytree(gaussian_conditions, tmp_path / "c"))
    rewrite(given, name, data)
    with pytest.raises(BadInput, match=message):
        run_stage("pairs", GAUSSIAN, tmp_path / "p", *SMALL, conditions=given)
    assert not (tmp_path / "p/artifact.json").exists()


def test_conditions_of_another_encoder_are_refused(gaussian_conditions: Path) -> None:
    conditions = Conditions(open_artifact(str(gaussian_conditions), "conditions"))
    with pytest.raises(BadInput, match=r"wanted a text \[1, 1\] of model\.text labels, found \[1, 2\]"):
        conditions.check(Labels(kind="labels", labels=("turning left",)))


def test_pairs_that_are_not_finite_are_not_written(gaussian_conditions: Path, tmp_path: Path) -> None:
    with pytest.raises(Unhealthy, match="wanted a finite clip"):
        run_stage("pairs", GAUSSIAN, tmp_path / "p", *SMALL, "pairs.guidance=1e300", conditions=gaussian_conditions)
    assert not (tmp_path / "p/blocks").exists()


def test_pairs_of_another_teacher_are_refused(made: Path) -> None:
    pairs = PairSet(opened(made))
    with pytest.raises(BadInput, match="wanted pairs of the teacher 1111111111111111, found"):
        pairs.check(MODEL, teacher="1" * 64, conditions=pairs.index.conditions_digest)


def test_pairs_of_other_conditions_are_refused(made: Path) -> None:
    with pytest.raises(BadInput, match="wanted pairs of the conditions 2222222222222222, found"):
        PairSet(opened(made)).check(MODEL, teacher=None, conditions="2" * 64)


def test_autoregressive_pairs_of_another_chunk_are_refused(tmp_path: Path, gaussian_conditions: Path) -> None:
    settings = (*SMALL, "pairs.teacher=autoregressive")
    made = run_stage("pairs", GAUSSIAN, tmp_path / "p", *settings, conditions=gaussian_conditions)
    pairs = PairSet(made)
    with pytest.raises(BadInput, match="wanted an autoregressive teacher's chunk of 3, found 2"):
        pairs.check(MODEL.override("chunk_size=3"), teacher=None, conditions=pairs.index.conditions_digest)
