"""Files that people apply and run: what a laptop makes of each, and the API server by way of kubectl.

Where `there` is not given, both say the same, and mean the same by what they take.
"""

import json
import textwrap
from typing import NamedTuple

OBJECT = """\
apiVersion: fastgen-k8s.github.io/v1alpha1
kind: DistillationPipeline
metadata: {name: tiny, namespace: fastgen}
spec:
  root: s3://bucket/run
  stages:
  - name: kd
    kind: train
    experiment: closed_form/gaussian_kd
"""
"""A pipeline."""
OTHER = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: beside, namespace: fastgen}\ndata: {a: b}\n"


class Case(NamedTuple):
    """A file, and what is said of it."""

    text: str
    said: str | None = None  # by the laptop that refuses it
    there: bool | None = None  # whether kubectl and the server take it; None: as the laptop does

    @property
    def taken_there(self) -> bool:
        """Whether a cluster takes it."""
        return self.said is None if self.there is None else self.there


def stage(lines: str) -> str:
    """With more in its stage."""
    return OBJECT + textwrap.indent(lines, "    ") + "\n"


def spec(line: str) -> str:
    """With more in its spec."""
    return OBJECT.replace("  stages:", f"  {line}\n  stages:")


def meta(lines: str) -> str:
    """With more in its metadata."""
    given = textwrap.indent(f"name: tiny\nnamespace: fastgen\n{lines}\n", "  ")
    return OBJECT.replace("metadata: {name: tiny, namespace: fastgen}\n", f"metadata:\n{given}")


def listed(head: str, *objects: str) -> str:
    """A list of objects."""
    return head + "items:\n" + "".join(f"- {textwrap.indent(one, '  ').lstrip()}" for one in objects)


LIST = "apiVersion: v1\nkind: List\n"
JSON = json.dumps(
    {
        "apiVersion": "fastgen-k8s.github.io/v1alpha1",
        "kind": "DistillationPipeline",
        "metadata": {"name": "tiny", "namespace": "fastgen", "annotations": {"said": "a 🙂"}},
        "spec": {
            "root": "s3://bucket/run",
            "stages": [{"name": "kd", "kind": "train", "experiment": "closed_form/gaussian_kd", "retries": 3.0}],
        },
    },
    indent="\t",
)
SECOND = OBJECT.replace("name: tiny", "name: other")

