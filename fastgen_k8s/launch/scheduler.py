"""TorchX's view of a cluster, for every backend: submit, status, describe, list, log, cancel and delete."""
# pyright: reportMissingTypeStubs=false

import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import yaml
from torchx.schedulers.api import DescribeAppResponse, ListAppResponse, Scheduler, Stream, filter_regex
from torchx.specs import (
    AppDef,
    AppDryRunInfo,
    AppState,
    CfgVal,
    ReplicaState,
    ReplicaStatus,
    Role,
    RoleStatus,
    runopts,
)

from fastgen_k8s.artifacts import find_artifact
from fastgen_k8s.errors import BadInput, FastgenError, Misdescribed
from fastgen_k8s.kube.api import Api
from fastgen_k8s.launch.app import launch_of
from fastgen_k8s.launch.cluster import GROUP, Cluster
from fastgen_k8s.launch.jobs import Backend, ClusterJobs
from fastgen_k8s.launch.outcome import JobState, Replica, exit_code, replicas
from fastgen_k8s.launch.pod import TRAINER

_TYPES: Mapping[str, type[CfgVal]] = {
    "string": str,
    "integer": int,
    "boolean": bool,
    "array": list[str],
    "object": dict[str, str],
}


class Request(dict[str, Any]):
    """An object that prints itself as YAML: what `--dryrun` shows goes through `kubectl apply`."""

    def __str__(self) -> str:
        return yaml.safe_dump(dict(self), sort_keys=False)


class ClusterScheduler(Scheduler[Mapping[str, CfgVal]]):
    """The jobs of one cluster that a backend runs; an application's id is namespace:name."""

    def __init__(self, name: str, session_name: str, runs: Backend) -> None:
        super().__init__(name, session_name)
        self._runs = runs
        self._jobs: ClusterJobs | None = None

    @property
    def jobs(self) -> ClusterJobs:
        """The cluster, looked for when it is needed: a dry run needs none."""
        self._jobs = self._jobs or ClusterJobs(Api(), self._runs)
        return self._jobs

    def _run_opts(self) -> runopts:
        return options()

    def _submit_dryrun(self, app: AppDef, cfg: Mapping[str, CfgVal]) -> AppDryRunInfo[Request, Any]:
        there = cluster(cfg)
        return AppDryRunInfo(Request(self._runs.render(launch_of(app, there), there)), str)

    def schedule(self, dryrun_info: AppDryRunInfo[Request, Any]) -> str:
        """Create the job."""
        self.jobs.submit(dryrun_info.request)
        meta = dryrun_info.request["metadata"]
        return f"{meta['namespace']}:{meta['name']}"

    def describe(self, app_id: str) -> DescribeAppResponse | None:
        """State, replicas and exit code of a job; None when there is none.

        What counts is the artifact: a trainer that fails just after another has published it fails the job.
        """
        where = _split(app_id)
        found = self.jobs.find(*where)
        if found is None:
            return None
        pods = self.jobs.pods(*where)
        state, seen, published = self._runs.state(found), replicas(pods), list[str]()
        code = exit_code(self.jobs.jobs(*where), pods) if state == JobState.FAILED else None
        if state == JobState.FAILED and _is_done(found, seen, code):
            state, code, published = JobState.SUCCEEDED, None, ["its artifact is published"]
        roles = {one.role: [other for other in seen if other.role == one.role] for one in seen}
        return DescribeAppResponse(
            app_id=app_id,
            state=AppState[state],
            msg="; ".join(published + [f"{one.role}/{one.number} {one.why}" for one in seen if one.why])
            or self._runs.said(found),
            structured_error_msg=json.dumps({} if code is None else {"exit_code": code}),
            roles=[Role(name=role, image="", num_replicas=len(each)) for role, each in roles.items()],
            roles_statuses=[RoleStatus(role, [_status(one) for one in each]) for role, each in roles.items()],
        )

    def describe_native(self, app_id: str) -> AppDryRunInfo[Request, Any] | None:
        """The job as it is in the cluster."""
        found = self.jobs.find(*_split(app_id))
        return None if found is None else AppDryRunInfo(Request(found), str)

    def log_iter(
        self,
        app_id: str,
        role_name: str,
        k: int = 0,
        regex: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        should_tail: bool = False,
        streams: Stream | None = None,
    ) -> Iterable[str]:
        """The lines of all pods that replica `k` had and that the cluster still has, the oldest first."""
        if until is not None or streams not in (None, Stream.COMBINED):
            raise Misdescribed("logs of pods: wanted both streams and no end, found --until or one stream")
        query = {} if since is None else {"sinceSeconds": str(max(1, int((datetime.now() - since).total_seconds())))}
        lines = (f"{line}\n" for line in self.jobs.log(*_split(app_id), role_name, k, should_tail, query))
        return filter_regex(regex, lines) if regex else lines

    def _cancel_existing(self, app_id: str) -> None:
        self.jobs.cancel(*_split(app_id))

    def _delete_existing(self, app_id: str) -> None:
        self.jobs.delete(*_split(app_id))

    def list(self, cfg: Mapping[str, CfgVal] | None = None) -> list[ListAppResponse]:
        """Our jobs in a namespace."""
        namespace = str((cfg or {}).get("namespace") or Cluster().namespace)
        found = self.jobs.ours(namespace)
        return [
            ListAppResponse(f"{namespace}:{one['metadata']['name']}", AppState[self._runs.state(one)]) for one in found
        ]


def _is_done(found: Mapping[str, Any], seen: Iterable[Replica], code: int | None) -> bool:
    """Whether a failed job has done its work: no trainer ends with 0 before it has read the published manifest.

    One that ended so may be gone, and then the artifact says it, unless the place may be another work's.
    """
    if any(one.role == TRAINER and one.phase == "Succeeded" for one in seen):
        return True
    output = found["metadata"].get("annotations", {}).get(f"{GROUP}/output")
    if output is None or code in (Misdescribed.code, BadInput.code):
        return False
    try:
        return find_artifact(output) is not None
    except FastgenError:  # who looks may have no way to the store
        return False


def _split(app_id: str) -> tuple[str, str]:
    namespace, separator, name = app_id.partition(":")
    if not (namespace and separator and name):
        raise Misdescribed(f"wanted an application as namespace:name, found {app_id!r}")
    return namespace, name


def _status(one: Replica) -> ReplicaStatus:
    ended = {} if one.code is None else {"exit_code": one.code}
    state = ReplicaState[one.phase.upper()]
    return ReplicaStatus(
        id=one.number, role=one.role, state=state, hostname=one.node, structured_error_msg=json.dumps(ended)
    )


def options() -> runopts:
    """What `torchx run -cfg` takes for a cluster: the fields of `Cluster` with their defaults and meanings."""
    known = runopts()
    fields: dict[str, dict[str, Any]] = Cluster.model_json_schema()["properties"]
    for name, field in fields.items():
        kind = field["type"] if "type" in field else field["anyOf"][0]["type"]
        default = None if kind in ("array", "object") else field["default"]
        if name != "labels":
            known.add(name, _TYPES[kind], field["description"], default)
    return known


def cluster(given: Mapping[str, CfgVal]) -> Cluster:
    """The checked value of some options; Misdescribed for the first that is wrong."""
    words: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    if "tolerations" in words:
        words["tolerations"] = [_toleration(text) for text in words["tolerations"]]
    return Cluster.parse(words, "-cfg")


def _toleration(text: str) -> dict[str, str]:
    taint, _, effect = text.partition(":")
    key, _, value = taint.partition("=")
    return {name: word for name, word in {"key": key, "value": value, "effect": effect}.items() if word}
