"""What the controller loads when it starts: neither what launches by hand, nor what trains."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

STARTED = """
import json, os, signal, sys
from fastgen_k8s.controller import serve

start = serve.Controller.start
serve.Controller.start = lambda self: (start(self), os.kill(os.getpid(), signal.SIGTERM))
code = serve.main(["--namespace", "team", "--port", "0"])
print(json.dumps([code, sorted({name.partition(".")[0] for name in sys.modules})]))
"""
NOBODY = {
    "apiVersion": "v1",
    "kind": "Config",
    "current-context": "nobody",
    "clusters": [{"name": "nobody", "cluster": {"server": "http://localhost:1"}}],
    "contexts": [{"name": "nobody", "context": {"cluster": "nobody", "user": "nobody"}}],
    "users": [{"name": "nobody", "user": {"token": "nobody"}}],
}


@pytest.mark.processes
def test_a_controller_starts_and_ends_without_torchx_and_torch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    where = tmp_path / "config"
    where.write_text(json.dumps(NOBODY))  # YAML, too
    monkeypatch.setenv("KUBECONFIG", str(where))
    done = subprocess.run([sys.executable, "-c", STARTED], capture_output=True, text=True, check=True)
    code, loaded = json.loads(done.stdout.splitlines()[-1])
    assert code == 0
    assert {"torchx", "torch", "numpy", "docker"}.isdisjoint(loaded)
    assert {"kubernetes", "prometheus_client"} <= set(loaded)
