"""Runs inside an image, as text given to its interpreter: says as JSON what there is."""

import importlib.metadata
import importlib.util
import json
import os
import pathlib
import shutil
import stat
import sysconfig
from collections.abc import Iterator

PROGRAMS = ["gcc", "g++", "cc", "c++", "ld", "as", "clang", "make", "cmake", "nvcc", "git", "pip", "pip3", "uv", "uvx"]
MODULES = [
    "pip",
    "uv",
    "ensurepip",
    "torch",
    "numpy",
    "diffusers",
    "torchx",
    "kubernetes",
    "boto3",
    "fastgen_k8s.agent",
]
OWN = {"/proc", "/sys", "/dev", "/tmp"}  # the run time's, not the image's
CACHES = ["/tmp/home", "/build", "/wheels", "/opt/uv"]


def valid(path: pathlib.Path) -> bool:
    try:
        compile(path.read_bytes(), str(path), "exec")
    except SyntaxError:  # meant for a newer Python
        return False
    return True


def found(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:
        return False


def uncompiled() -> Iterator[str]:
    roots = ["/opt/fastgen/project", sysconfig.get_path("purelib"), sysconfig.get_path("stdlib") + "/json"]
    for root in roots:
        for path in pathlib.Path(root).rglob("*.py"):
            if not pathlib.Path(importlib.util.cache_from_source(str(path))).exists() and valid(path):
                yield str(path)


writable: list[str] = []
raised: list[str] = []
for place, folders, names in os.walk("/"):
    here = pathlib.Path(place)
    folders[:] = [name for name in folders if str(here / name) not in OWN]
    for path in [here, *(here / name for name in names)]:
        found_mode = path.lstat()
        mode = found_mode.st_mode
        own = found_mode.st_uid == os.getuid() or found_mode.st_gid == os.getgid()
        everybody = stat.S_ISDIR(mode) and mode & stat.S_ISVTX  # as /var/tmp is by nature
        if (own or mode & stat.S_IWOTH) and not stat.S_ISLNK(mode) and not everybody:
            writable.append(str(path))
        if stat.S_ISREG(mode) and mode & (stat.S_ISUID | stat.S_ISGID):
            raised.append(str(path))
apt = pathlib.Path("/var/lib/apt/lists"), pathlib.Path("/var/cache/apt/archives")
caches = [str(path) for root in apt for path in root.glob("*") if path.is_file() and path.name != "lock"]
print(
    json.dumps(
        {
            "versions": {each.name: each.version for each in importlib.metadata.distributions()},
            "programs": [name for name in PROGRAMS if shutil.which(name)],
            "modules": [name for name in MODULES if found(name)],
            "writable": writable,
            "raised": raised,
            "uncompiled": list(uncompiled()),
            "caches": caches + [path for path in CACHES if pathlib.Path(path).exists()],
        }
    )
)
