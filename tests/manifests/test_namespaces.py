"""One more namespace of pipelines is one folder of a few lines and one word for the controller (docs/manifests.md)."""

from typing import Any

from tests.manifests.namespaces import FIRST, OURS, SECOND, both
from tests.manifests.render import Object, render, said


def of(made: list[Object], namespace: str) -> dict[str, Any]:
    """The objects of a namespace by kind and name, each without the namespace's name."""
    found = {said(one): one for one in made if one["metadata"].get("namespace") == namespace}
    [itself] = [one for one in made if said(one) == f"Namespace/{namespace}"]
    everything = {**found, "Namespace": {**itself, "metadata": {**itself["metadata"], "name": "its own"}}}
    return {name: {**one, "metadata": {**one["metadata"], "namespace": ""}} for name, one in everything.items()}


def test_it_has_all_that_the_first_one_has() -> None:
    assert of(both(), SECOND) == of(render("storage/external"), FIRST)


def test_the_first_one_and_the_controllers_own_are_as_without_it() -> None:
    before = render("storage/external")
    assert of(both(), FIRST) == of(before, FIRST)
    changed = {name for name, one in of(both(), OURS).items() if one != of(before, OURS)[name]}
    assert changed == {"Deployment/fastgen-controller"}


def test_the_controller_is_told_of_it_and_bound_in_it() -> None:
    [deployment] = [made for made in both() if made["kind"] == "Deployment"]
    words = deployment["spec"]["template"]["spec"]["containers"][0]["args"]
    assert [word for word in words if word.startswith("--namespace=")] == [
        f"--namespace={FIRST}",
        f"--namespace={SECOND}",
    ]
    [binding] = [
        made for made in both() if (made["kind"], made["metadata"].get("namespace")) == ("RoleBinding", SECOND)
    ]
    assert [(who["name"], who["namespace"]) for who in binding["subjects"]] == [("fastgen-controller", OURS)]
