"""One worker process of a stage by hand; the agent starts such processes itself, torchrun's environment places them."""

import sys

from fastgen_k8s.agent.worker import check, do, ended, leave, stop_when_asked


def main(argv: list[str]) -> int:
    """Check and do one stage's work; its exit code."""
    stop_when_asked()
    for task in (check, do):
        end = ended(task, argv)
        if end.code:
            print(f"error: {end.words}", file=sys.stderr)
            return end.code
    return 0


if __name__ == "__main__":
    leave(main(sys.argv[1:]))
