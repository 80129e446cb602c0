"""The names of TorchX that we build on: its nightly build may move them, and these tests say so by name."""
# pyright: basic

import importlib
import inspect
import subprocess
import sys
from pathlib import Path

import pytest
from torchx.cli.cmd_run import CmdRun
from torchx.runner import Runner
from torchx.specs import AppDef, AppStatus, Resource, Role

from fastgen_k8s.launch.torchx_run import named


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("torchx.cli.cmd_run", "CmdRun"),
        ("torchx.cli.main", "get_default_sub_cmds"),
        ("torchx.cli.main", "run_main"),
        ("torchx.runner", "Runner"),
        ("torchx.runner", "get_runner"),
        ("torchx.specs", "AppDef"),
        ("torchx.specs", "AppState"),
        ("torchx.specs", "AppStatus"),
        ("torchx.specs", "Resource"),
        ("torchx.specs", "Role"),
        ("torchx.specs.file_linter", "validate"),
        ("torchx.specs.finder", "get_component"),
    ],
)
def test_a_name_that_we_import_is_there(module: str, name: str) -> None:
    assert name in vars(importlib.import_module(module))


@pytest.mark.parametrize(
    ("called", "names"),
    [
        (AppDef, {"name", "roles"}),
        (Role, {"name", "image", "entrypoint", "args", "env", "num_replicas", "min_replicas", "resource"}),
        (Resource, {"cpu", "gpu", "memMB"}),
        (AppStatus, {"state", "ui_url"}),
        (Runner.run, {"app", "scheduler", "cfg"}),
        (Runner.status, {"app_handle"}),
        (Runner.scheduler_run_opts, {"scheduler"}),
        (CmdRun._wait, {"runner", "app_handle", "log", "tee_logs"}),
        (CmdRun.run, {"args"}),
        (CmdRun.add_arguments, {"subparser"}),
    ],
)
def test_what_we_call_takes_what_we_give(called: object, names: set[str]) -> None:
    assert callable(called)
    assert names <= set(inspect.signature(called).parameters)


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (["components/stage2.py"], ["components/stage2.py:stage2"]),
        (["components/stage2.py", "--pairs", "a.py"], ["components/stage2.py:stage2", "--pairs", "a.py"]),
        (["--", "components/stage2.py"], ["--", "components/stage2.py:stage2"]),
        (["components/stage2.py:stage2"], ["components/stage2.py:stage2"]),
        (["utils.echo"], ["utils.echo"]),
        ([], []),
    ],
)
def test_a_bare_file_names_its_own_function(words: list[str], wanted: list[str]) -> None:
    assert named(words) == wanted


def torchx(*words: str) -> subprocess.CompletedProcess[str]:
    """The torchx that is installed beside this Python."""
    program = str(Path(sys.executable).parent / "torchx")
    return subprocess.run([program, *words], capture_output=True, text=True, check=False)


@pytest.mark.processes
@pytest.mark.parametrize("scheduler", ["local_cwd", "kubernetes"])
def test_a_dry_run_needs_no_cluster_and_no_torch(scheduler: str, gaussian_conditions: Path) -> None:
    given = ["--experiment", "closed_form/gaussian_kd", "--conditions", str(gaussian_conditions)]
    shown = torchx("run", "--dryrun", "-s", scheduler, "components/stage1.py", *given)
    assert shown.returncode == 0, shown.stderr
    assert "fastgen_k8s.agent" in shown.stdout


@pytest.mark.processes
@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["components/stage2.py", "--pairs", "nowhere"], 65, "error: input 'pairs': nowhere: wanted an artifact"),
        (["components/stage2.py", "--experiment", "nothing"], 64, "error: unknown experiment 'nothing'"),
        (["components/stage2.py", "sample.seed=1"], 64, "error: override 'sample.seed=1': a train stage reads model"),
        (["components/stage2.py", "--pairs", "l" * 300], 65, "error: lll"),
        (["components/stage4.py"], 64, "error: components/stage4.py does not exist"),
        (["components/stage2.py", "--nodes", "3:2"], 64, "error: arguments: nodes: wanted min:max nodes"),
    ],
)
def test_a_mistake_is_one_line_and_an_exit_code(words: list[str], code: int, said: str) -> None:
    refused = torchx("--log_level", "ERROR", "run", *words)
    assert refused.returncode == code, refused.stderr
    [line] = refused.stderr.splitlines()
    assert line.startswith(said)


@pytest.mark.processes
def test_a_component_runs_here_and_its_exit_code_is_the_stages_own(tmp_path: Path) -> None:
    (tmp_path / "prompts.txt").write_text("turning left\n")
    (tmp_path / "wrong.txt").write_text("turning round\n")
    words = ["components/encode.py", "--experiment", "closed_form/gaussian_kd", "--output", str(tmp_path / "made")]
    wrong = torchx("run", *words, "--prompts", str(tmp_path / "wrong.txt"))
    assert wrong.returncode == 65, wrong.stderr
    right = torchx("run", *words, "--prompts", str(tmp_path / "prompts.txt"))
    assert right.returncode == 0, right.stderr
    assert (tmp_path / "made/artifact.json").is_file()
