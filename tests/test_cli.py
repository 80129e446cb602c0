"""The command line: what it prints, how it refuses, and that it starts without torch."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from fastgen_k8s.artifacts import open_artifact
from fastgen_k8s.experiments import EXPERIMENTS
from fastgen_k8s.experiments.schema import Experiment
from fastgen_k8s.pipeline.kinds import KINDS
from fastgen_k8s.pipeline.words import WORDS
from tests import teachers
from tests.conftest import Say

GAUSSIAN = "manifests/pipelines/closed-form-gaussian.yaml"
NEGATIVE = "conditions.negative_prompt=no"
KD = ["--experiment", "closed_form/gaussian_kd"]


def loads_none_of(modules: set[str], words: list[str]) -> bool:
    """Whether a command ends well without having imported any of these modules."""
    program = f"""
import sys
from fastgen_k8s.cli import main
sys.argv = {["fastgen-k8s", *words]!r}
try:
    main()
except SystemExit as end:
    sys.exit(end.code or sorted({modules!r} & sys.modules.keys()) or 0)
"""
    return subprocess.run([sys.executable, "-c", program], capture_output=True, check=False).returncode == 0


@pytest.mark.processes
@pytest.mark.parametrize("words", [["--help"], ["status", "--help"], ["logs", "--help"]])
def test_help_waits_for_no_cluster(words: list[str]) -> None:
    assert loads_none_of({"torch", "torchx", "kubernetes", "boto3"}, words)


@pytest.mark.processes
@pytest.mark.parametrize(
    "words",
    [
        ["--help"],
        ["run", "--help"],
        ["experiments"],
        ["run", GAUSSIAN, "--root", "nowhere", "--dry-run"],
    ],
)
def test_a_command_that_only_looks_starts_without_torch(words: list[str]) -> None:
    assert loads_none_of({"torch", "diffusers", "numpy"}, words)


@pytest.mark.processes
@pytest.mark.parametrize(
    ("words", "missing", "extra"),
    [
        (["status", "kd"], "kubernetes", "a cluster wants the extra `controller`"),
        (["run", GAUSSIAN, "--root", "nowhere"], "torchx", "a run wants the extra `cluster`"),
    ],
)
def test_what_is_not_installed_is_named_with_the_extra_that_brings_it(
    words: list[str], missing: str, extra: str
) -> None:
    program = f"import sys; sys.modules[{missing!r}] = None; sys.argv = {['fastgen-k8s', *words]!r}\n"
    program += "from fastgen_k8s.cli import main; sys.exit(main())"
    refused = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert refused.returncode == 64, refused.stderr
    assert refused.stderr.startswith(f"error: {extra} of fastgen-k8s, found no {missing}")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "Missing command"),
        (["distil"], "distil"),
        (["run"], "file"),
        (["run", GAUSSIAN, "--rot", "x"], "--rot"),
        (["run", GAUSSIAN, "--root", "x", "--parallel", "0"], "--parallel"),
        (["run", "nothing.yaml", "--root", "x"], "nothing.yaml: wanted a pipeline file, found none"),
        (["run", GAUSSIAN, "--root", "gs://bucket/x"], "found 'gs://bucket/x'"),
        (["run", GAUSSIAN, "--root", "s3://Bucket/x"], "found the bucket 'Bucket'"),
        (["run", GAUSSIAN, "--root", "s3://bucket/x/"], "found a '/' at the end"),
        (["run", GAUSSIAN, "--root", "x", "--from", "kdd"], "unknown stage 'kdd': did you mean 'kd'?"),
        (["run", GAUSSIAN, "--root", "x", "--only", "kdd"], "unknown stage 'kdd': did you mean 'kd'?"),
        (["run", GAUSSIAN, "--root", "x", "--only", "kd", "--from", "kd"], "found both"),
        (["run", GAUSSIAN, "--root", "x", "kd.train.stepz=1"], "did you mean 'train.steps'?"),
        (["run", GAUSSIAN, "--root", "x", "kd.placement.processes=999"], "at most train.global_batch"),
        (["run", GAUSSIAN, "--root", "x", "kd.placement.resource=h100_9"], "stage kd: unknown resource 'h100_9'"),
        (["run", GAUSSIAN, "--root", "x", "kd.placement.resource=h100_9"], "did you mean 'h100_8'?"),
        (["run", GAUSSIAN, "--root", "x", "kd.train.steps=2020-13-45"], "valid integer"),
        (["experiments", "closed_form/gausian_kd"], "did you mean 'closed_form/gaussian_kd'?"),
        (["train", "--output", "x"], "--experiment"),
        (["train", *KD], "--output"),
        (["train", "--experiment", "nothing", "--output", "x"], "unknown experiment 'nothing'"),
        (["train", *KD, "--output", "x", "--set", "train.stepz=1"], "did you mean 'steps'?"),
        (["train", *KD, "--output", "x", "--set", "max_iter=1"], "it became train.steps"),
        (["train", *KD, "--output", "x", "--set", "sample.seed=1"], "a train stage reads model"),
        (["train", *KD, "--output", "x", "--input", "pairs"], "name=uri"),
        (["train", *KD, "--output", "x", "--input", "pairs=a", "--input", "pairs=b"], "found 'pairs' twice"),
        (["train", *KD, "--output", "x", "--set", "train.steps=a\nb"], "found 'a b'"),
        (["train", *KD, "--output", "x", "--set", "train.steps=true"], "wanted a number, found true"),
        (["encode", *KD, "--output", "x", "--prompts", "p", "--input", "prompts=q"], "found 'prompts' twice"),
        (["train", *KD, "--output", "x", "--nodes", "3:2"], "min 3 above max 2"),
        (["train", *KD, "--output", "x", "--processes", "999"], "at most train.global_batch"),
        (["train", *KD, "--output", "x", "--save-every", "many"], "--save-every"),
        (["train", *KD, "--output", "x", "--tracker", "mlflow"], "mlflow"),
        (["train", *KD, "--output", "x", "--set", "placement.nodes=3:2"], "min 3 above max 2"),
        (["train", *KD, "--output", "x", "--set", "execution.kep=3"], "did you mean 'keep'?"),
        (["train", *KD, "--output", "x", "--resource", "h100_9"], "did you mean 'h100_8'?"),
        (["bridge", *KD, "--output", "x", "--grace", "0"], "grace: input should be greater than 0"),
        (["pairs", *KD, "--output", "x", "--prompts", "p", "--input", "conditions=c"], "found both"),
        (["pairs", *KD, "--output", "x", "--negative-prompt-file", "n"], "wanted --prompts beside"),
        (
            ["sample", *KD, "--output", "x", "--prompts", "p", "--negative-prompt-file", "n", "--set", NEGATIVE],
            "found both: n, 'conditions.negative_prompt=no'",
        ),
        (["encode", *KD, "--output", "x", "--negative-prompt-file", "n", "--set", NEGATIVE], "found both: n,"),
        (["models", "add"], "folder"),
        (["status", "--watch"], "wanted the name of a pipeline to watch"),
        (["status", "gs://bucket/x"], "found 'gs://bucket/x'"),
        (["logs"], "name|root"),
        (["retry", "shapes"], "stage"),
        (["inspect"], "uri"),
    ],
)
def test_a_wrong_word_is_one_line_and_64(words: list[str], said: str, say: Say) -> None:
    code, out, err = say(*words)
    assert (code, out) == (64, "")
    [line] = err.splitlines()
    assert line.startswith("error: ")
    assert said.lower() in line.lower()


def test_a_pipeline_that_goes_nowhere_is_refused(say: Say, tmp_path: Path) -> None:
    data = yaml.safe_load(Path(GAUSSIAN).read_text())
    del data["spec"]["root"]
    (tmp_path / "rootless.yaml").write_text(yaml.safe_dump(data))
    code, _, err = say("run", str(tmp_path / "rootless.yaml"))
    assert (code, "wanted a root" in err) == (64, True)


def test_the_experiments_are_listed(say: Say) -> None:
    _, out, _ = say("experiments")
    assert [line.split()[0] for line in out.splitlines()] == list(EXPERIMENTS)


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_an_experiment_is_printed_whole(name: str, say: Say) -> None:
    _, out, _ = say("experiments", name)
    assert Experiment.model_validate(yaml.safe_load(out)) == EXPERIMENTS[name]


def test_a_dry_run_says_what_is_there_and_what_is_to_do(tmp_path: Path, say: Say) -> None:
    code, out, _ = say("run", GAUSSIAN, "--root", str(tmp_path), "--dry-run", "--from", "sf")
    assert code == 0
    assert out.splitlines()[0].split()[:3] == ["sf", "to", "do"]
    assert not list(tmp_path.iterdir())


# --- models add -------------------------------------------------------------------------------------------------------


@pytest.fixture
def teacher(tmp_path: Path) -> Path:
    """A folder that looks like diffusers'."""
    return teachers.write(tmp_path / "teacher", {**teachers.FILES, ".cache/x": b"", "README.md": b"a"})


