"""The pod of an application: one template, admitted under Pod Security `restricted`, for every backend."""
# pyright: reportMissingTypeStubs=false

from collections.abc import Mapping, Sequence
from typing import cast

from torchx.specs import AppDef, Resource, Role, VolumeMount, macros

from fastgen_k8s.errors import Misdescribed
from fastgen_k8s.launch.app import PLACED
from fastgen_k8s.launch.cluster import GROUP, POOL, Cluster
from fastgen_k8s.pipeline.argv import parse
from fastgen_k8s.pipeline.work import KINDS, Work

Data = dict[str, object]  # a part of an object of Kubernetes

TRAINER, RENDEZVOUS = "trainer", "rendezvous"
PORT = 29400  # of the rendezvous
USER = 10001  # of the image
CACHE = "/cache"
_SYSTEM_MILLICPU = 100  # left to the node
_MARGIN = 10  # seconds between the agent's own wait and the kubelet's SIGKILL
_LOST_NODE = 5  # seconds that a pod stays bound to a node that has been silent for the cluster's own grace period
_SHM_MIB = 16 * 1024  # most that NCCL's buffers of one node need
_SHIPPED = "examples/"  # below the image's working directory
_STORE = Resource(cpu=0, gpu=0, memMB=768)  # a process with torch, that serves some hundred bytes


def work_argv(app: AppDef) -> list[str]:
    """What an application's agents are told."""
    return _role(app).args[2:]


def work_of(app: AppDef) -> Work:
    """The work that an application does, read back from its arguments."""
    return parse(work_argv(app))[0]


def trainers(app: AppDef) -> int:
    """How many pods work at most."""
    return _role(app).num_replicas


def fewest_trainers(app: AppDef) -> int:
    """How many pods can do the work."""
    role = _role(app)
    return role.num_replicas if role.min_replicas is None else role.min_replicas


def meets(app: AppDef) -> bool:
    """Whether the pods work together in one process group, and need a place to meet."""
    return trainers(app) > 1 and KINDS[work_of(app).kind].elastic


def trainer_pod(app: AppDef, cluster: Cluster, job: str, endpoint: str | None) -> Data:
    """The template of a pod that works; `endpoint` is where the pods meet, if they do."""
    role, kind = _role(app), work_of(app).kind
    grace = int(_placed(role, "grace") or 60)
    mine = f"{cluster.namespace}:{job}"  # what TorchX's commands know this application by
    environment = {name: value.replace(macros.app_id, mine) for name, value in role.env.items()} | {
        "TORCH_ELASTIC_SHUTDOWN_TIMEOUT": str(grace),
        "FASTGEN_CACHE": CACHE,
        "FASTGEN_CACHE_GIB": str(max(1, cluster.cache_gib - 1)),  # below what the kubelet evicts for
        "HF_HUB_OFFLINE": "1",
    }
    environment = {name: value for name, value in environment.items() if not name.startswith("PET_RDZV_")}
    if endpoint is not None:
        environment |= {
            "PET_RDZV_BACKEND": "c10d",
            "PET_RDZV_ID": job,
            "PET_RDZV_ENDPOINT": endpoint,
            "PET_RDZV_CONF": "is_host=false",
        }
    pod = _pod(app, cluster, job, TRAINER, [role.entrypoint, *role.args], environment, role.resource)
    spec, meta = cast("Data", pod["spec"]), cast("Data", pod["metadata"])
    spec["terminationGracePeriodSeconds"] = grace + _MARGIN
    spec["topologySpreadConstraints"] = [_spread(job)]
    if KINDS[kind].elastic:  # what a moved pod loses is work since the last checkpoint, and its peers' time
        meta["annotations"] = cast("Data", meta["annotations"]) | {"karpenter.sh/do-not-disrupt": "true"}
    return pod


def rendezvous_pod(app: AppDef, cluster: Cluster, job: str, arguments: Sequence[str] = ()) -> Data:
    """The template of the pod that hosts the store in which trainers meet, so that no trainer's loss ends the job."""
    role = _role(app)
    command = [role.entrypoint, "-m", "fastgen_k8s.rendezvous", "--port", str(PORT), *arguments]
    pod = _pod(app, cluster, job, RENDEZVOUS, command, {"OMP_NUM_THREADS": "1"}, _STORE)
    cast("Data", pod["spec"])["terminationGracePeriodSeconds"] = _MARGIN
    return pod


def check_shared(app: AppDef) -> None:
    """Raise Misdescribed for a place or an image that a pod on another machine could not reach."""
    role, work = _role(app), work_of(app)
    mounts = [f"{mount.dst_path.rstrip('/')}/" for mount in role.mounts if isinstance(mount, VolumeMount)]
    if len(mounts) < len(role.mounts):
        raise Misdescribed("a pod mounts claims (type=volume) only: folders and devices of a node are not `restricted`")
    reached = {"output": mounts} | {name: [*mounts, _SHIPPED] for name in work.inputs}
    for name, place in {**work.inputs, "output": work.output}.items():
        remote = "://" in place and not place.startswith("file://")
        if not remote and not f"{place.removeprefix('file://')}/".startswith(tuple(reached[name]) or ("\0",)):
            raise Misdescribed(f"{name}: wanted a place that every pod reaches (s3://...), found {place!r}")
    check_image(role.image)


def check_image(image: str) -> None:
    """Raise Misdescribed for an image whose content may change under its name."""
    tag = image.rpartition("/")[2].partition("@")[0].partition(":")[2]
    if "@sha256:" not in image and tag in ("", "latest"):
        raise Misdescribed(f"image: wanted a tag of its own (not latest) or a digest, found {image!r}")


