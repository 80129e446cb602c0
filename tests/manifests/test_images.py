# pyright: basic
"""What an overlay runs: images of a registry, those that are not ours by digest; and a policy that asks for both."""

import copy
import re
from collections.abc import Iterable, Iterator
from typing import Any

import pytest
import yaml

from images.build import EXTRAS, in_manifests
from tests.manifests.admission import judged
from tests.manifests.jobs import job
from tests.manifests.render import COMPONENTS, OVERLAYS, ROOT, STANDALONE, Object, render, with_component
from tests.manifests.restricted import containers

TRAINER = "FASTGEN_TRAINER_IMAGE"
OURS = re.compile(r"(.*/)?fastgen-k8s/(controller|trainer):[0-9.]+")


def images(folder: str) -> Iterator[str]:
    """What containers of a folder run, and what the controller gives to its jobs."""
    for made in render(folder):
        if made["kind"] in {"Deployment", "StatefulSet", "DaemonSet", "Job"}:
            for one in containers(made["spec"]["template"]["spec"]):
                yield one["image"]
                yield from (entry["value"] for entry in one.get("env", ()) if entry["name"] == TRAINER)


def has_registry(image: str) -> bool:
    """Whether a name says where it comes from; docker's own rule for what is a host."""
    host, slash, _ = image.partition("/")
    return bool(slash) and ("." in host or ":" in host or host == "localhost")


def test_without_a_registry_our_images_have_the_names_that_their_archives_bring() -> None:
    assert {image for image in images("overlays/kind") if OURS.fullmatch(image)} == set(map(in_manifests, EXTRAS))


@pytest.mark.parametrize("folder", OVERLAYS)
def test_every_image_of_an_overlay_has_a_registry_but_for_ours_where_there_is_none(folder: str) -> None:
    bare = {image for image in images(folder) if not has_registry(image)}
    assert {image for image in bare if folder != "overlays/kind" or not OURS.fullmatch(image)} == set()


@pytest.mark.parametrize("folder", OVERLAYS)
def test_the_controller_of_an_overlay_knows_an_image_for_its_jobs(folder: str) -> None:
    assert len([image for image in images(folder) if "fastgen-k8s/trainer:" in image]) == 1


@pytest.mark.parametrize("folder", [*STANDALONE, *COMPONENTS])
def test_what_is_not_ours_is_named_by_its_digest(folder: str) -> None:
    others = [image for image in images(folder) if image and not OURS.fullmatch(image)]
    assert [image for image in others if not re.search("@sha256:[0-9a-f]{64}$", image)] == []


@pytest.mark.parametrize("image", ["trainer:1", "team/trainer:1", "", "registry.example"])
def test_the_check_of_registries_sees(image: str) -> None:
    assert not has_registry(image)


# --- the policy ---

DIGEST = "@sha256:" + "0" * 64
FINE = f"registry.example/team/trainer:1{DIGEST}"


def spec_of(objects: Iterable[Object]) -> Object:
    """The policy's."""
    kind, name = "ValidatingAdmissionPolicy", "fastgen-images"
    [found] = [made["spec"] for made in objects if (made["kind"], made["metadata"]["name"]) == (kind, name)]
    return found


def policy(*registries: str) -> Object:
    """The policy with these registries."""
    spec = copy.deepcopy(spec_of(render("components/image-policy")))
    assert spec["variables"][0]["name"] == "registries"
    spec["variables"][0]["expression"] = str(list(registries))
    return spec


def pod(image: str, **more: Any) -> Object:
    return {"kind": "Pod", "spec": {"containers": [{"name": "one", "image": FINE if more else image}], **more}}


def of_jobset(image: str) -> Object:
    made = copy.deepcopy(job())
    for one in made["spec"]["replicatedJobs"]:
        one["template"]["spec"]["template"]["spec"]["containers"][0]["image"] = image
    return made


def pipeline(image: str | None, of_stage: str | None = None) -> Object:
    stage = {"name": "kd", "kind": "train", "experiment": "e", "image": of_stage}
    return {"kind": "DistillationPipeline", "spec": {"root": "s3://bucket/x", "image": image, "stages": [stage]}}


def places(image: str) -> dict[str, Object]:
    """An image wherever one can stand."""
    return {
        "container": pod(image),
        "init container": pod(image, initContainers=[{"name": "two", "image": image}]),
        "ephemeral container": pod(image, ephemeralContainers=[{"name": "two", "image": image}]),
        "volume": pod(image, volumes=[{"name": "a"}, {"name": "b", "image": {"reference": image}}]),
        "job": {"kind": "Job", "spec": {"template": pod(image)}},
        "job of Volcano": {"kind": "Job", "spec": {"tasks": [{"template": pod(image)}]}},
        "JobSet": of_jobset(image),
        "pipeline": pipeline(image),
        "stage": pipeline(None, image),
    }


PLACES = list(places(""))


def test_the_patch_of_the_docs_sets_the_registries() -> None:
    [shown] = re.findall(r"```yaml\n(components: .*?)```", (ROOT / "docs/manifests.md").read_text(), re.DOTALL)
    overlay = yaml.safe_load(shown)
    assert overlay["components"] == ["../../components/image-policy"]
    made = yaml.safe_load_all(with_component("components/image-policy", patches=overlay["patches"]))
    assert spec_of(made) == policy("registry.example/team/")


@pytest.mark.parametrize("place", PLACES)
def test_an_image_of_an_allowed_registry_with_a_digest_is_let_through(place: str) -> None:
    assert judged(policy("other.example/", "registry.example/team/"), places(FINE)[place]) == []


@pytest.mark.parametrize(
    "image",
    [
        "registry.example/team/trainer:1",
        f"registry.example/other/trainer:1{DIGEST}",
        f"trainer{DIGEST}",
        f"registry.example/team/trainer{DIGEST[:-1]}",
        "",
    ],
    ids=["no digest", "another place", "no registry", "half a digest", "nothing"],
)
@pytest.mark.parametrize("place", PLACES)
def test_any_other_image_is_refused_wherever_it_stands(place: str, image: str) -> None:
    [said] = judged(policy("registry.example/team/"), places(image)[place])
    assert said == f'image: wanted NAME@sha256:... of a registry that this cluster allows, found "{image}"'


def test_where_no_registry_is_set_none_is_allowed() -> None:
    assert judged(policy(), pod(FINE)) == [
        f'image: wanted NAME@sha256:... of a registry that this cluster allows, found "{FINE}"'
    ]


def test_a_pipeline_that_names_no_image_is_let_through_for_its_pods_are_judged() -> None:
    assert judged(policy(), pipeline(None)) == []


def test_an_older_pod_can_still_be_let_go() -> None:
    older = pod("trainer:1")
    assert judged(policy(), {**older, "metadata": {"finalizers": []}}, older) == []
