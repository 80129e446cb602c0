"""Whole objects, compared with files that a person has read; FASTGEN_GOLDEN=1 writes them anew.

Those of Volcano were accepted by a stand-in of ours, never by Volcano's own program.
"""

import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.launch.rendered import BACKENDS, TRAIN, rendered, work

GOLDEN = Path(__file__).parent / "golden"
CASES: dict[str, dict[str, Any]] = {
    "train": {
        "work": TRAIN,
        "nodes": "1:3",
        "resource": "h100_8",
        "processes": 1,
        "grace": 120,
        "pool": "training",
        "cluster": {"queue": "training", "priority_class": "high", "ttl": 3600},
    },
    "pairs": {"work": work("pairs"), "nodes": "3", "pool": "spot", "cluster": {"queue": "pairs"}},
    "bridge": {"work": work("bridge")},
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_job_is_rendered_as_it_was_read(backend: str, case: str) -> None:
    shown = yaml.safe_dump(rendered(backend, **CASES[case]), sort_keys=False, width=120)
    file = GOLDEN / f"{backend}-{case}.yaml"
    if os.environ.get("FASTGEN_GOLDEN") == "1":
        file.write_text(shown)
    assert shown == file.read_text()
