"""A namespace whose pipelines people look after with commands; what a controller would say is written by hand."""

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from fastgen_k8s.lifecycle.conditions import ACCEPTED, columns, condition, merge, outcome
from fastgen_k8s.lifecycle.status import StageStatus, Status
from tests.cluster.api import Api, Object, path_of
from tests.cluster.cluster import Cluster
from tests.cluster.custom import establish

PIPELINES = "distillationpipelines.v1alpha1.fastgen-k8s.github.io"
PROGRAM = str(Path(sys.executable).parent / "fastgen-k8s")
NOON = "2026-01-02T12:00:00Z"
KD = "closed_form/gaussian_kd"
KINDS = {"pairs": "pairs", "kd": "train"}


def establish_ours(api: Api) -> None:
    """Our kind, as `kubectl apply -k manifests/base` makes it."""
    establish(api, [yaml.safe_load(Path("manifests/base/crd.yaml").read_text())])


@dataclass
class Desk:
    """A namespace whose pipelines people look after."""

    cluster: Cluster
    namespace: str
    shell: Mapping[str, str] = field(default_factory=dict[str, str])  # what a person has in the environment besides

    def environment(self, **more: str) -> dict[str, str]:
        """What a person's shell has."""
        return {**os.environ, "KUBECONFIG": str(self.cluster.kubeconfig), "TZ": "UTC", **self.shell, **more}

    def say(self, *words: str, **environment: str) -> tuple[int, str, str]:
        """A command about this namespace; exit code, stdout and stderr."""
        return command(self.environment(**environment), *words, "-n", self.namespace)

    def apply(self, name: str = "shapes", root: str = "s3://bucket/run") -> Object:
        """A pipeline of two stages."""
        stages = [{"name": one, "kind": kind, "experiment": KD} for one, kind in KINDS.items()]
        meta = {"name": name, "namespace": self.namespace}
        made = {"apiVersion": "fastgen-k8s.github.io/v1alpha1", "kind": "DistillationPipeline", "metadata": meta}
        return self.cluster.api.apply(made | {"spec": {"root": root, "stages": stages}})

    def told(self, *stages: StageStatus, name: str = "shapes", **more: object) -> None:
        """Have the controller say this of the stages."""
        found = self.get(name)
        generation = found["metadata"]["generation"]
        succeeded = outcome(stages, generation, suspended=False, late=False)
        said = Status(
            observedGeneration=generation,
            conditions=merge((), [condition(ACCEPTED, "True", "Accepted", "", generation), succeeded], NOON),
            stages=stages,
            columns=columns(stages, succeeded),
        ).model_copy(update=more)
        body = {key: found[key] for key in ("apiVersion", "kind")} | {
            "metadata": {"name": name, "namespace": self.namespace},
            "status": said.model_dump(mode="json", exclude_none=True),
        }
        self.cluster.api.call(
            "PATCH",
            f"{path_of(PIPELINES, self.namespace, name)}/status",
            body,
            kind="application/apply-patch+yaml",
            fieldManager="controller",
            force="true",
        )

    def get(self, name: str = "shapes") -> Object:
        return self.cluster.api.get(PIPELINES, name, self.namespace)


def command(environment: dict[str, str], *words: str) -> tuple[int, str, str]:
    """A command as a person types it."""
    done = subprocess.run([PROGRAM, *words], env=environment, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr
