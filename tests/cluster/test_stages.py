"""The whole of a tiny Wan pipeline by `torchx run -s jobset components/X.py`, to videos in the bucket."""

import io
import time
from collections.abc import Callable

import av
import pytest

from fastgen_k8s.artifacts import find_artifact, open_artifact, store_at
from tests.cluster.launched import Place

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]

PROMPTS = b"a red ball moves to the left\na blue square moves up\n"
TWO = ("--nodes", "1:2")
TINY = ("--resource", "cpu_tiny")
STAGES: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("encode", ()),
    ("stage1", (*TWO, "pairs.samples_per_prompt=4", "pairs.block_size=2", "pairs.solver_steps=8")),
    ("stage2", (*TWO, "train.steps=6", "train.global_batch=4")),
    ("bridge", ()),
    ("stage3", (*TWO, "train.steps=6", "train.global_batch=4")),
    ("sample", (*TWO, "sample.samples_per_prompt=2")),
)


def test_every_stage_runs_as_a_component_and_ends_with_videos_in_the_bucket(
    place: Place, teacher: str, record_property: Callable[[str, object], None]
) -> None:
    store_at(place.root).put("prompts.txt", PROMPTS)
    given = {"FASTGEN_TEACHER": teacher, "FASTGEN_PROMPTS": f"{place.root}/prompts.txt"}
    for stage, words in STAGES:
        began = time.monotonic()
        place.run(stage, *TINY, *words, wait=True, environment=given)
        record_property(stage, f"{time.monotonic() - began:.1f} s")
        print(f"{stage}: {time.monotonic() - began:.1f} s")
        assert find_artifact(f"{place.root}/{stage}") is not None
    made = open_artifact(f"{place.root}/sample", "samples")
    videos = [name for name in made.manifest.files if name.endswith(".mp4")]
    with av.open(io.BytesIO(made.read(videos[0])), "r") as video:
        frames = sum(1 for _ in video.decode(video=0))
    assert (len(videos), frames > 1) == (4, True)


@pytest.fixture(scope="module")
def teacher(place: Place) -> str:
    """The example's teacher as a model artifact in the store."""
    where = f"{place.root}/teacher"
    added = place.command("fastgen-k8s", "models", "add", "examples/moving_shapes/teacher", "--to", where)
    assert added.returncode == 0, added.stderr
    return where
