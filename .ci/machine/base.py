"""A base image from Debian's packages, for an engine that reaches no registry."""

import hashlib
from pathlib import Path

from images.engine import Engine
from images.offline import do

SUITE = "bookworm"  # its Python is that of images.offline
LEFT_OUT = ("/usr/share/doc/*", "/usr/share/man/*", "/usr/share/info/*", "/usr/share/locale/*")
BASE = (
    "mmdebstrap",
    "--quiet",
    "--variant=minbase",
    # usr-is-merged, in a root that is born so, saves usrmerge and with it the whole of Perl.
    "--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr",
    "--include=usr-is-merged,python3,ca-certificates",
    '--aptopt=APT::Install-Recommends "false"',
    *(f"--dpkgopt=path-exclude={path}" for path in LEFT_OUT),
    SUITE,
)


def base_image(engine: Engine, cache: Path) -> str:
    """The name of a base image that the engine has; it is made once for each way of making it."""
    mark = hashlib.sha256("\n".join(BASE).encode()).hexdigest()[:12]
    name, archive = f"fastgen-k8s/base:{SUITE}-{mark}", cache / f"base-{mark}.tar"
    if engine.run(["image", "inspect", name]).returncode == 0:
        return name
    if not archive.exists():
        part = archive.with_suffix(".part.tar")
        do([*BASE, str(part)])
        part.rename(archive)
    engine.do("import", str(archive), name)
    return name
