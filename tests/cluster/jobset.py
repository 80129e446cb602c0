"""The JobSet controller: its CRD, its two webhooks and its manager, as a process of this machine."""

import base64
import shutil
from pathlib import Path

import yaml

from tests.cluster.api import Api
from tests.cluster.certificates import Authority
from tests.cluster.custom import establish
from tests.cluster.daemons import Daemon, answers, free_port, start
from tests.cluster.programs import JOBSET, program
from tests.cluster.webhooks import by_url, documents

_CRD = JOBSET.built / "config/crd/bases/jobset.x-k8s.io_jobsets.yaml"


def install(api: Api) -> None:
    """The kind alone: enough for an API server without controllers."""
    establish(api, documents(_CRD))


def run(api: Api, authority: Authority, folder: Path, logs: Path) -> Daemon:
    """Its webhooks and its manager, ready."""
    certificates, hooks, health = folder / "certificates", free_port(), free_port()
    certificates.mkdir(parents=True)
    pair = authority.issue("jobset", "jobset", hosts=("127.0.0.1",))
    shutil.copy(pair.certificate, certificates / "tls.crt")
    shutil.copy(pair.key, certificates / "tls.key")
    config = {
        "apiVersion": "config.jobset.x-k8s.io/v1alpha1",
        "kind": "Configuration",
        "internalCertManagement": {"enable": False},
        "leaderElection": {"leaderElect": False},
        "metrics": {"bindAddress": "0"},
        "health": {"healthProbeBindAddress": f"127.0.0.1:{health}"},
        "webhook": {"host": "127.0.0.1", "port": hooks, "certDir": str(certificates)},
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    command = (program("jobset"), f"--config={folder / 'config.yaml'}", f"--kubeconfig={api.kubeconfig}")
    daemon = start("jobset", command, logs)
    daemon.wait(answers(f"http://127.0.0.1:{health}/readyz"))
    bundle = base64.b64encode(authority.ca.certificate.read_bytes()).decode()
    for configuration in documents(JOBSET.built / "config/webhook/manifests.yaml"):
        # The hooks on pods serve exclusive placement only; with them every pod of the cluster would need the manager.
        name = f"jobset-{configuration['metadata']['name']}"
        api.apply(by_url(configuration, name, hooks, bundle, lambda hook: "jobset.kb.io" in hook["name"]))
    return daemon
