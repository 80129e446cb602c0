"""One command in another checkout and in this one, by turns: `python -m benchmarks.against OLD_CHECKOUT ROW [PAIRS]`.

Each runs with its own checkout's `.venv`. What is compared is the processor time of all its processes, and the time on
the wall; OLD is a worktree of an earlier commit with a virtual environment of its own.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median

from benchmarks.tree import Spent

TEACHER = "teacher=examples/moving_shapes/teacher"
PROMPTS = "prompts=examples/moving_shapes/prompts.txt"
ONE_CLIP = ("--set", "pairs.samples_per_prompt=1")
ONE_STEP = ("--set", "train.steps=1", "--set", "train.global_batch=2")
NEW = Path(__file__).resolve().parent.parent

Words = Sequence[str]
Run = Callable[[Words], object]
Row = Callable[[Path, Run], Callable[[Path], Words]]
"""Makes what its command needs in a folder, with a function that runs the old checkout's Python; then the words that
Python is started with, given where the output goes."""


def _stage(kind: str, output: Path, *inputs: str, experiment: str = "moving_shapes/kd_causal") -> list[str]:
    given = [word for one in inputs for word in ("--input", one)]
    return ["-m", "fastgen_k8s", kind, "--experiment", experiment, "--output", str(output), *given]


def encode(folder: Path, old: Run) -> Callable[[Path], Words]:
    """The demo's prompts, by a text encoder with weights: most is the import of its class."""
    return lambda output: _stage("encode", output, PROMPTS, TEACHER)


def labels(folder: Path, old: Run) -> Callable[[Path], Words]:
    """Prompts of a closed list, which need no weights."""
    prompts = "prompts=examples/closed_form/gaussian.txt"
    return lambda output: _stage("encode", output, prompts, experiment="closed_form/gaussian_kd")


def bridge(folder: Path, old: Run) -> Callable[[Path], Words]:
    """A training of one step to the weights of the next stage."""
    conditions, pairs = _pairs(folder, old)
    training = folder / "training"
    old([*_stage("train", training, f"conditions={conditions}", f"pairs={pairs}", TEACHER), *ONE_STEP])
    return lambda output: _stage("bridge", output, f"checkpoint={training}")


def report(folder: Path, old: Run) -> Callable[[Path], Words]:
    """A page of one clip a prompt."""
    _, pairs = _pairs(folder, old)
    return lambda output: _stage("report", output, f"pairs={pairs}", experiment="moving_shapes/sf")


def _pairs(folder: Path, old: Run) -> tuple[Path, Path]:
    conditions, pairs = folder / "conditions", folder / "pairs"
    old(_stage("encode", conditions, PROMPTS, TEACHER))
    old([*_stage("pairs", pairs, f"conditions={conditions}", TEACHER), *ONE_CLIP])
    return conditions, pairs


def demo(folder: Path, old: Run) -> Callable[[Path], Words]:
    """`make demo`."""
    pipeline = "manifests/pipelines/moving-shapes.yaml"
    return lambda output: ["-m", "fastgen_k8s", "run", pipeline, "--root", str(output), "--parallel", "2"]


def controller(folder: Path, old: Run) -> Callable[[Path], Words]:
    """What a controller imports before it looks at a cluster.

    The Kubernetes client imports kubernetes-validate where it finds it: with the tests' packages, not in the image.
    """
    program = "import sys; sys.modules['kubernetes_validate'] = None; import fastgen_k8s.controller.serve"
    return lambda output: ["-c", program]


def refusal(folder: Path, old: Run) -> Callable[[Path], Words]:
    """How long a person waits to be told of a setting that is none."""
    words = [*_stage("train", folder / "none"), "--set", "train.stepz=1"]
    program = f"import subprocess, sys; sys.exit(subprocess.call([sys.executable, *{words!r}]) != 64)"
    return lambda output: ["-c", program]


ROWS: Mapping[str, Row] = {row.__name__: row for row in (encode, labels, bridge, report, demo, controller, refusal)}


def spent(checkout: Path, words: Words, folder: Path) -> Spent:
    """What a checkout's Python and all that it starts take; CalledProcessError when it ends badly."""
    python = str(checkout / ".venv" / "bin" / "python")
    environment = os.environ | {"OMP_NUM_THREADS": "1", "FASTGEN_CACHE": str(folder / "cache")}
    command = [sys.executable, str(NEW / "benchmarks" / "tree.py"), python, *words]
    done = subprocess.run(command, cwd=checkout, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return Spent.parse(done.stdout)


def against(old: Path, new: Path, row: Row, pairs: int) -> list[tuple[Spent, Spent]]:
    """What the old and the new checkout took, pair by pair, after one run of each that does not count."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        words = row(folder, lambda words: spent(old, words, folder))
        turns = [
            (spent(old, words(folder / f"old-{turn}"), folder), spent(new, words(folder / f"new-{turn}"), folder))
            for turn in range(pairs + 1)
        ]
    return turns[1:] or turns


def line(name: str, turns: Sequence[tuple[Spent, Spent]]) -> str:
    """Medians and ratios, for a person."""
    parts: list[str] = []
    for unit in ("cpu", "wall"):
        olds = [before._asdict()[unit] for before, _ in turns]
        news = [after._asdict()[unit] for _, after in turns]
        ratio = median(after / before for before, after in zip(olds, news, strict=True))
        parts.append(f"{unit} {ratio:.2f}x ({median(olds):.2f} s before, {median(news):.2f} s now)")
    return f"{name}: {', '.join(parts)}, median of {len(turns)} alternating pairs"


def main(argv: Sequence[str]) -> int:
    """Print one row."""
    if len(argv) not in (2, 3) or argv[1] not in ROWS:
        print(f"usage: python -m benchmarks.against OLD_CHECKOUT {{{'|'.join(ROWS)}}} [PAIRS]", file=sys.stderr)
        return 64
    pairs = int(argv[2]) if len(argv) == 3 else 5
    print(line(argv[1], against(Path(argv[0]).resolve(), NEW, ROWS[argv[1]], pairs)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
