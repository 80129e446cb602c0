"""Objects of Kubernetes in a file, as kubectl reads them: documents one after another, Lists, the scalars of YAML 1.1.

What kubectl takes a word for was read in the sources of its YAML (go.yaml.in/yaml/v2) and asked of kubectl 1.34.4.
"""

# pyright: reportUnknownMemberType=false

import base64
import math
import re
from typing import Any, Final, cast

import yaml

from fastgen_k8s.errors import Misdescribed
from fastgen_k8s.plain import Loader, read_documents
from fastgen_k8s.printable import shown

Object = dict[str, Any]

_TAG = "tag:yaml.org,2002:"
_BOOLEANS = {"y": True, "yes": True, "true": True, "on": True, "n": False, "no": False, "false": False, "off": False}
_SWITCHES = {form: value for word, value in _BOOLEANS.items() for form in (word, word.capitalize(), word.upper())}
_NOTHING = frozenset({"", "~", "null", "Null", "NULL"})
_OCTAL: Final = re.compile(r"[-+]?0[0-7]+")
_WHOLE: Final = re.compile(r"[-+]?(?:0[xX][0-9a-fA-F]+|0[oO][0-7]+|0[bB][01]+|[0-9]+)")
_REAL: Final = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_BETWEEN: Final = re.compile(r"(?<=[0-9])_(?=[0-9])")
_NO_NUMBER_OF_JSON: Final = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
_LONGEST = 400  # characters of a number that is finite
_EXACT = 2**63  # up to here a whole number stays one on its way to the API server


def read_objects(text: str) -> list[Object]:
    """Every object of a text, those of a List one by one; yaml.YAMLError or Misdescribed for what kubectl refuses too.

    A key that is given twice is refused, where kubectl lets the last one win.
    """
    return [one for found in read_documents(_Loader(text)) if found is not None for one in _opened(found)]


def number(word: str) -> int | float | None:
    """The number that a plain word is, if it is one: `010` is 8, `0x10` is 16, `1_000` is 1000, `2.0` is 2."""
    plain = _BETWEEN.sub("", word) if word.startswith((".", "_")) else word.replace("_", "")
    if len(plain) > _LONGEST:
        return None
    if _OCTAL.fullmatch(plain):
        found = int(plain, 8)
    elif _WHOLE.fullmatch(plain):
        found = int(plain, 10 if plain.lstrip("+-").isdecimal() else 0)
    elif _REAL.fullmatch(plain) and math.isfinite(real := float(plain)):
        found = int(real) if real.is_integer() else real
    else:
        return None
    return found if abs(found) < _EXACT else float(found)


class _Loader(Loader):
    """YAML 1.1 as Go's reader has it, which is what decides on a cluster."""

    def resolve(self, kind: type[yaml.Node], value: str | None, implicit: Any) -> str:
        if kind is not yaml.ScalarNode or value is None or not implicit[0]:
            return cast("str", super().resolve(kind, value, implicit))
        if value == "<<":
            return f"{_TAG}merge"
        if value in _NOTHING:
            return f"{_TAG}null"
        if value in _SWITCHES:
            return f"{_TAG}bool"
        return f"{_TAG}{'str' if number(value) is None and not _NO_NUMBER_OF_JSON.fullmatch(value) else 'float'}"

    def scan_to_next_token(self) -> None:
        """Go to the next token, over tabs as well where they indent nothing: in JSON, and behind a value."""
        super().scan_to_next_token()
        while self.peek() == "\t" and (self.flow_level or not self.allow_simple_key):
            self.forward()
            super().scan_to_next_token()

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """A mapping whose keys are texts: JSON has no others."""
        self.flatten_mapping(node)
        found: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = _key(self.construct_object(key_node, deep))
            if key in found:
                raise yaml.YAMLError(f"the key {shown(key)} is given twice")
            found[key] = self.construct_object(value_node, deep)
        return found

    def construct_number(self, node: yaml.ScalarNode) -> int | float:
        """The number that JSON has for a word."""
        found = number(self.construct_scalar(node))
        if found is None:
            raise yaml.YAMLError(f"a number that JSON does not have: {shown(node.value)}")
        return found

    def construct_switch(self, node: yaml.ScalarNode) -> bool:
        """True or false."""
        return _SWITCHES[self.construct_scalar(node)]

    def construct_bytes(self, node: yaml.ScalarNode) -> str:
        """The text that the bytes are."""
        return base64.b64decode(self.construct_scalar(node)).decode()

    def construct_tagged(self, node: yaml.Node) -> object:
        """A tag of which JSON knows nothing is passed over."""
        if isinstance(node, yaml.SequenceNode):
            return self.construct_sequence(node, deep=True)
        if isinstance(node, yaml.MappingNode):
            return self.construct_mapping(node, deep=True)
        return self.construct_scalar(cast("yaml.ScalarNode", node))


_Loader.yaml_constructors = {
    **{f"{_TAG}{name}": Loader.yaml_constructors[f"{_TAG}{name}"] for name in ("map", "seq", "str", "null")},
    **{f"{_TAG}{name}": _Loader.construct_number for name in ("int", "float")},
    f"{_TAG}bool": _Loader.construct_switch,
    f"{_TAG}binary": _Loader.construct_bytes,
    None: _Loader.construct_tagged,
}


def _opened(found: object) -> list[Object]:
    one = _object(found)
    if not str(one.get("kind")).endswith("List") or "items" not in one:
        return [one]
    items: object = one["items"]
    if not isinstance(items, list):
        raise Misdescribed(f"wanted a list of objects in a {one['kind']}, found {type(items).__name__}")
    return [_object(item) for item in cast("list[object]", items)]


def _object(found: object) -> Object:
    if not isinstance(found, dict):
        raise Misdescribed(f"wanted an object of Kubernetes, found {type(found).__name__}")
    return cast("Object", found)


def _key(found: object) -> str:
    if isinstance(found, bool):
        return str(found).lower()
    if isinstance(found, str | int):
        return str(found)
    raise yaml.YAMLError(f"a key that is no text: {shown(found)}")
