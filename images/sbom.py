"""The software bill of materials of an image, in CycloneDX's JSON: what was found in it, not what was asked for."""
# pyright: reportCallIssue=false, reportArgumentType=false, reportAttributeAccessIssue=false, reportUnknownMemberType=false
# py-serializable's decorators hide the classes of cyclonedx from the type checker.

import hashlib
import json
import uuid
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple, TypedDict, cast

from cyclonedx.model import ExternalReference, ExternalReferenceType, HashAlgorithm, HashType, XsUri
from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL
from packaging.utils import canonicalize_name, parse_wheel_filename

from fastgen_k8s import __version__
from images.engine import Engine

OWN = "fastgen-k8s"  # in no index: its purl must not name another project's
_PROGRAM = (Path(__file__).parent / "found.py").read_text()


class Wheel(NamedTuple):
    """A file that an image was made from."""

    name: str
    sha256: str


Wheels = Mapping[tuple[str, str], Wheel]  # by name and version of the distribution


class Debian(TypedDict):
    """A package of the distribution."""

    name: str
    version: str
    architecture: str


class Found(TypedDict):
    """What a Python in the image sees."""

    python: str
    distro: str  # as in debian-12
    distributions: list[tuple[str, str]]  # name and version
    packages: list[Debian]


def write(engine: Engine, image: str, wheels: Wheels, target: Path) -> None:
    """Look into an image and write what is there; nothing to do when the file is of this very image."""
    serial = uuid.uuid5(uuid.NAMESPACE_OID, engine.ask("image", "inspect", "--format", "{{.Id}}", image))
    if target.exists() and serial.urn in target.read_text():
        return
    said = engine.ask("run", "--rm", "--network=none", "--read-only", image, "python3", "-c", _PROGRAM)
    target.write_text(text(bom(image.partition(":")[0], cast("Found", json.loads(said)), wheels, serial)))


def bom(image: str, found: Found, wheels: Wheels, serial: uuid.UUID) -> Bom:
    """The bill of an image in which this was found."""
    whole = Component(name=image, version=__version__, type=ComponentType.CONTAINER, bom_ref=image)
    python = _component("python", found["python"], PackageURL("generic", name="python", version=found["python"]))
    parts = [python, *_distributions(found, wheels), *_packages(found)]
    made = Bom(components=parts, serial_number=serial, metadata=BomMetaData(component=whole))
    made.register_dependency(whole, parts)
    return made


def text(made: Bom) -> str:
    """The document, the same for the same image but for the time at which it was made."""
    return JsonV1Dot6(made).output_as_string(indent=1)


def wheels_in(folder: Path) -> Wheels:
    """The wheels of a folder."""
    found: dict[tuple[str, str], Wheel] = {}
    for path in sorted(folder.glob("*.whl")):
        name, version, _, _ = parse_wheel_filename(path.name)
        with path.open("rb") as file:
            found[name, str(version)] = Wheel(path.name, hashlib.file_digest(file, "sha256").hexdigest())
    return found


def _distributions(found: Found, wheels: Wheels) -> Iterable[Component]:
    for name, version in found["distributions"]:
        canonical = canonicalize_name(name)
        kind = "generic" if canonical == OWN else "pypi"
        wheel = wheels.get((canonical, version))
        yield _component(name, version, PackageURL(kind, name=canonical, version=version), wheel)


def _packages(found: Found) -> Iterable[Component]:
    maker = found["distro"].partition("-")[0]
    for package in found["packages"]:
        kind = {"arch": package["architecture"], "distro": found["distro"]}
        purl = PackageURL("deb", maker, package["name"], package["version"], kind)
        yield _component(package["name"], package["version"], purl)


def _component(name: str, version: str, purl: PackageURL, wheel: Wheel | None = None) -> Component:
    """The hash is the installed file's: what lies in the image was made smaller and compiled since."""
    files = [] if wheel is None else [_file(wheel)]
    return Component(name=name, version=version, purl=purl, bom_ref=str(purl), external_references=files)


def _file(wheel: Wheel) -> ExternalReference:
    digest = HashType(alg=HashAlgorithm.SHA_256, content=wheel.sha256)
    return ExternalReference(type=ExternalReferenceType.DISTRIBUTION, url=XsUri(wheel.name), hashes=[digest])