def labels(app: AppDef, job: str, component: str) -> dict[str, str]:
    """What pods and policies are selected by."""
    return {
        "app.kubernetes.io/name": "fastgen-k8s",
        "app.kubernetes.io/component": component,
        f"{GROUP}/job": job,
        f"{GROUP}/stage": work_of(app).kind,
    }


def _pod(
    app: AppDef,
    cluster: Cluster,
    job: str,
    component: str,
    command: Sequence[str],
    environment: Mapping[str, str],
    resource: Resource,
) -> Data:
    role = _role(app)
    shm = max(64, min(_SHM_MIB, int(resource.memMB) // 4))
    volumes, mounts = _volumes(role, shm, cluster.cache_gib)
    container: Data = {
        "name": component,
        "image": role.image,
        "imagePullPolicy": "IfNotPresent",
        "command": [word.replace("$(", "$$(") for word in command],  # the kubelet would expand $(NAME)
        "env": _environment(environment),
        "envFrom": [
            *({"configMapRef": {"name": name, "optional": True}} for name in cluster.config_maps),
            *({"secretRef": {"name": name, "optional": True}} for name in cluster.secrets),
        ],
        "resources": _resources(resource),
        "volumeMounts": mounts,
        "terminationMessagePolicy": "FallbackToLogsOnError",  # the one line of an error, in the pod's status
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
    }
    spec: Data = {
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
        "tolerations": _tolerations(role, cluster),
    }
    pool = _placed(role, "pool")
    optional: Data = {
        "nodeSelector": dict(cluster.node_selector) | ({POOL: pool} if pool else {}),
        "priorityClassName": cluster.priority_class,
        "imagePullSecrets": [{"name": name} for name in cluster.pull_secrets],
    }
    spec |= {name: value for name, value in optional.items() if value}
    meta: Data = {
        "labels": {**cluster.labels, **labels(app, job, component)},
        "annotations": {"sidecar.istio.io/inject": "false"},  # a sidecar would keep a finished pod
    }
    return {"metadata": meta, "spec": spec}


def _environment(given: Mapping[str, str]) -> list[Data]:
    plain = {**given, "PYTHONUNBUFFERED": "1", "HOME": "/tmp"}
    address: Data = {"name": "PET_LOCAL_ADDR", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}
    return [*({"name": name, "value": value} for name, value in plain.items()), address]


def _volumes(role: Role, shm_mib: int, cache_gib: int) -> tuple[list[Data], list[Data]]:
    volumes: list[Data] = [
        {"name": "tmp", "emptyDir": {}},
        {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": f"{shm_mib}Mi"}},
        {"name": "cache", "emptyDir": {"sizeLimit": f"{cache_gib}Gi"}},
    ]
    mounts: list[Data] = [
        {"name": "tmp", "mountPath": "/tmp"},
        {"name": "shm", "mountPath": "/dev/shm"},
        {"name": "cache", "mountPath": CACHE},
    ]
    for index, mount in enumerate(mount for mount in role.mounts if isinstance(mount, VolumeMount)):
        name = f"claim-{index}"
        volumes.append({"name": name, "persistentVolumeClaim": {"claimName": mount.src}})
        mounts.append({"name": name, "mountPath": mount.dst_path, "readOnly": mount.read_only})
    return volumes, mounts


def _resources(resource: Resource) -> Data:
    """Memory and devices are held for the pod; CPU is asked for without a limit, which would only stall a step."""
    memory = f"{int(resource.memMB)}Mi"
    devices = {name: str(count) for name, count in resource.devices.items()}
    if resource.gpu:
        devices["nvidia.com/gpu"] = str(resource.gpu)
    cpu = max(int(resource.cpu * 1000) - _SYSTEM_MILLICPU, 50)
    return {"requests": {"cpu": f"{cpu}m", "memory": memory, **devices}, "limits": {"memory": memory, **devices}}


def _tolerations(role: Role, cluster: Cluster) -> list[Data]:
    found: list[Data] = [
        {
            "key": f"node.kubernetes.io/{why}",
            "operator": "Exists",
            "effect": "NoExecute",
            "tolerationSeconds": _LOST_NODE,
        }
        for why in ("not-ready", "unreachable")
    ]
    pool = _placed(role, "pool")
    if pool:
        found.append({"key": POOL, "operator": "Equal", "value": pool})
    if role.resource.gpu:
        found.append({"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"})
    for taint in cluster.tolerations:
        one: Data = {"key": taint.key, "operator": "Equal" if taint.value else "Exists"}
        one |= {"value": taint.value} if taint.value else {}
        found.append(one | ({"effect": taint.effect} if taint.effect else {}))
    return found


def _spread(job: str) -> Data:
    """One trainer a node while there are nodes; a dead node is no place that has to be filled."""
    return {
        "maxSkew": 1,
        "topologyKey": "kubernetes.io/hostname",
        "whenUnsatisfiable": "ScheduleAnyway",
        "nodeTaintsPolicy": "Honor",
        "labelSelector": {"matchLabels": {f"{GROUP}/job": job, "app.kubernetes.io/component": TRAINER}},
    }


def _role(app: AppDef) -> Role:
    [role] = app.roles
    return role


def _placed(role: Role, name: str) -> str | None:
    placed = cast("Mapping[str, str]", role.metadata.get(PLACED, {}))
    return placed.get(name)
