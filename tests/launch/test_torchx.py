"""The names of TorchX that we build on: its nightly build may move them, and these tests say so by name."""
# pyright: basic

import importlib
import inspect
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from torchx.cli.cmd_run import CmdRun
from torchx.runner import Runner, get_runner
from torchx.specs import AppDef, AppStatus, Resource, Role, runopts

from fastgen_k8s.launch.app import ROLE, app
from fastgen_k8s.launch.launch import Launch
from fastgen_k8s.launch.torchx_run import named
from fastgen_k8s.pipeline.argv import parse
from fastgen_k8s.pipeline.work import Execution, Placement
from tests.launch.rendered import TRAIN


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("torchx.cli.cmd_run", "CmdRun"),
        ("torchx.cli.cmd_base", "SubCommand"),
        ("torchx.cli.cmd_cancel", "CmdCancel"),
        ("torchx.cli.cmd_delete", "CmdDelete"),
        ("torchx.cli.cmd_describe", "CmdDescribe"),
        ("torchx.cli.cmd_list", "CmdList"),
        ("torchx.cli.cmd_log", "CmdLog"),
        ("torchx.cli.cmd_status", "CmdStatus"),
        ("torchx.cli.main", "get_default_sub_cmds"),
        ("torchx.cli.main", "run_main"),
        ("torchx.runner", "Runner"),
        ("torchx.runner", "get_runner"),
        ("torchx.schedulers.api", "DescribeAppResponse"),
        ("torchx.schedulers.api", "ListAppResponse"),
        ("torchx.schedulers.api", "Scheduler"),
        ("torchx.schedulers.api", "Stream"),
        ("torchx.schedulers.api", "filter_regex"),
        ("torchx.schedulers.docker_scheduler", "DockerScheduler"),
        ("torchx.specs", "AppDef"),
        ("torchx.specs", "AppDryRunInfo"),
        ("torchx.specs", "AppState"),
        ("torchx.specs", "AppStatus"),
        ("torchx.specs", "CfgVal"),
        ("torchx.specs", "ReplicaState"),
        ("torchx.specs", "ReplicaStatus"),
        ("torchx.specs", "Resource"),
        ("torchx.specs", "Role"),
        ("torchx.specs", "RoleStatus"),
        ("torchx.specs", "VolumeMount"),
        ("torchx.specs", "runopts"),
        ("torchx.specs.file_linter", "validate"),
        ("torchx.specs.finder", "get_component"),
    ],
)
def test_a_name_that_we_import_is_there(module: str, name: str) -> None:
    assert name in vars(importlib.import_module(module))


@pytest.mark.parametrize("scheduler", ["local_cwd", "local_docker"])
@pytest.mark.parametrize("words", ["costs $$5 ${app_id}", "$", "$$(HOME)", "${replica_id}$", "$img_root"])
def test_a_process_of_this_machine_is_told_the_words_as_they_were_given(scheduler: str, words: str) -> None:
    odd = TRAIN.model_copy(update={"overrides": (f"report.title={words}",), "output": "runs/a$$b"})
    with get_runner() as runner:
        request: Any = runner.dryrun(app(Launch(odd, Placement(), Execution(), "trainer:1")), scheduler).request
        [command] = (
            [one.args for one in request.role_params[ROLE]]
            if scheduler == "local_cwd"
            else [one.command for one in request.containers]
        )
        assert parse(command[3:])[0] == odd


