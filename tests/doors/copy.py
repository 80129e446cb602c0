"""A copy of the package to which a test adds what a user would add, and that copy's `fastgen-k8s run`."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml

import fastgen_k8s

PATIENCE = 240.0  # seconds, for a busy machine


class PackageCopy:
    """The package as files below `root/fastgen_k8s`; what it runs works in `root`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        here = Path(fastgen_k8s.__file__).parent
        shutil.copytree(here, root / here.name, ignore=shutil.ignore_patterns("__pycache__"))

    def add(self, name: str, text: str) -> None:
        """A new file, `fastgen_k8s/...` or any other below the root."""
        path = self.root / name
        assert not path.exists(), f"{name} is there already"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def insert(self, name: str, line: str, after: str) -> None:
        """One new line in a table: `line` below the one line that is `after`, as deep as it."""
        path = self.root / name
        lines = path.read_text().splitlines()
        [place] = [number for number, found in enumerate(lines) if found.strip() == after]
        depth = len(lines[place]) - len(lines[place].lstrip())
        lines.insert(place + 1, " " * depth + line)
        path.write_text("\n".join(lines) + "\n")

    def run(self, *stages: Mapping[str, object]) -> subprocess.CompletedProcess[str]:
        """This copy's `fastgen-k8s run` of a pipeline of some stages, to its end; their artifacts lie below runs/."""
        described = {
            "apiVersion": "fastgen-k8s.github.io/v1alpha1",
            "kind": "DistillationPipeline",
            "metadata": {"name": "doors"},
            "spec": {"stages": list(stages)},
        }
        (self.root / "pipeline.yaml").write_text(yaml.safe_dump(described))
        return self.call(["-m", "fastgen_k8s", "run", "pipeline.yaml", "--root", str(self.root / "runs")])

    def call(self, words: Sequence[str]) -> subprocess.CompletedProcess[str]:
        """Python with this copy as its `fastgen_k8s`, in this process's environment otherwise."""
        environment = os.environ | {"PYTHONPATH": str(self.root), "OMP_NUM_THREADS": "1"}
        command = [sys.executable, *words]
        return subprocess.run(
            command, cwd=self.root, env=environment, capture_output=True, text=True, check=False, timeout=PATIENCE
        )

    def artifact(self, stage: str) -> Path:
        """The folder of the one artifact that a stage has made."""
        [found] = [path.parent for path in (self.root / "runs" / stage).glob("*/artifact.json")]
        return found
