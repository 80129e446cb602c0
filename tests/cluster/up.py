"""Holds a cluster up for a person: `python -m tests.cluster.up [NODES]`, until Ctrl-C."""

import signal
import sys

from tests.cluster import local


def main(count: int) -> None:
    """Start that many nodes and object storage, and say how to reach them."""
    with local.started(with_network=True) as machine:
        machine.start_controllers()
        machine.start_dns()
        for index in range(1, count + 1):
            machine.add_node(index)
        said = {"KUBECONFIG": str(machine.api.kubeconfig)} | machine.start_storage().environment()
        for name, value in said.items():
            print(f"export {name}={value}", flush=True)
        signal.sigwait({signal.SIGINT, signal.SIGTERM})


if __name__ == "__main__":
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1)
