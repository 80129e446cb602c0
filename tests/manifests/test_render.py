# pyright: basic
"""Every folder of the manifests renders to objects that Kubernetes knows, field by field."""

import functools
import json
from collections import Counter

import kubernetes_validate
import pytest
from yamllint import linter
from yamllint.config import YamlLintConfig

from tests.manifests import facts
from tests.manifests.render import COMPONENTS, MANIFESTS, OVERLAYS, STANDALONE, Object, render, said

VERSION = "1.34"
NAMESPACES = {"fastgen", "fastgen-system"}
CLUSTER_WIDE = {
    "Namespace",
    "CustomResourceDefinition",
    "ClusterRole",
    "ClusterRoleBinding",
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionPolicyBinding",
    "PriorityClass",
    "NodePool",
    "EC2NodeClass",
    "ComputeClass",
    "ResourceFlavor",
    "ClusterQueue",
    "WorkloadPriorityClass",
}
LINT = YamlLintConfig(
    "extends: default\n"
    "rules: {document-start: disable, line-length: {max: 120, allow-non-breakable-inline-mappings: true},"
    " braces: {max-spaces-inside: 0},"
    " comments: {min-spaces-from-content: 1}, indentation: {spaces: 2, indent-sequences: consistent}}"
)
GENERATED = {"base/crd.yaml"}
ALL = [*STANDALONE, *COMPONENTS]
FILES = [str(file.relative_to(MANIFESTS)) for file in sorted(MANIFESTS.rglob("*.yaml"))]


def problem(made: Object) -> str | None:
    """What is wrong with an object's fields, or that nobody knows its kind."""
    if (made["apiVersion"], made["kind"]) in facts.KINDS:
        return facts.problem(made)
    return _by_schema(json.dumps(made))


@functools.cache
def _by_schema(made: str) -> str | None:
    try:
        kubernetes_validate.validate(json.loads(made), VERSION, strict=True)
    except kubernetes_validate.ValidationError as error:
        return f"{'.'.join(map(str, error.path))}: {error.message}"
    except kubernetes_validate.SchemaNotFoundError as error:
        return error.message
    return None


@pytest.mark.parametrize("folder", ALL)
def test_each_field_of_a_rendered_object_is_one_that_its_kind_has(folder: str) -> None:
    found = {said(made): problem(made) for made in render(folder)}
    assert {name: wrong for name, wrong in found.items() if wrong} == {}


@pytest.mark.parametrize(
    "made",
    [
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "datum": {}},
        {"apiVersion": "v1", "kind": "Confmap", "metadata": {"name": "a"}},
        {"apiVersion": "karpenter.sh/v9", "kind": "NodePool", "metadata": {"name": "a"}},
        {
            "apiVersion": "kueue.x-k8s.io/v1beta2",
            "kind": "LocalQueue",
            "metadata": {"name": "a"},
            "spec": {"clusterQueue": "a", "clusterQeue": "a"},
        },
    ],
    ids=["an unknown field", "an unknown kind", "an unknown version", "a third party's unknown field"],
)
def test_the_check_of_fields_sees(made: Object) -> None:
    assert problem(made)


@pytest.mark.parametrize("folder", ALL)
def test_no_object_is_rendered_twice(folder: str) -> None:
    names = Counter((made["apiVersion"], said(made), made["metadata"].get("namespace")) for made in render(folder))
    assert [name for name, times in names.items() if times > 1] == []


@pytest.mark.parametrize("folder", OVERLAYS)
def test_whatever_has_a_namespace_is_in_one_of_ours(folder: str) -> None:
    strays = {
        said(made): made["metadata"].get("namespace")
        for made in render(folder)
        if made["kind"] not in CLUSTER_WIDE and made["metadata"].get("namespace") not in NAMESPACES
    }
    assert strays == {}


@pytest.mark.parametrize("folder", ALL)
def test_what_belongs_to_the_whole_cluster_names_no_namespace(folder: str) -> None:
    """kustomize puts one into whatever kind it does not know."""
    found = [said(made) for made in render(folder) if made["kind"] in CLUSTER_WIDE and "namespace" in made["metadata"]]
    assert found == []


@pytest.mark.parametrize("folder", ALL)
def test_no_word_of_a_rendered_object_is_a_boolean_by_accident(folder: str) -> None:
    """kubectl reads YAML 1.1, where n and on are false and true, and PyYAML does not wholly agree with it."""

    def words(value: object) -> set[str]:
        if isinstance(value, dict):
            return {str(key) for key in value} | {word for inner in value.values() for word in words(inner)}
        if isinstance(value, list):
            return {word for inner in value for word in words(inner)}
        return {value} if isinstance(value, str) else set()

    assert words(render(folder)) & {"y", "n", "Y", "N", "yes", "no", "on", "off"} == set()


@pytest.mark.parametrize("file", [file for file in FILES if file not in GENERATED])
def test_each_file_is_tidy(file: str) -> None:
    assert [str(found) for found in linter.run((MANIFESTS / file).read_text(), LINT)] == []
