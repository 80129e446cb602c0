"""Makes what the cluster is made of, as far as this machine can, and says what will be left out and why.

`python -m tests.cluster.prepare`; what is in the cache already is not made again.
"""

import os
import shutil
import sys
import time

from tests.cluster import images
from tests.cluster.build import build, fetch
from tests.cluster.programs import KARPENTER, MODULES
from tests.cluster.requirements import REQUIRED, Level, missing


def main() -> None:
    """Build, then name each level that is missing; where every level is required, fail."""
    if os.environ.get("KUBECONFIG"):
        return  # the tests run on a cluster that is there already
    if shutil.which("go"):
        for module in MODULES:
            begun = time.monotonic()
            if build(module):
                _say(module.name, begun)
        begun = time.monotonic()
        if fetch(KARPENTER):
            _say(KARPENTER.fetched.name, begun)
    if os.geteuid() == 0 and shutil.which("mmdebstrap"):
        for target, how in images.recipes():
            begun = time.monotonic()
            if images.make(target, how):
                _say(target.name, begun)
    reasons = {level: reason for level in Level if (reason := missing(level))}
    for level, reason in reasons.items():
        print(f"level {level} is left out: {reason}")
    if reasons and os.environ.get(REQUIRED) == "1":
        sys.exit(f"{REQUIRED}=1: wanted every level, found {len(reasons)} left out")


def _say(name: str, begun: float) -> None:
    print(f"made {name} in {time.monotonic() - begun:.0f} s", flush=True)


if __name__ == "__main__":
    main()
