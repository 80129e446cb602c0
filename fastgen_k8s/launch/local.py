"""How an application of TorchX's `local_cwd` scheduler ended: its status hides the agents' exit codes."""
# pyright: reportMissingTypeStubs=false

import json
from collections.abc import Mapping
from pathlib import Path
from typing import cast

from torchx.specs import AppStatus

from fastgen_k8s.launch.app import ROLE
from fastgen_k8s.launch.outcome import worst


def exit_code(status: AppStatus) -> tuple[int, Path]:
    """Exit code and log of a finished application; the scheduler writes both into a file beside its logs."""
    folder = Path((status.ui_url or "").removeprefix("file://"))  # a path as it is, with `#` and `%` in it
    summary = cast("Mapping[str, Mapping[str, list[dict[str, object]]]]", json.loads((folder / "SUCCESS").read_text()))
    replicas = summary["roles"][ROLE]
    code, chosen = worst([cast("int", replica["exitcode"]) for replica in replicas])
    return code, Path(str(replicas[chosen]["stderr"]))