def test_a_folder_becomes_a_model_artifact(teacher: Path, tmp_path: Path, say: Say) -> None:
    code, out, _ = say("models", "add", str(teacher), "--to", str(tmp_path / "model"))
    manifest = open_artifact(str(tmp_path / "model"), "model").manifest
    assert code == 0
    assert manifest.digest[:16] in out
    assert manifest.files.keys() == {"README.md", *teachers.FILES}


def test_the_digest_of_a_model_is_that_of_its_content(teacher: Path, tmp_path: Path, say: Say) -> None:
    for name in ("one", "other"):
        say("models", "add", str(teacher), "--to", str(tmp_path / name))
    (teacher / "vae/config.json").write_text('{"a": 1}')
    say("models", "add", str(teacher), "--to", str(tmp_path / "third"))
    digests = [open_artifact(str(tmp_path / name), "model").manifest.digest for name in ("one", "other", "third")]
    assert digests[0] == digests[1] != digests[2]


def test_a_model_is_added_twice_to_no_effect_and_another_is_refused_its_place(
    teacher: Path, tmp_path: Path, say: Say
) -> None:
    assert [say("models", "add", str(teacher), "--to", str(tmp_path / "model"))[0] for _ in range(2)] == [0, 0]
    (teacher / "vae/config.json").write_text('{"a": 1}')
    code, _, err = say("models", "add", str(teacher), "--to", str(tmp_path / "model"))
    assert code == 65
    assert "wanted the place of model" in err


