# pyright: basic
"""Broken pipelines, one for each field and each thing that the schema says of it, made from the schema itself."""

import copy
from collections.abc import Iterator
from typing import Any, NamedTuple

Data = dict[str, Any]


class Case(NamedTuple):
    """A spec that breaks one rule, and where."""

    name: str
    spec: Data
    where: str  # the path that a refusal has to name
    path: tuple[Any, ...]

    def given(self, spec: Data) -> bool:
        """Whether a spec says anything at this place."""
        here: Any = spec
        for step in self.path[:-1]:
            here = here[step]
        return isinstance(here, list) or self.path[-1] in here


def cases(schema: Data, whole: Data) -> Iterator[Case]:
    """Every broken variant of a whole spec, in which each field is given."""
    for number, (path, rule, broken) in enumerate(_walk(schema, whole, ())):
        spec = copy.deepcopy(whole)
        _put(spec, path, broken)
        where = "spec" + "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
        yield Case(f"{number:03d} {where} {rule}", spec, where, path)


def unused(schema: Data, value: Any, where: str = "spec") -> Iterator[str]:
    """Fields of a schema that a spec leaves out, so that nothing is broken about them."""
    for name, inner in schema.get("properties", {}).items():
        if name not in value:
            yield f"{where}.{name}"
        else:
            yield from unused(inner, value[name], f"{where}.{name}")
    if schema.get("type") == "array":
        yield from unused(schema["items"], value[-1], f"{where}[{len(value) - 1}]")
    if "additionalProperties" in schema:
        for key in list(value)[:1]:
            yield from unused(schema["additionalProperties"], value[key], f"{where}.{key}")


def _walk(schema: Data, value: Any, path: tuple[Any, ...]) -> Iterator[tuple[tuple[Any, ...], str, Any]]:
    if path and not schema.get("nullable"):
        yield path, "null", None
    kind = schema.get("type")
    if path:
        yield path, "type", [["a list of a list"]] if kind != "array" else 7
    for name in schema.get("required", ()):
        yield (*path, name), "required", _ABSENT
    for rule, broken in _bounds(schema, value):
        yield path, rule, broken
    for name, inner in schema.get("properties", {}).items():
        if name in value:
            yield from _walk(inner, value[name], (*path, name))
    if kind == "array":
        yield from _walk(schema["items"], value[-1], (*path, len(value) - 1))
    if "additionalProperties" in schema:
        for key in list(value)[:1]:
            yield from _walk(schema["additionalProperties"], value[key], (*path, key))


def _bounds(schema: Data, value: Any) -> Iterator[tuple[str, Any]]:
    if "enum" in schema:
        yield "enum", "another"
    if "pattern" in schema:
        yield "pattern", "§"
    if "maxLength" in schema and "enum" not in schema:
        yield "maxLength", "a" * (schema["maxLength"] + 1)
    if schema.get("minLength"):
        yield "minLength", ""
    if "minimum" in schema:
        yield "minimum", schema["minimum"] - 1
    if "maximum" in schema and schema["maximum"] < 1e12:
        yield "maximum", schema["maximum"] + 1
    if schema.get("minItems"):
        yield "minItems", []
    if "maxItems" in schema:
        yield "maxItems", [_numbered(value[-1], number) for number in range(schema["maxItems"] + 1)]
    if "maxProperties" in schema:
        first = next(iter(value.values()))
        yield "maxProperties", {f"k{number}": first for number in range(schema["maxProperties"] + 1)}


_ABSENT = object()


def _numbered(value: Any, number: int) -> Any:
    return value | {"name": f"n{number}"} if isinstance(value, dict) and "name" in value else value


def _put(spec: Data, path: tuple[Any, ...], value: Any) -> None:
    here: Any = spec
    for step in path[:-1]:
        here = here[step]
    if value is _ABSENT:
        del here[path[-1]]
    else:
        here[path[-1]] = value
