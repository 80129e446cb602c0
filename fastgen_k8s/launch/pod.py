"""The pod of a launch: one template, admitted under Pod Security `restricted`, for every backend."""

from collections.abc import Mapping, Sequence

from fastgen_k8s.kube.objects import Object
from fastgen_k8s.launch.cluster import GROUP, POOL, Cluster
from fastgen_k8s.launch.launch import AGENT, Launch, escaped
from fastgen_k8s.launch.resources import Resource
from fastgen_k8s.pipeline.kinds import KINDS

TRAINER, RENDEZVOUS = "trainer", "rendezvous"
PORT = 29400  # of the rendezvous
USER = 10001  # of the image
CACHE = "/cache"
_ADDRESS = "PET_LOCAL_ADDR"  # what only the cluster knows, whatever an application says of it
_SYSTEM_MILLICPU = 100  # left to the node
_MARGIN = 10  # seconds between the agent's own wait and the kubelet's SIGKILL
_LOST_NODE = 5  # seconds that a pod stays bound to a node that has been silent for the cluster's own grace period
_SHM_MIB = 16 * 1024  # most that NCCL's buffers of one node need
_LOGS_GIB = 1  # of a container's log, as kubelets keep it
_STORE = Resource(cpu=0, gpu=0, memory=768)  # a process with torch, that serves some hundred bytes


def metadata(launch: Launch, cluster: Cluster, job: str) -> Object:
    """The metadata of a job, on every backend."""
    return {
        "name": job,
        "namespace": cluster.namespace,
        "labels": _labels(launch, cluster, job, "job"),
        "annotations": {f"{GROUP}/experiment": launch.work.experiment, f"{GROUP}/output": launch.work.output},
    }


def _labels(launch: Launch, cluster: Cluster, job: str, component: str) -> dict[str, str]:
    """What pods and policies are selected by."""
    return {
        **cluster.labels,
        "app.kubernetes.io/name": "fastgen-k8s",
        "app.kubernetes.io/component": component,
        f"{GROUP}/job": job,
        f"{GROUP}/stage": launch.work.kind,
    }


def trainer_pod(launch: Launch, cluster: Cluster, job: str, endpoint: str | None) -> Object:
    """The template of a pod that works; `endpoint` is where the pods meet, if they do."""
    environment = {name: value for name, value in launch.environment.items() if not name.startswith("PET_RDZV_")}
    environment |= {
        "FASTGEN_CACHE": CACHE,
        "FASTGEN_CACHE_GIB": str(max(1, cluster.cache_gib - 1)),  # below what the kubelet evicts for
        "HF_HUB_OFFLINE": "1",
    }
    if endpoint is not None:
        environment |= {
            "PET_RDZV_BACKEND": "c10d",
            "PET_RDZV_ID": job,
            "PET_RDZV_ENDPOINT": endpoint,
            "PET_RDZV_CONF": "is_host=false",
        }
    command = ["-m", AGENT, *launch.argv]
    pod = _pod(launch, cluster, job, TRAINER, command, environment, launch.resource)
    pod["spec"]["terminationGracePeriodSeconds"] = launch.placement.grace + _MARGIN
    pod["spec"]["topologySpreadConstraints"] = [_spread(job)]
    if not KINDS[launch.work.kind].evictable:
        pod["metadata"]["annotations"]["karpenter.sh/do-not-disrupt"] = "true"
    return pod


def rendezvous_pod(launch: Launch, cluster: Cluster, job: str, arguments: Sequence[str] = ()) -> Object:
    """The template of the pod that hosts the store in which trainers meet, so that no trainer's loss ends the job."""
    command = ["-m", "fastgen_k8s.rendezvous", "--port", str(PORT), *arguments]
    pod = _pod(launch, cluster, job, RENDEZVOUS, command, {"OMP_NUM_THREADS": "1"}, _STORE)
    pod["spec"]["terminationGracePeriodSeconds"] = _MARGIN
    return pod


