"""The rules of Pod Security `restricted` (version 1.34) for a pod, as messages of what breaks them."""

from collections.abc import Iterator
from typing import Any

Pod = dict[str, Any]

VOLUMES = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}
PROFILES = {"RuntimeDefault", "Localhost"}
CAPABILITIES = {"NET_BIND_SERVICE"}
SYSCTLS = {"kernel.shm_rmid_forced", "net.ipv4.ip_local_port_range", "net.ipv4.ip_unprivileged_port_start"}


def violations(spec: Pod) -> list[str]:
    """What a pod's spec breaks; nothing for one that is admitted."""
    return [*_of_pod(spec), *(broken for one in containers(spec) for broken in _of_container(spec, one))]


def containers(spec: Pod) -> list[Pod]:
    """All containers of a pod."""
    return [one for kind in ("initContainers", "containers", "ephemeralContainers") for one in spec.get(kind, ())]


def _of_pod(spec: Pod) -> Iterator[str]:
    yield from (f"{name}: true" for name in ("hostNetwork", "hostPID", "hostIPC") if spec.get(name))
    for volume in spec.get("volumes", ()):
        kinds = set(volume) - {"name"}
        if not kinds <= VOLUMES:
            yield f"volume {volume['name']}: {', '.join(kinds)}"
    for sysctl in spec.get("securityContext", {}).get("sysctls", ()):
        if sysctl["name"] not in SYSCTLS:
            yield f"sysctl {sysctl['name']}"


def _of_container(spec: Pod, container: Pod) -> Iterator[str]:
    name, pod, own = container["name"], spec.get("securityContext", {}), container.get("securityContext", {})
    both = pod | own
    if own.get("privileged"):
        yield f"{name}: privileged"
    if own.get("allowPrivilegeEscalation") is not False:
        yield f"{name}: allowPrivilegeEscalation is not false"
    if both.get("runAsNonRoot") is not True:
        yield f"{name}: runAsNonRoot is not true"
    if both.get("runAsUser") == 0:
        yield f"{name}: runAsUser 0"
    if both.get("seccompProfile", {}).get("type") not in PROFILES:
        yield f"{name}: no seccompProfile"
    if both.get("procMount", "Default") != "Default":
        yield f"{name}: procMount"
    capabilities = own.get("capabilities", {})
    if "ALL" not in capabilities.get("drop", ()):
        yield f"{name}: capabilities are not dropped"
    if not set(capabilities.get("add", ())) <= CAPABILITIES:
        yield f"{name}: capabilities are added"
    if any("hostPort" in port and port["hostPort"] for port in container.get("ports", ())):
        yield f"{name}: hostPort"