@pytest.mark.parametrize(
    ("folder", "said"),
    [
        ("nothing", "found nothing"),
        (".", "found none of them"),
        ("file", "found a file"),
        ("l" * 300, "File name too long"),
    ],
)
def test_what_is_no_model_is_refused(folder: str, said: str, tmp_path: Path, say: Say) -> None:
    (tmp_path / "file").write_text("")
    code, _, err = say("models", "add", str(tmp_path / folder), "--to", str(tmp_path / "model"))
    assert code == 65
    assert said in err
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize("kind", KINDS)
def test_every_stage_takes_every_word_of_placement_and_execution(kind: str, say: Say) -> None:
    _, out, _ = say(kind, "--help")
    assert not [word.flag for word in WORDS if word.flag not in out]


# --- stages -----------------------------------------------------------------------------------------------------------


def program(*words: str) -> subprocess.CompletedProcess[str]:
    """A command as a process of its own."""
    return subprocess.run([sys.executable, "-m", "fastgen_k8s", *words], capture_output=True, text=True, check=False)


@pytest.mark.processes
def test_prompts_are_encoded_before_the_stage_that_needs_them(tmp_path: Path) -> None:
    (tmp_path / "prompts.txt").write_text("turning left\n")
    few = ["--set", "pairs.samples_per_prompt=2", "--set", "pairs.block_size=2"]
    made = program("pairs", *KD, *few, "--prompts", str(tmp_path / "prompts.txt"), "--output", str(tmp_path / "made"))
    assert made.returncode == 0, made.stderr
    conditions = open_artifact(str(tmp_path / "made-conditions"), "conditions").manifest
    assert open_artifact(str(tmp_path / "made"), "pairs").manifest.inputs == {"conditions": conditions.digest}


@pytest.mark.processes
def test_a_stage_ends_with_its_own_code_and_one_line(tmp_path: Path) -> None:
    (tmp_path / "prompts.txt").write_text("turning round\n")
    made = program("pairs", *KD, "--prompts", str(tmp_path / "prompts.txt"), "--output", str(tmp_path / "made"))
    assert made.returncode == 65
    [line] = made.stderr.splitlines()
    assert line.startswith("error: ")
    assert not (tmp_path / "made").exists()


@pytest.mark.processes
def test_inspect_says_what_an_artifact_is(gaussian_conditions: Path) -> None:
    said = program("inspect", str(gaussian_conditions))
    assert said.returncode == 0, said.stderr
    assert said.stdout.startswith("artifact: conditions ")