def _pod(
    launch: Launch,
    cluster: Cluster,
    job: str,
    component: str,
    command: Sequence[str],
    environment: Mapping[str, str],
    resource: Resource,
) -> Object:
    shm = max(64, min(_SHM_MIB, resource.memory // 4))
    volumes, mounts = _volumes(launch, shm, cluster.cache_gib)
    container = _container(launch.image, component, [launch.python, *command], cluster) | {
        "env": _environment(environment),
        "resources": _resources(resource, cluster.cache_gib),
        "volumeMounts": mounts,
    }
    spec: Object = {
        "restartPolicy": "Never",
        "serviceAccountName": cluster.service_account,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER,
            "runAsGroup": USER,
            "fsGroup": USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [container],
        "volumes": volumes,
        "tolerations": _tolerations(launch, cluster),
    }
    pool = launch.placement.pool
    optional: Object = {
        "nodeSelector": dict(cluster.node_selector) | ({POOL: pool} if pool else {}),
        "priorityClassName": cluster.priority_class,
        "imagePullSecrets": [{"name": name} for name in cluster.pull_secrets],
    }
    spec |= {name: value for name, value in optional.items() if value}
    meta: Object = {
        "labels": _labels(launch, cluster, job, component),
        "annotations": {"sidecar.istio.io/inject": "false"},  # a sidecar would keep a finished pod
    }
    return {"metadata": meta, "spec": spec}


def _container(image: str, name: str, command: Sequence[str], cluster: Cluster) -> Object:
    return {
        "name": name,
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": [escaped(word) for word in command],  # the kubelet reads it
        "envFrom": [
            *({"configMapRef": {"name": one, "optional": True}} for one in cluster.config_maps),
            *({"secretRef": {"name": one, "optional": True}} for one in cluster.secrets),
        ],
        "terminationMessagePolicy": "FallbackToLogsOnError",  # the one line of an error, in the pod's status
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
    }


def _environment(given: Mapping[str, str]) -> list[Object]:
    plain = {name: value for name, value in given.items() if name != _ADDRESS} | {
        "PYTHONUNBUFFERED": "1",
        "HOME": "/tmp",
    }
    address: Object = {"name": _ADDRESS, "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}
    return [*({"name": name, "value": escaped(value)} for name, value in plain.items()), address]


def _volumes(launch: Launch, shm_mib: int, cache_gib: int) -> tuple[list[Object], list[Object]]:
    ours: list[tuple[str, str, Object]] = [
        ("tmp", "/tmp", {"sizeLimit": f"{cache_gib}Gi"}),  # a bridge lays a whole network down there
        ("shm", "/dev/shm", {"medium": "Memory", "sizeLimit": f"{shm_mib}Mi"}),
        ("cache", CACHE, {"sizeLimit": f"{cache_gib}Gi"}),
    ]
    volumes: list[Object] = [{"name": name, "emptyDir": directory} for name, _, directory in ours]
    mounts: list[Object] = [{"name": name, "mountPath": path} for name, path, _ in ours]
    for index, claim in enumerate(launch.claims):
        name = f"claim-{index}"
        volumes.append({"name": name, "persistentVolumeClaim": {"claimName": claim.name}})
        mounts.append({"name": name, "mountPath": claim.path, "readOnly": claim.read_only})
    return volumes, mounts


def _resources(resource: Resource, cache_gib: int) -> Object:
    """Memory and devices are held for the pod; CPU is asked for without a limit, which would only stall a step.

    Its disk has the limit of its two volumes and its log. Little of it is asked for: most stages never fill it.
    """
    memory, disk = f"{resource.memory}Mi", f"{2 * cache_gib + _LOGS_GIB}Gi"
    devices = {name: str(count) for name, count in resource.devices.items()}
    if resource.gpu:
        devices["nvidia.com/gpu"] = str(resource.gpu)
    cpu = max(int(resource.cpu * 1000) - _SYSTEM_MILLICPU, 50)
    return {
        "requests": {"cpu": f"{cpu}m", "memory": memory, "ephemeral-storage": f"{_LOGS_GIB}Gi", **devices},
        "limits": {"memory": memory, "ephemeral-storage": disk, **devices},
    }


def _tolerations(launch: Launch, cluster: Cluster) -> list[Object]:
    found: list[Object] = [
        {
            "key": f"node.kubernetes.io/{why}",
            "operator": "Exists",
            "effect": "NoExecute",
            "tolerationSeconds": _LOST_NODE,
        }
        for why in ("not-ready", "unreachable")
    ]
    pool = launch.placement.pool
    if pool:
        found.append({"key": POOL, "operator": "Equal", "value": pool})
    if launch.resource.gpu:
        found.append({"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"})
    for taint in cluster.tolerations:
        one: Object = {"key": taint.key, "operator": "Equal" if taint.value else "Exists"}
        one |= {"value": taint.value} if taint.value else {}
        found.append(one | ({"effect": taint.effect} if taint.effect else {}))
    return found


def _spread(job: str) -> Object:
    """One trainer a node while there are nodes; a dead node is no place that has to be filled."""
    return {
        "maxSkew": 1,
        "topologyKey": "kubernetes.io/hostname",
        "whenUnsatisfiable": "ScheduleAnyway",
        "nodeTaintsPolicy": "Honor",
        "labelSelector": {"matchLabels": {f"{GROUP}/job": job, "app.kubernetes.io/component": TRAINER}},
    }
