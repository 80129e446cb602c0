"""What a cluster leaves on the machine, found and taken away; also after a run that was killed half-way.

By hand: `python -m tests.cluster.leftovers`.
"""

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

from tests.cluster import groups, network, node_files
from tests.cluster.daemons import run
from tests.cluster.state import folder, only_one

_BUNDLES = "run/io.containerd.runtime.v2.task/k8s.io/*/config.json"
_LINKS = Path("/var/log/containers")
_KERNEL = Path("/proc/sys")
_CHANGED = (  # what a kubelet sets for the whole machine
    "vm/overcommit_memory",
    "vm/panic_on_oom",
    "kernel/panic",
    "kernel/panic_on_oops",
    "kernel/keys/root_maxkeys",
    "kernel/keys/root_maxbytes",
)


def remember(state: Path) -> None:
    """Write down the machine's settings before a kubelet changes them."""
    said = {name: (_KERNEL / name).read_text().strip() for name in _CHANGED}
    (state / "settings.json").write_text(json.dumps(said))


def clean(state: Path) -> None:
    """Take away everything of a cluster whose files are below `state`; its daemons have ended."""
    nodes = sorted(path for path in state.glob("node*") if path.is_dir())
    spaces = [space for node in nodes for space in _pod_namespaces(node)]
    indices = [int(node.name.removeprefix("node")) for node in nodes]
    for index, node in zip(indices, nodes, strict=True):
        kill_pods(index, node)
    unmount_below(state)
    for index in indices:
        groups.remove(node_files.control_group(index))
    for name in spaces:
        if (network.NAMESPACES / name).exists():
            run("ip", "netns", "delete", name)
    network.remove()
    _restore(state)
    for link in _LINKS.glob("*.log") if _LINKS.is_dir() else ():
        if link.is_symlink() and link.readlink().is_relative_to(state):
            link.unlink()
    if state.exists():
        shutil.rmtree(state)


def unmount_below(top: Path) -> None:
    """Unmount what is mounted below a folder, the innermost first."""
    mounted = (line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines())
    for place in sorted((p for p in mounted if Path(p).is_relative_to(top)), reverse=True):
        run("umount", "--lazy", place)


def kill_pods(index: int, node: Path) -> None:
    """Kill all pods of a node whose containerd has ended, until nothing is left.

    A container's first process ends only when a shim has reaped those that were started in it from outside, and a
    shim without a containerd is slow: so the shims go together with the containers.
    """
    while living := [*groups.inside(node_files.control_group(index)), *_shims(node)]:
        groups.kill_all(living)


def _shims(top: Path) -> Iterator[int]:
    """The shims whose containerd answers on a socket below a folder."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().split(b"\0")
        except (FileNotFoundError, ProcessLookupError):
            continue
        if os.fsencode(top) in b" ".join(words) and b"containerd-shim" in words[0]:
            yield int(process.name)


def _pod_namespaces(node: Path) -> Iterator[str]:
    """The network namespaces of a node's pods, as their bundles name them."""
    for bundle in node.glob(_BUNDLES):
        said = cast(dict[str, Any], json.loads(bundle.read_text()))
        for space in said["linux"]["namespaces"]:
            if space["type"] == "network" and "path" in space:
                yield Path(space["path"]).name


def _restore(state: Path) -> None:
    settings = state / "settings.json"
    if settings.exists():
        for name, value in cast(dict[str, str], json.loads(settings.read_text())).items():
            (_KERNEL / name).write_text(value)


if __name__ == "__main__":
    with only_one():
        clean(folder())
