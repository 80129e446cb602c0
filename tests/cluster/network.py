"""The cluster's network: a bridge and a network namespace a node. Nothing of the machine's own network is touched.

The root namespace holds the bridge and blackhole routes only, so that no stray packet follows the default route. It
forwards nothing: what the nodes need of each other they reach over the bridge.
"""

import subprocess
from pathlib import Path

from tests.cluster.addresses import (
    BRIDGE,
    HOST,
    HOSTS,
    PODS,
    SERVICES,
    SLOT,
    link,
    namespace,
    node_address,
    pod_range,
)
from tests.cluster.daemons import run

NAMESPACES = Path("/run/netns")


def create() -> None:
    """The bridge, and routes that swallow what is meant for the cluster when the bridge is not there."""
    for destination in (HOSTS, PODS, SERVICES):
        run("ip", "route", "replace", "blackhole", destination, "metric", "9999")
    run("ip", "link", "add", BRIDGE, "type", "bridge")
    run("ip", "address", "add", f"{HOST}/24", "dev", BRIDGE)
    run("ip", "link", "set", BRIDGE, "up")


def add_node(index: int, others: list[int]) -> None:
    """A node's namespace, its link to the bridge, and the routes between its pods and those of the other nodes."""
    inside, outside, name = f"fgn{SLOT}-{index}", link(index), namespace(index)
    run("ip", "netns", "add", name)
    run("ip", "link", "add", outside, "type", "veth", "peer", "name", inside, "netns", name)
    run("ip", "link", "set", outside, "master", BRIDGE, "up")
    _inside(index, "ip", "link", "set", "lo", "up")
    _inside(index, "ip", "address", "add", f"{node_address(index)}/24", "dev", inside)
    _inside(index, "ip", "link", "set", inside, "up")
    _inside(index, "ip", "route", "add", "default", "via", HOST)  # a dead end, but services need some route
    for key, value in (("ip_forward", "1"), ("conf/all/rp_filter", "0"), ("conf/default/rp_filter", "0")):
        _inside(index, "sh", "-c", f"echo {value} > /proc/sys/net/ipv4/{key}")
    masquerade = ("-s", PODS, "!", "-d", PODS, "-j", "MASQUERADE")
    _inside(index, "iptables", "-t", "nat", "-A", "POSTROUTING", *masquerade)
    for other in others:
        _inside(index, "ip", "route", "add", pod_range(other), "via", node_address(other))
        _inside(other, "ip", "route", "add", pod_range(index), "via", node_address(index))


def set_link(index: int, state: str) -> None:
    """Pull a node's cable (`down`), or plug it in again (`up`)."""
    run("ip", "link", "set", link(index), state)


def remove() -> None:
    """Take away all that is there, also after a run that could not; the blackhole routes stay until the end."""
    for name in sorted(p.name for p in NAMESPACES.glob(f"fastgen-{SLOT}-*")):
        run("ip", "netns", "delete", name)
    for cable in sorted(p.name for p in Path("/sys/class/net").glob(f"fgh{SLOT}-*")):
        subprocess.run(["ip", "link", "delete", cable], check=False, capture_output=True)  # may go with its namespace
    if Path("/sys/class/net", BRIDGE).exists():
        run("ip", "link", "delete", BRIDGE)


def _inside(index: int, *command: str) -> None:
    run("nsenter", f"--net={NAMESPACES / namespace(index)}", *command)
