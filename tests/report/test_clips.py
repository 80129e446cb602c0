"""Reading finished clips for the report."""

from pathlib import Path

import pytest
import torch

from fastgen_k8s.artifacts import begin, open_artifact
from fastgen_k8s.errors import BadInput
from fastgen_k8s.networks.pth import to_pth
from fastgen_k8s.report.clips import Clips, read_clips, spread_out
from tests.report_artifacts import MODEL, SHOWN, put_samples


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Clips:
    """Two clips of each of three prompts."""
    uri = put_samples(tmp_path_factory.mktemp("clips") / "samples", "1" * 64)
    return read_clips("samples", open_artifact(uri, "samples"))


def test_prompts_stand_beside_their_clips(clips: Clips) -> None:
    assert clips.prompts == tuple(prompt for prompt in SHOWN for _ in range(2))


def test_latents_are_stacked_in_the_order_of_their_numbers(clips: Clips) -> None:
    assert clips.latents().shape == (6, *MODEL.latent)


def test_the_first_clip_of_a_prompt_is_the_lowest_number(clips: Clips) -> None:
    assert clips.first(SHOWN[1]) == 2


def test_an_artifact_without_clips_is_refused(tmp_path: Path) -> None:
    begin(str(tmp_path / "empty"), "samples", "1" * 64, {}).commit({})
    with pytest.raises(BadInput, match="wanted clips"):
        read_clips("empty", open_artifact(str(tmp_path / "empty"), "samples"))


@pytest.mark.parametrize(
    ("name", "data", "found"),
    [
        ("samples/000001/prompt.txt", b"\xff", "wanted a prompt in UTF-8"),
        ("samples/000001/latent.pth", to_pth(torch.zeros(3)), r"wanted a tensor \[1\], found \[3\]"),
    ],
)
def test_a_clip_that_is_none_is_refused(tmp_path: Path, name: str, data: bytes, found: str) -> None:
    writer = begin(str(tmp_path / "odd"), "samples", "1" * 64, {})
    for number in range(2):
        writer.put(f"samples/{number:06d}/prompt.txt", b"a")
        writer.put(f"samples/{number:06d}/latent.pth", to_pth(torch.zeros(1)))
    writer.put(name, data)
    writer.commit({})
    with pytest.raises(BadInput, match=found):
        read_clips("odd", open_artifact(str(tmp_path / "odd"), "samples")).latents()


@pytest.mark.parametrize(
    ("count", "wanted"), [(0, []), (1, ["a"]), (2, ["a", "e"]), (3, ["a", "c", "e"]), (9, ["a", "b", "c", "d", "e"])]
)
def test_shown_prompts_come_from_all_over_the_list(count: int, wanted: list[str]) -> None:
    assert spread_out(["a", "a", "b", "c", "d", "e", "e"], count) == wanted
