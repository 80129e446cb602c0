"""YAML as plain data: its numbers, its aliases, and its bounds, which hold before an alias stands for anything."""

import json
import subprocess
import sys
from pathlib import Path
from typing import cast

import pytest
import yaml

from fastgen_k8s.pipeline.spec import read_pipeline
from fastgen_k8s.plain import DEEPEST, LONGEST, MOST_ADDED, read_yaml


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1:2", "1:2"),
        ("2:30", "2:30"),
        ("1e-4", 1e-4),
        ("5E3", 5e3),
        ("-.5", -0.5),
        ("1.", 1.0),
        ("12", 12),
        ("-3", -3),
        ("0", 0),
        ("012", "012"),
        ("1_000", "1_000"),
        ("[0.999, 0]", [0.999, 0]),
        ("2020-01-01", "2020-01-01"),
    ],
)
def test_numbers_are_those_of_yaml_1_2(text: str, value: object) -> None:
    assert read_yaml(text) == value
    assert type(read_yaml(text)) is type(value)


ANCHORED = """
apiVersion: fastgen-k8s.github.io/v1alpha1
kind: DistillationPipeline
metadata: {name: &name tiny, labels: {app: *name}}
spec:
  root: s3://bucket/tiny
  stages:
  - &encode
    name: conditions
    kind: encode
    experiment: &experiment closed_form/gaussian_kd
    inputs: {prompts: s3://bucket/prompts.txt}
    placement: &spot
      <<: &place {nodes: 2, pool: on-demand}
      pool: spot
  - {<<: *encode, name: others, placement: {<<: [*spot, *place], grace: 5}}
  - name: untrained
    kind: sample
    experiment: *experiment
    inputs: {conditions: conditions}
    overrides: &overrides [sample.seed=3]
  - {name: trained, kind: sample, experiment: *experiment, overrides: *overrides, inputs: {conditions: conditions}}
"""
EXPANDED = """
apiVersion: fastgen-k8s.github.io/v1alpha1
kind: DistillationPipeline
metadata: {name: tiny, labels: {app: tiny}}
spec:
  root: s3://bucket/tiny
  stages:
  - name: conditions
    kind: encode
    experiment: closed_form/gaussian_kd
    inputs: {prompts: s3://bucket/prompts.txt}
    placement: {nodes: 2, pool: spot}
  - name: others
    kind: encode
    experiment: closed_form/gaussian_kd
    inputs: {prompts: s3://bucket/prompts.txt}
    placement: {nodes: 2, pool: spot, grace: 5}
  - name: untrained
    kind: sample
    experiment: closed_form/gaussian_kd
    overrides: [sample.seed=3]
    inputs: {conditions: conditions}
  - name: trained
    kind: sample
    experiment: closed_form/gaussian_kd
    overrides: [sample.seed=3]
    inputs: {conditions: conditions}
"""


def test_a_file_with_anchors_is_the_one_in_which_they_are_written_out(tmp_path: Path) -> None:
    files = tmp_path / "anchored.yaml", tmp_path / "expanded.yaml"
    for file, text in zip(files, (ANCHORED, EXPANDED), strict=True):
        file.write_text(text)
    anchored, expanded = map(read_pipeline, files)
    assert anchored == expanded


@pytest.mark.parametrize(
    ("text", "top"),
    [
        ("base: &base {a: 1}\ntop: {<<: *base, a: 2}", {"a": 2}),
        ("base: &base {a: 1}\ntop: {a: 2, <<: *base}", {"a": 2}),
        ("base: &base {a: 1}\nx: {y: {z: &mid {<<: *base, a: 2}}}\ntop: {<<: *mid}", {"a": 2}),
        (
            "one: &one {deep: 1, pool: 2}\ntwo: &two {deep: 3, grace: 4}\ntop: {<<: [*one, *two]}",
            {"deep": 1, "pool": 2, "grace": 4},
        ),
    ],
)
def test_a_mapping_s_own_keys_count_and_then_the_first_that_it_merges(text: str, top: dict[str, int]) -> None:
    found = cast("dict[str, object]", read_yaml(text))
    assert found["top"] == top


def doubled(times: int, innermost: str = "x") -> str:
    """A few lines that name the line before twice each: their innermost value counts 2^times."""
    lines = [f"a0: &a0 {innermost}", *(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, times + 1))]
    return "\n".join(lines)


def test_aliases_are_taken_up_to_what_they_may_add() -> None:
    assert json.dumps(read_yaml(doubled(12))).count('"x"') == 2**13 - 1