FILES: dict[str, Case] = {
    "an object": Case(OBJECT),
    "an empty last document": Case(OBJECT + "---\n"),
    "an empty first document": Case("---\n# nothing here\n---\n" + OBJECT),
    "a document of nothing": Case(OBJECT + "---\nnull\n"),
    "an end that is marked": Case(OBJECT + "...\n"),
    "another kind before": Case(OTHER + "--- # and ours\n" + OBJECT),
    "another kind behind": Case(OBJECT + "---\n" + OTHER),
    "a List": Case(listed(LIST, OTHER, OBJECT)),
    "a list of its own kind": Case(listed(OBJECT.split("\n")[0] + "\nkind: DistillationPipelineList\n", OBJECT)),
    "a List of no list": Case(LIST + "items:\n", "wanted a list of objects in a List, found NoneType"),
    "a List of words": Case(listed(LIST, OBJECT) + "- word\n", "wanted an object of Kubernetes, found str"),
    "a document of words": Case(OBJECT + "---\nwords\n", "wanted an object of Kubernetes, found str"),
    "an object that says no kind": Case(OBJECT + "---\napiVersion: v1\n", "apiVersion: input should be"),
    "an unknown version": Case(OBJECT.replace("v1alpha1", "v1"), "apiVersion: input should be"),
    "another group": Case(OBJECT.replace("fastgen-k8s.github", "example"), "apiVersion: input should be"),
    "nothing": Case("", "found none"),
    "other kinds alone": Case(OTHER, "wanted an object of kind DistillationPipeline, found ConfigMap", there=True),
    "two pipelines": Case(OBJECT + "---\n" + SECOND, "wanted one pipeline, found 2: tiny, other", there=True),
    "a key given twice": Case(stage("retries: 2\nretries: 3"), "the key 'retries' is given twice", there=True),
    "JSON with tabs, a pair of halves and a whole number with a point": Case(JSON),
    "a tab that indents": Case(OBJECT.replace("  root", "\troot"), "cannot start any token"),
    "a tab behind a value": Case(OBJECT.replace("kind: train", "kind: train\t# trains")),
    "another system's lines": Case(OBJECT.replace("\n", "\r\n")),
    "a byte order mark": Case("\ufeff" + OBJECT),
    "a tag of one's own": Case(stage("image: !mine i:1")),
    "half of a character": Case(stage('image: "\\ud800"'), "half a surrogate pair"),
    "what a server writes": Case(
        meta(
            'uid: 0b1-2\nresourceVersion: "12"\ngeneration: 3\ncreationTimestamp: 2026-01-01T00:00:00Z\n'
            "finalizers: [example.com/kept]\nmanagedFields: [{manager: kubectl, operation: Update}]"
        )
        + "status: {observedGeneration: 3, stages: []}\n"
    ),
    "what kubectl create --dry-run writes": Case(meta("creationTimestamp: null") + "status: {}\n"),
    "a creation at no time": Case(meta("creationTimestamp: soon"), "metadata.creationTimestamp: input should be"),
    "a generation as text": Case(meta('generation: "3"'), "generation: wanted a number, found the text '3'"),
    "empty labels": Case(meta("labels:\nannotations:")),
    "a label of nothing": Case(meta("labels: {example.com/team: }")),
    "a label of a number": Case(
        meta("labels: {version: 1}"), "metadata.labels.version: input should be a valid string"
    ),
    "a label of a switch": Case(meta("labels: {on: yes}"), "metadata.labels.true: input should be a valid string"),
    "a label with a blank": Case(meta("labels: {a: b c}"), "metadata.labels.a"),
    "a label of a name with a blank": Case(meta("labels: {'a b': c}"), "metadata.labels.a b"),
    "an annotation in capitals": Case(meta("annotations: {Example.com/A: b c}")),
    "an unknown field of metadata": Case(meta("label: {}"), "metadata.label"),
    "an unknown field beside spec": Case(OBJECT + "notes: none\n", "unknown setting 'notes'"),
    "an unknown field of nothing": Case(stage("retry:")),
    "an unknown field of nothing in a part": Case(stage("placement: {node: }")),
    "an unknown field of metadata of nothing": Case(meta("label:")),
    "no root": Case(OBJECT.replace("  root: s3://bucket/run\n", ""), there=False),
    "a root of this machine": Case(OBJECT.replace("s3://bucket/run", "out"), there=False),
    "a number": Case(stage("retries: 3")),
    "a number as text": Case(stage('retries: "3"'), "retries: wanted a number, found the text '3'"),
    "an octal number": Case(stage("retries: 010")),
    "an octal number of today": Case(stage("retries: 0o10")),
    "no octal number": Case(stage("retries: 08")),
    "a number to the base of 16": Case(stage("retries: 0x1F")),
    "a number with a power of ten": Case(stage("retries: 1e1")),
    "a number in groups": Case(stage("retries: 1_0")),
    "a whole number with a point": Case(stage("retries: 2.0")),
    "part of a number": Case(stage("retries: 2.5"), "retries: input should be a valid integer"),
    "a number to the base of 60": Case(stage("retries: 1:30"), "retries: input should be a valid integer"),
    "a number of nothing": Case(stage("retries:")),
    "a number of a switch": Case(stage("retries: yes"), "retries: wanted a number, found true"),
    "nodes as a number": Case(stage("placement: {nodes: 2.0, grace: }")),
    "nodes as an octal number": Case(stage("placement: {nodes: 010}")),
    "nodes as a range": Case(stage("placement: {nodes: 2:30}")),
    "nodes as text that is no count": Case(stage('placement: {nodes: "02"}'), "placement.nodes"),
    "processes as text": Case(stage('placement: {processes: "1"}'), "processes: wanted a number, found the text '1'"),
    "a bound as text": Case(stage('gate: {loss: {min: "100"}}'), "min: wanted a number, found the text '100'"),
    "bounds of two types": Case(stage("gate: {loss: {min: 1, max: 2.5}}")),
    "bounds upside down": Case(stage("gate: {loss: {min: 3, max: 2.5}}"), "found min 3 above max 2.5"),
    "a bound of no number of JSON": Case(
        stage("gate: {loss: {max: .inf}}"), "a number that JSON does not have: '.inf'"
    ),
    "a fact whose name is a number": Case(stage("gate: {1: {min: 1}, 2026-01-01: {max: 2}}")),
    "a fact whose name is a switch": Case(stage("gate: {y: {min: 1}}")),
    "facts and inputs of nothing": Case(stage("gate: {loss: }\ninputs: {pairs: }\nneeds:\noverrides:")),
    "nothing in a list": Case(stage("needs: [~]"), "needs.0: input should be a valid string"),
    "a text that is a switch": Case(stage("image: no"), "image: input should be a valid string"),
    "a text that is a letter of a switch": Case(stage("image: n"), "image: input should be a valid string"),
    "a text that is a date": Case(stage("image: 2026-01-01")),
    "a text that is an octal number": Case(stage("image: 0o7"), "image: input should be a valid string"),
    "a switch": Case(spec("suspend: off")),
    "a switch as text": Case(spec('suspend: "false"'), "suspend: wanted true or false, found 'false'"),
    "a switch as a number": Case(spec("suspend: 0"), "suspend: wanted true or false, found 0"),
    "a time to live with a point": Case(spec("ttlSecondsAfterFinished: 60.0")),
}
