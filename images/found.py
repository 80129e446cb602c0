"""Runs inside an image, as a text: what is installed in it, as JSON. See `Found` in images/sbom.py."""

import importlib.metadata
import json
import platform
import shutil
import subprocess

release = platform.freedesktop_os_release()
query = ["dpkg-query", "--show", "--showformat", "${Package}\\t${Version}\\t${Architecture}\\n"]
listed = subprocess.run(query, check=True, capture_output=True, text=True).stdout if shutil.which(query[0]) else ""
packages = [
    dict(zip(("name", "version", "architecture"), line.split("\t"), strict=True)) for line in listed.splitlines()
]
print(
    json.dumps(
        {
            "python": platform.python_version(),
            "distro": f"{release['ID']}-{release.get('VERSION_ID', '')}",
            "distributions": sorted((one.name, one.version) for one in importlib.metadata.distributions()),
            "packages": packages,
        }
    )
)
