"""What a stage's process has imported when its work is done."""

import json
import subprocess
import sys

from fastgen_k8s.stages.stage import StageJob

LARGE = ("diffusers", "transformers", "torch.distributed.checkpoint", "torch.distributed.fsdp", "boto3", "structlog")


def imported(program: str) -> list[str]:
    """Those of the large packages that a program has in the end."""
    listed = f"import json, sys; print(json.dumps([name for name in {LARGE} if name in sys.modules]))"
    command = [sys.executable, "-c", f"{program}\n{listed}"]
    return json.loads(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.splitlines()[-1])


def imported_by(job: StageJob) -> list[str]:
    """Those that checking and doing a stage's work took."""
    return imported(f"from fastgen_k8s.agent.worker import check, do\nfor task in check, do: task({job.work.argv()!r})")
