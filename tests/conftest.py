"""What many tests share: one thread, and the small artifacts that stages start from."""

import importlib
import sys
from collections.abc import Callable, Generator
from pathlib import Path
from typing import cast

import hypothesis
import pytest
import structlog
import torch

from fastgen_k8s import cli
from fastgen_k8s.artifacts import Artifact, open_artifact
from fastgen_k8s.pipeline.kinds import KINDS, Kind
from fastgen_k8s.pipeline.work import Execution, Work
from fastgen_k8s.stages.stage import StageJob, StageModule, resolve
from tests.s3_server import Server, serve

torch.set_num_threads(1)
torch.backends.cudnn.allow_tf32 = False  # where there is a GPU: what is equal on a CPU is compared with it
hypothesis.settings.register_profile("ours", deadline=None)  # no assertion of a time: machines are shared
hypothesis.settings.load_profile("ours")


@pytest.fixture(autouse=True)
def log_as_before() -> Generator[None]:
    """What a command has set up for its log ends with its test: it may write to a file that is closed then."""
    yield
    structlog.reset_defaults()


Say = Callable[..., tuple[int, str, str]]


@pytest.fixture
def say(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Say:
    """Run a command of ours in this process; exit code, stdout and stderr."""

    def run(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["fastgen-k8s", *words])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        out, err = capsys.readouterr()
        return int(ended.value.code or 0), out, err

    return run


def job_of(kind: Kind, experiment: str, output: Path | str, *settings: str, **inputs: Path | str) -> StageJob:
    """A stage's job, resolved through the command line that every scheduler runs."""
    work = Work(
        kind=kind,
        experiment=experiment,
        overrides=settings,
        inputs={name: str(path) for name, path in inputs.items()},
        output=str(output),
    )
    return resolve([*work.argv(), *Execution(log_every=1).argv()])


def run_stage(kind: Kind, experiment: str, output: Path | str, *settings: str, **inputs: Path | str) -> Artifact:
    """Check and run a stage in this process; its artifact."""
    job = job_of(kind, experiment, output, *settings, **inputs)
    stage = cast(StageModule, importlib.import_module(f"fastgen_k8s.stages.{kind}"))
    stage.check(job)
    stage.run(job)
    return open_artifact(str(output), KINDS[kind].makes)


@pytest.fixture(scope="session")
def gaussian_conditions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The two conditions of the Gaussian task."""
    root = tmp_path_factory.mktemp("gaussian")
    (root / "prompts.txt").write_text("turning left\nturning right\n")
    run_stage("encode", "closed_form/gaussian_kd", root / "conditions", prompts=root / "prompts.txt")
    return root / "conditions"


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Generator[Server]:
    """An S3 server that lives as long as the tests."""
    with serve(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture(scope="module")
def s3(s3_server: Server, tmp_path_factory: pytest.TempPathFactory) -> Generator[Server]:
    """The server, as what the environment of this process names, and a cache that was empty."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in s3_server.environment().items():
            patch.setenv(name, value)
        patch.setenv("FASTGEN_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield s3_server