BEYOND = {
    "aliases of values": (doubled(16), f"values and characters, {MOST_ADDED} at most"),
    "aliases of a long text": (f"a: &a {'x' * 1000}\nb: [{'*a, ' * 70}]", f"characters, {MOST_ADDED} at most"),
    "an alias of itself": ("a: &a {b: *a}", "an alias inside of what it names"),
    "depth": ("[" * (DEEPEST + 1) + "]" * (DEEPEST + 1), f"values more than {DEEPEST} deep"),
    "depth by aliases": (
        "\n".join(["a0: &a0 x", *(f"a{n}: &a{n} [*a{n - 1}]" for n in range(1, DEEPEST))]),
        f"values more than {DEEPEST} deep",
    ),
    "depth that does not end": ("[" * 20_000, f"values more than {DEEPEST} deep"),
    "length": ("a" * (LONGEST + 1), f"{LONGEST + 1} characters where {LONGEST} are the most"),
    "a long number": (str(2**63), "a whole number of more than 64 bits"),
    "a long number in another base": ("!!int 0x" + "f" * 4000, "a whole number of more than 64 bits"),
    "a number to the base of 60": ("!!float " + "1:" * 200 + "1", "too large"),
    "no boolean": ("!!bool perhaps", "perhaps"),
    "no number": ("!!int ''", "out of range"),
    "bytes": ("!!binary YQ==", "could not determine a constructor"),
    "a key that is a list": ("{[a]: 1}", "a key that is no scalar"),
    "a merge of a list": ("{<<: [1, 2]}", "a merge of what is no mapping"),
    "a set": ("!!set {a}", "could not determine a constructor"),
    "a key given twice": ("{a: 1, a: 2}", "the key 'a' is given twice"),
}


@pytest.mark.parametrize("case", BEYOND)
def test_what_is_beyond_a_bound_is_refused(case: str) -> None:
    text, said = BEYOND[case]
    with pytest.raises(yaml.YAMLError, match=said):
        read_yaml(text)


@pytest.mark.parametrize("text", ["[&a 1, *a]", "&a 1", "{<<: &a {}}"])
def test_where_aliases_are_not_taken_neither_are_anchors(text: str) -> None:
    with pytest.raises(yaml.YAMLError, match="an anchor or an alias, where every value is written out"):
        read_yaml(text, aliases=False)


CHILD = """
import json, resource, sys
from pathlib import Path
from fastgen_k8s.errors import Misdescribed
from fastgen_k8s.pipeline.spec import DistillationPipeline, read_pipeline

taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (taken + (256 << 20),) * 2)
for name in sys.argv[1:]:
    try:
        read_pipeline(Path(name))
        print("taken")
    except Misdescribed as error:
        print(error)
"""


def _stage(*overrides: str) -> str:
    stage = {"name": "kd", "kind": "train", "experiment": "closed_form/gaussian_kd", "overrides": overrides}
    return json.dumps(
        {
            "apiVersion": "fastgen-k8s.github.io/v1alpha1",
            "kind": "DistillationPipeline",
            "metadata": {"name": "tiny"},
            "spec": {"stages": [stage]},
        }
    )


OBJECTS = {
    "an alias in an override": (_stage("method.pick=[&a x, *a]"), "an anchor or an alias"),
    "aliases beyond their bound": (doubled(16), "aliases that add"),
    "aliases within it where nothing fits": (
        f"{doubled(12)}\napiVersion: &v fastgen-k8s.github.io/v1alpha1\nkind: *a12\nmetadata: *a12\nspec: *a12",
        "kind: input should be 'DistillationPipeline', found [[[[...], [...]]",
    ),
    "a deep value": (_stage("method.pick=" + "[" * 2000), "values more than 32 deep"),
    "a wide value": (_stage("model.t_list=[" + "x," * 2000 + "]"), "model.t_list.0: input should be a valid number"),
    "many wide values": (_stage(*["model.t_list=[" + "x," * 2000 + "]"] * 8), "model.t_list.0: input should be"),
    "a long value": (_stage("train.steps=" + "x" * 4000), "train.steps: input should be a valid integer"),
    "a long name": (_stage("train." + "x" * 4000 + "=1"), "unknown setting 'train.xxx"),
    "a long dotted name": (_stage("train" + ".x" * 2000 + "=1"), "unknown setting 'train.x'"),
    "a long number": (_stage("train.steps=" + "9" * 4000), "a whole number of more than 64 bits"),
    "a number that no one can write": (_stage("train.steps=!!int 0x" + "f" * 4000), "a whole number of more than 64"),
    "a variant of a long kind": (_stage("method={kind: " + "x" * 4000 + "}"), "'regression'"),
}


@pytest.fixture(scope="module")
def lines(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What is said of each of these objects, in a process with 256 MiB above what its imports took."""
    folder = tmp_path_factory.mktemp("objects")
    files = [folder / f"{number}.yaml" for number in range(len(OBJECTS))]
    for file, (text, _) in zip(files, OBJECTS.values(), strict=True):
        file.write_text(text)
    ended = subprocess.run([sys.executable, "-c", CHILD, *map(str, files)], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
    return dict(zip(OBJECTS, ended.stdout.splitlines(), strict=True))


@pytest.mark.parametrize("case", OBJECTS)
def test_an_object_of_some_hundred_characters_is_refused_in_little_memory(lines: dict[str, str], case: str) -> None:
    assert OBJECTS[case][1] in lines[case]
    assert len(lines[case]) < 700
