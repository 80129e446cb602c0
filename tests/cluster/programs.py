"""What the cluster is made of, from which pinned Go module each part comes, and where the built ones lie."""

import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path

SOURCES = Path(__file__).parent / "go"
_VERSION_PACKAGES = ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")


@dataclass(frozen=True)
class Module:
    """A Go module of ours: the packages to build and what each is called, the folders of data to keep beside them."""

    name: str
    binaries: dict[str, str]
    data: dict[str, tuple[str, str]]  # kept name -> (module, folder inside it)

    @property
    def source(self) -> Path:
        return SOURCES / self.name

    @property
    def ldflags(self) -> str:
        """Stripped; Kubernetes' programs also learn their version, or every check of a version skew misfires."""
        found = re.search(r"k8s\.io/kubernetes v(\d+)\.(\d+)\.(\S+)", (self.source / "go.mod").read_text())
        if found is None:
            return "-s -w"
        major, minor, patch = found.groups()
        facts = {
            "gitVersion": f"v{major}.{minor}.{patch}",
            "gitMajor": major,
            "gitMinor": minor,
            "gitTreeState": "clean",
            "gitCommit": "0" * 40,
            "buildDate": "1970-01-01T00:00:00Z",
        }
        said = (f"-X {package}.{name}={value}" for package in _VERSION_PACKAGES for name, value in facts.items())
        return " ".join(("-s -w", *said))

    @property
    def key(self) -> str:
        """Changes when anything does that the built programs depend on."""
        digest = hashlib.sha256(repr((self.ldflags, self.binaries, self.data)).encode())
        for path in sorted(p for p in self.source.rglob("*") if p.suffix in {".mod", ".sum", ".go"}):
            digest.update(path.read_bytes())
        return digest.hexdigest()[:12]

    @property
    def built(self) -> Path:
        return cache() / f"{self.name}-{self.key}"


KUBERNETES = Module(
    "kubernetes",
    {"go.etcd.io/etcd/server/v3": "etcd"}
    | {
        f"k8s.io/kubernetes/cmd/{name}": name
        for name in (
            "kube-apiserver",
            "kube-controller-manager",
            "kube-scheduler",
            "kube-proxy",
            "kubelet",
            "kubectl",
        )
    },
    {},
)
EXTRAS = Module(
    "extras",
    {"./coredns": "coredns", "sigs.k8s.io/kwok/cmd/kwok": "kwok"},
    {"stages": ("sigs.k8s.io/kwok", "kustomize/stage")},
)
JOBSET = Module(
    "jobset",
    {"sigs.k8s.io/jobset": "jobset"},
    {"config": ("sigs.k8s.io/jobset", "config/components")},
)
KUEUE = Module(
    "kueue",
    {"sigs.k8s.io/kueue/cmd/kueue": "kueue"},
    {"config": ("sigs.k8s.io/kueue", "config/components")},
)
MODULES = (KUBERNETES, EXTRAS, JOBSET, KUEUE)


@dataclass(frozen=True)
class Definitions:
    """Kinds that a module of somebody else's defines, and which controller we do not run."""

    module: str
    version: str
    checksum: str  # as go.sum writes it
    folder: str

    @property
    def fetched(self) -> Path:
        return cache() / f"{self.module.rpartition('/')[2]}-{self.version}"


KARPENTER = Definitions(
    "github.com/aws/karpenter-provider-aws",
    "v1.15.1",
    "h1:6eH///KgWKDwD2R6wHRnKGN8Vu8OHueaXjNdx64TnuY=",
    "pkg/apis/crds",
)
"""Karpenter's kinds and AWS's, as its chart installs them on EKS."""


def cache() -> Path:
    """Where built programs and images are kept between runs."""
    said = os.environ.get("FASTGEN_CLUSTER_CACHE")
    if said:
        return Path(said)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fastgen-k8s" / "cluster"


def program(name: str) -> Path:
    """Where a built program lies, or will lie."""
    module = next(m for m in MODULES if name in m.binaries.values())
    return module.built / "bin" / name
