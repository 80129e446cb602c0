"""The CustomResourceDefinition of `DistillationPipeline`, from the models that a laptop reads the same file with.

python -m fastgen_k8s.controller.crd > manifests/base/crd.yaml
"""

from typing import Any

import yaml

from fastgen_k8s.artifacts.address import SCHEMES, WANTED
from fastgen_k8s.kube.structural import Schema, structural
from fastgen_k8s.lifecycle.status import Status
from fastgen_k8s.pipeline.kinds import KINDS, MADE_BY, StageKind
from fastgen_k8s.pipeline.spec import API_VERSION, OBJECT_KIND, Pipeline

GROUP, VERSION = API_VERSION.split("/")
PLURAL = "distillationpipelines"
COLUMNS = ("Stage", "Progress", "Nodes", "Loss", "Status")

_REMOTE = "|".join(SCHEMES) if len(SCHEMES) == 1 else f"({'|'.join(SCHEMES)})"
_EARLIER = "{name} in names && names.indexOf({name}) < names.indexOf(s.name)"
_A_PLACE = "{source}.contains('/') || {source}.contains('.')"


def _map_by(key: str) -> Schema:
    return {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": [key]}


def _rule(rule: str, message: str) -> Schema:
    return {"rule": rule, "message": message}


def _with_names(each: str, message: str) -> Schema:
    """A rule for each stage `s`; the list of one binds `names`, which would cost too much if made for each."""
    return _rule(f"[self.map(o, o.name)].all(names, self.all(s, {each}))", message)


def _rules(*rules: Schema) -> Schema:
    return {"x-kubernetes-validations": list(rules)}


def _made_by(name: str, kinds: tuple[str, ...]) -> Schema:
    source, listed = f"s.inputs['{name}']", ", ".join(f"'{kind}'" for kind in kinds)
    return _rule(
        f"self.all(s, !has(s.inputs) || !('{name}' in s.inputs) || {_A_PLACE.format(source=source)} || "
        f"self.exists(o, o.name == {source} && o.kind in [{listed}]))",
        f"the input {name!r} is a URI or a stage of kind {' or '.join(kinds)}",
    )


def _known_inputs(kind: StageKind) -> Schema:
    listed = ", ".join(f"'{name}'" for name in kind.inputs)
    return _rule(
        f"self.kind != '{kind.name}' || !has(self.inputs) || self.inputs.all(name, name in [{listed}])",
        f"stages of kind {kind.name} know the inputs {', '.join(kind.inputs)}",
    )


_STAGES = _map_by("name") | _rules(
    _rule("self.all(s, self.exists_one(o, o.name == s.name))", "each stage has a name of its own"),
    _with_names(
        f"!has(s.needs) || s.needs.all(n, {_EARLIER.format(name='n')})",
        "needs names earlier stages",
    ),
    _with_names(
        "!has(s.inputs) || s.inputs.all(i, "
        f"{_A_PLACE.format(source='s.inputs[i]')} || {_EARLIER.format(name='s.inputs[i]')})",
        "an input is an earlier stage or a URI (which has a slash or a dot)",
    ),
    *(_made_by(name, kinds) for name, kinds in MADE_BY.items()),
)

EXTRAS: dict[str, Schema] = {
    "spec.root": {"maxLength": 768}  # of a key's 1,024 bytes; the rest is for the names below it
    | _rules(
        _rule(
            f"self.matches('^{_REMOTE}://[a-z0-9][a-z0-9.-]{{1,61}}[a-z0-9](/[A-Za-z0-9_=.-]+)*$') && "
            f"!self.matches('^{_REMOTE}://[^/]*[.][.]|/[.][.]?(/|$)|"
            f"^{_REMOTE}://[0-9]+[.][0-9]+[.][0-9]+[.][0-9]+(/|$)')",
            f"root is a place that every pod reaches: {WANTED.lower()}",
        ),
        _rule("self == oldSelf", "root is immutable: a pipeline elsewhere is another pipeline"),
    ),
    "spec.stages": _STAGES,
    "spec.stages[]": _rules(*(_known_inputs(kind) for kind in KINDS.values() if kind.inputs)),
    "spec.stages[].kind": _rules(
        _rule("self == oldSelf", "a stage's kind is immutable: another kind is another stage")
    ),
    "spec.stages[].inputs{}": {"minLength": 1},
    "spec.stages[].gate{}": _rules(
        _rule("has(self.min) || has(self.max)", "a gate has min, max or both"),
        _rule("!has(self.min) || !has(self.max) || self.min <= self.max", "a gate's min is at most its max"),
    ),
    "spec.stages[].placement.nodes": _rules(
        _rule(
            "type(self) == int || !self.contains(':') || int(self.split(':')[0]) <= int(self.split(':')[1])",
            "nodes is a count or min:max, with min at most max",
        )
    ),
    "status.stages": _map_by("name"),
    "status.conditions": _map_by("type"),
}


def crd() -> dict[str, Any]:
    """The definition as plain data."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{PLURAL}.{GROUP}", "labels": {"app.kubernetes.io/name": "fastgen-k8s"}},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": OBJECT_KIND,
                "listKind": f"{OBJECT_KIND}List",
                "plural": PLURAL,
                "singular": OBJECT_KIND.lower(),
                "shortNames": ["dp"],
            },
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    "additionalPrinterColumns": _columns(),
                    "schema": {"openAPIV3Schema": _object()},
                }
            ],
        },
    }


def _columns() -> list[Schema]:
    shown = [{"name": name, "type": "string", "jsonPath": f".status.columns.{name.lower()}"} for name in COLUMNS]
    return [*shown, {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}]


def _object() -> Schema:
    """A cluster's object is a laptop's with one thing more: a root, which there can be given on the command line."""
    spec = structural(Pipeline, "spec", EXTRAS)
    spec["required"] = ["root", *spec["required"]]
    del spec["properties"]["root"]["nullable"]
    name = {"type": "string", "maxLength": 40, "pattern": "^[a-z]([a-z0-9-]*[a-z0-9])?$"}
    return {
        "type": "object",
        "description": "A distillation from prompts to student, stage by stage.",
        "required": ["apiVersion", "kind", "metadata", "spec"],
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"type": "object", "properties": {"name": name}},
            "spec": spec,
            "status": structural(Status, "status", EXTRAS),
        },
    }


if __name__ == "__main__":
    print("# Made by `make manifests` from fastgen_k8s/controller/crd.py; a test keeps the two in step.")
    print(yaml.safe_dump(crd(), sort_keys=False, width=120), end="")
