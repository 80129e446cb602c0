"""How long a person waits for the first line: `python -m benchmarks.start`."""

import subprocess
import sys
import time
from statistics import median

COMMANDS = {
    "bare python": [sys.executable, "-c", ""],
    "--help": [sys.executable, "-m", "fastgen_k8s", "--help"],
    "run --dry-run": [
        *(sys.executable, "-m", "fastgen_k8s", "run", "manifests/pipelines/moving-shapes.yaml"),
        *("--root", "nowhere", "--dry-run"),
    ],
}


def seconds(command: list[str]) -> float:
    """Wall time of one run."""
    begun = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - begun


def main(runs: int = 5) -> None:
    """Medians, by turns."""
    found = [{name: seconds(command) for name, command in COMMANDS.items()} for _ in range(runs)]
    for name in COMMANDS:
        print(f"start of {name}: {median(run[name] for run in found):.2f} s, median of {runs}")


if __name__ == "__main__":
    main()
