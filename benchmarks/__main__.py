"""All ratios, one line each: `make bench`. Medians of alternating pairs, each pair side by side in one run."""

import subprocess
import sys

MODULES = (
    "attention",
    "rollout_cache",
    "training_step",
    "checkpoint_stall",
    "pairs_overhead",
    "student_speed",
    "start",
    "s3_transfer",
    "s3_pairs",
)


def main() -> int:
    """Run every benchmark in a process of its own; the number of those that failed."""
    commands = [[sys.executable, "-m", f"benchmarks.{name}"] for name in MODULES]
    return sum(subprocess.run(command, check=False).returncode != 0 for command in commands)


if __name__ == "__main__":
    sys.exit(main())
