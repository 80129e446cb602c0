"""A certificate authority for one run of the cluster, and who holds which certificate of it."""

import json
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.daemons import run

_DAYS = "3650"  # Kueue replaces certificates that end within 90 days


@dataclass(frozen=True)
class Pair:
    """A certificate and its key."""

    certificate: Path
    key: Path


@dataclass(frozen=True)
class Authority:
    """Signs what the cluster's programs show each other."""

    folder: Path

    @property
    def ca(self) -> Pair:
        return self.pair("ca")

    @property
    def service_accounts(self) -> Pair:
        return self.pair("service-accounts")

    @classmethod
    def create(
        cls, folder: Path, *, name: str = "test-cluster", hosts: tuple[str, ...] = (), kind: str = "ec"
    ) -> "Authority":
        """Make the authority, and the key that signs the tokens of service accounts."""
        folder.mkdir(parents=True, exist_ok=True)
        made = cls(folder)
        more = ("-addext", f"subjectAltName={_names(hosts)}") if hosts else ()
        for pair, who in ((made.ca, name), (made.service_accounts, "service-accounts")):
            _openssl("req", "-x509", *_new_key(kind), "-days", _DAYS, "-subj", f"/CN={who}", *_out(pair), *more)
        return made

    def issue(self, file: str, name: str, *, group: str = "", hosts: tuple[str, ...] = (), kind: str = "ec") -> Pair:
        """A certificate for a client (name and group) or for a server (its hosts), or for both."""
        pair, request = self.pair(file), self.folder / f"{file}.csr"
        subject = (f"/O={group}" if group else "") + f"/CN={name}"
        _openssl("req", *_new_key(kind), "-subj", subject, "-keyout", pair.key, "-out", request)
        names = [f"subjectAltName={_names(hosts)}"] if hosts else []
        extensions = ["extendedKeyUsage=clientAuth,serverAuth", *names]
        (self.folder / f"{file}.ext").write_text("\n".join(extensions))
        signer = ("-CA", self.ca.certificate, "-CAkey", self.ca.key, "-days", _DAYS)
        _openssl(
            "x509", "-req", "-in", request, *signer, "-extfile", self.folder / f"{file}.ext", "-out", pair.certificate
        )
        return pair

    def kubeconfig(self, server: str, file: str, name: str, group: str = "") -> Path:
        """What a program needs in order to speak to the API server under that name."""
        pair = self.issue(file, name, group=group)
        target = self.folder / f"{file}.kubeconfig"
        cluster = {"server": server, "certificate-authority": str(self.ca.certificate)}
        user = {"client-certificate": str(pair.certificate), "client-key": str(pair.key)}
        said = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "test", "cluster": cluster}],
            "users": [{"name": name, "user": user}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": name}}],
            "current-context": "test",
        }
        target.write_text(json.dumps(said))  # JSON is YAML
        return target

    def pair(self, file: str) -> Pair:
        """Where a certificate lies, or will lie."""
        return Pair(self.folder / f"{file}.crt", self.folder / f"{file}.key")


def _names(hosts: tuple[str, ...]) -> str:
    return ",".join(f"{'IP' if host.replace('.', '').isdigit() else 'DNS'}:{host}" for host in hosts)


def _new_key(kind: str) -> tuple[str, ...]:
    curve = ("-pkeyopt", "ec_paramgen_curve:prime256v1") if kind == "ec" else ("-pkeyopt", "rsa_keygen_bits:2048")
    return ("-newkey", kind, *curve, "-nodes")


def _out(pair: Pair) -> tuple[str | Path, ...]:
    return ("-keyout", pair.key, "-out", pair.certificate)


def _openssl(*arguments: str | Path) -> None:
    run("openssl", *arguments)
