"""The agent's entry: it can be asked to stop from its first moment on.

As the first process of a container it would not even notice a SIGTERM that it has no handler for, and the imports of
its real work (node.py) take a while.
"""

import os
import signal
import sys
from types import FrameType


def _leave(number: int, frame: FrameType | None) -> None:
    print(f"stopped: asked to stop by {signal.Signals(number).name} before anything began", file=sys.stderr, flush=True)
    os._exit(75)


if __name__ == "__main__":
    for early in (signal.SIGTERM, signal.SIGINT):
        signal.signal(early, _leave)
    from fastgen_k8s.agent.node import main

    sys.exit(main(sys.argv[1:]))
