"""Kueue: its kinds, the webhooks for them and for JobSets, and its manager, as a process of this machine.

The manager insists on managing its certificates, unless it finds some in a fixed folder below /etc. So it is given a
Secret that it accepts as its own work: then it changes nothing, and its webhooks answer under our authority.
"""

import base64
import shutil
from pathlib import Path

import yaml

from tests.cluster import daemons
from tests.cluster.api import Api, Object
from tests.cluster.certificates import Authority
from tests.cluster.custom import establish
from tests.cluster.daemons import Daemon, answers, free_port, start
from tests.cluster.programs import KUEUE, program
from tests.cluster.webhooks import by_url, converted_by_url, documents

_NAMESPACE = "kueue-system"
_CONVERTED = ("localqueues", "clusterqueues", "workloads", "cohorts", "multikueueclusters")
_OFF = ("VisibilityOnDemand", "MultiKueue", "TopologyAwareScheduling")


def definitions() -> list[Object]:
    """Kueue's kinds as they are shipped."""
    return [one for path in sorted((KUEUE.built / "config/crd/bases").glob("*.yaml")) for one in documents(path)]


def run(api: Api, folder: Path, logs: Path) -> Daemon:
    """The kinds, the webhooks and the manager, ready."""
    certificates, hooks, health = folder / "certificates", free_port(), free_port()
    bundle = _certificates(api, folder / "authority", certificates)
    establish(api, [_convertible(definition, hooks, bundle) for definition in definitions()])
    for configuration in documents(KUEUE.built / "config/webhook/manifests.yaml"):
        name = f"kueue-{configuration['metadata']['name']}"
        api.apply(by_url(configuration, name, hooks, bundle, _ours))
    config = {
        "apiVersion": "config.kueue.x-k8s.io/v1beta2",
        "kind": "Configuration",
        "health": {"healthProbeBindAddress": f"127.0.0.1:{health}"},
        "metrics": {"bindAddress": "0"},
        "webhook": {"host": "127.0.0.1", "port": hooks, "certDir": str(certificates)},
        "leaderElection": {"leaderElect": False},
        "integrations": {"frameworks": ["jobset.x-k8s.io/jobset"]},
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    command = (
        program("kueue"),
        f"--config={folder / 'config.yaml'}",
        f"--kubeconfig={api.kubeconfig}",
        f"--feature-gates={','.join(f'{gate}=false' for gate in _OFF)}",
    )
    daemon = start("kueue", command, logs)
    daemon.wait(answers(f"http://127.0.0.1:{health}/readyz"))
    return daemon


def _certificates(api: Api, folder: Path, target: Path) -> str:
    """What Kueue would have made itself, in a Secret and in its folder; the authority's certificate for callers."""
    service = f"kueue-webhook-service.{_NAMESPACE}.svc"
    authority = Authority.create(folder, name="kueue-ca", hosts=("kueue-ca",), kind="rsa")
    serving = authority.issue("serving", service, hosts=(service, "127.0.0.1"), kind="rsa")
    target.mkdir(parents=True)
    files = {
        "ca.crt": authority.ca.certificate,
        "ca.key": authority.ca.key,
        "tls.crt": serving.certificate,
        "tls.key": serving.key,
    }
    daemons.run("openssl", "rsa", "-traditional", "-in", authority.ca.key, "-out", authority.ca.key)  # PKCS 1
    for name, path in files.items():
        shutil.copy(path, target / name)
    data = {name: base64.b64encode(path.read_bytes()).decode() for name, path in files.items()}
    api.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": _NAMESPACE}})
    metadata = {"name": "kueue-webhook-server-cert", "namespace": _NAMESPACE}
    api.apply({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": data})
    return data["ca.crt"]


def _convertible(definition: Object, port: int, bundle: str) -> Object:
    """The manager is not ready before each of the kinds that it converts says so."""
    wanted = definition["spec"]["names"]["plural"] in _CONVERTED
    return converted_by_url(definition, port, bundle) if wanted else definition


def _ours(hook: Object) -> bool:
    """The other hooks would demand the manager for every pod and every Job of the cluster."""
    return {"kueue.x-k8s.io", "jobset.x-k8s.io"} >= {group for rule in hook["rules"] for group in rule["apiGroups"]}