@pytest.mark.parametrize(
    ("called", "names"),
    [
        (AppDef, {"name", "roles"}),
        (
            Role,
            {
                "name",
                "image",
                "entrypoint",
                "args",
                "env",
                "num_replicas",
                "min_replicas",
                "resource",
                "mounts",
                "metadata",
            },
        ),
        (Resource, {"cpu", "gpu", "memMB"}),
        (AppStatus, {"state", "ui_url"}),
        (runopts.add, {"cfg_key", "type_", "help", "default"}),
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


NO_IMAGE = [
    "--experiment", "closed_form/gaussian_kd", "--conditions", "s3://bucket/conditions", "--output", "s3://bucket/pairs"
]  # fmt: skip
REMOTE = ["--image", "registry.example/trainer:1", *NO_IMAGE]
NOBODY = """
apiVersion: v1
kind: Config
current-context: nobody
clusters: [{name: nobody, cluster: {server: 'https://localhost:1'}}]
contexts: [{name: nobody, context: {cluster: nobody, user: nobody}}]
users: [{name: nobody, user: {token: nobody}}]
"""


def torchx(*words: str) -> subprocess.CompletedProcess[str]:
    """The torchx that is installed beside this Python."""
    program = str(Path(sys.executable).parent / "torchx")
    return subprocess.run([program, *words], capture_output=True, text=True, check=False)


@pytest.mark.processes
def test_a_dry_run_shows_what_would_run(gaussian_conditions: Path) -> None:
    given = ["--experiment", "closed_form/gaussian_kd", "--conditions", str(gaussian_conditions)]
    shown = torchx("run", "--dryrun", "-s", "local_cwd", "components/stage1.py", *given)
    assert shown.returncode == 0, shown.stderr
    assert "fastgen_k8s.agent" in shown.stdout


@pytest.mark.processes
@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["components/stage2.py", "--pairs", "nowhere"], 65, "error: input 'pairs': nowhere: wanted an artifact"),
        (["components/stage2.py", "--experiment", "nothing"], 64, "error: unknown experiment 'nothing'"),
        (["components/stage2.py", "sample.seed=1"], 64, "error: override 'sample.seed=1': a train stage reads model"),
        (["components/stage2.py", "--pairs", "l" * 300], 65, "error: input 'pairs': lll"),
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
@pytest.mark.parametrize(
    "words",
    [
        ["run", "-s", "jobset", "components/stage1.py", *REMOTE],
        ["run", "-s", "kubernetes", "components/stage1.py", *REMOTE],
        ["status", "jobset://torchx/fastgen:kd"],
        ["describe", "jobset://torchx/fastgen:kd"],
        ["list", "-s", "jobset"],
        ["log", "jobset://torchx/fastgen:kd/trainer/0"],
        ["cancel", "jobset://torchx/fastgen:kd"],
        ["delete", "jobset://torchx/fastgen:kd"],
    ],
    ids=lambda words: "-".join(words[:3:2]) if words[0] == "run" else words[0],
)
@pytest.mark.parametrize(
    ("kubeconfig", "code", "wanted"),
    [
        (None, 65, "error: wanted a cluster in KUBECONFIG"),
        (NOBODY, 74, "error: https://localhost:1: wanted a Kubernetes API server, found none"),
    ],
    ids=["no cluster", "nobody answers"],
)
def test_without_a_cluster_every_command_says_so_in_one_line(
    kubeconfig: str | None, code: int, wanted: str, words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    where = tmp_path / "config"
    if kubeconfig is not None:
        where.write_text(kubeconfig)
    monkeypatch.setenv("KUBECONFIG", str(where))
    monkeypatch.setenv("HOME", str(tmp_path))
    refused = torchx("--log_level", "CRITICAL", *words)
    assert refused.returncode == code, refused.stderr
    [line] = refused.stderr.splitlines()
    assert line.startswith(wanted)


@pytest.mark.processes
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ["run", "--dryrun", "-s", "jobset", "utils.echo"],
            "error: wanted a stage (components/*.py), found the application 'echo'",
        ),
        (
            ["run", "-s", "jobset", "components/stage1.py", *NO_IMAGE],
            "error: image: wanted what the job's containers run (--image, or FASTGEN_IMAGE), found none",
        ),
        (["run", "-s", "kubernetes", "components/stage1.py", *NO_IMAGE], "error: image: wanted what"),
        (["run", "-s", "local_docker", "components/stage1.py", *NO_IMAGE], "error: image: wanted what"),
        (["status", "jobset://torchx/kd"], "error: wanted an application as namespace:name, found 'kd'"),
        (["run", "--dryrun", "-s", "jobset", "components/stage1.py", *REMOTE[:-2]], "error: output: wanted a place"),
        (
            ["run", "--dryrun", "-s", "jobset", "-cfg", "namespace=A", "components/stage1.py", *REMOTE],
            "error: -cfg: namespace: string should match pattern",
        ),
        (
            ["run", "--dryrun", "-s", "jobset", "-cfg", "tolerations=a:Never", "components/stage1.py", *REMOTE],
            "error: -cfg: tolerations.0.effect: input should be",
        ),
    ],
    ids=[
        "another application",
        "no image",
        "no image for Volcano",
        "no image for Docker",
        "handle",
        "local output",
        "namespace",
        "toleration",
    ],
)
def test_a_cluster_is_not_asked_about_what_is_wrong_before(words: list[str], said: str) -> None:
    refused = torchx("--log_level", "CRITICAL", *words)
    assert refused.returncode == 64, refused.stderr
    [line] = refused.stderr.splitlines()
    assert line.startswith(said)


@pytest.mark.processes
@pytest.mark.parametrize(
    ("scheduler", "wanted"), [("jobset", "jobset.x-k8s.io/v1alpha2"), ("kubernetes", "batch.volcano.sh/v1alpha1")]
)
def test_a_dry_run_needs_no_cluster_and_is_one_object_that_kubectl_can_apply(
    scheduler: str, wanted: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    shown = torchx("run", "--dryrun", "-s", scheduler, "components/stage1.py", *REMOTE, "--nodes", "3")
    _, _, request = shown.stdout.partition("=== SCHEDULER REQUEST ===")
    assert yaml.safe_load(request)["apiVersion"] == wanted


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
