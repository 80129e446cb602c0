# pyright: basic
"""The API server's checks of an object, as far as a schema can be evaluated without one.

What the API server does was looked up by asking one (tests/cluster/test_manifests.py asks again): a null in a nullable
field counts as absent for `has`, rules on list items see the old item of the same key, and rules that name `oldSelf`
are not asked at creation. For small objects: celpy takes gigabytes for the rules over 24 stages.
"""

import functools
from collections.abc import Iterator
from typing import Any

import celpy
import jsonschema
import jsonschema.validators
import re2
from celpy import celtypes
from celpy.adapter import json_to_cel

Schema = dict[str, Any]


def refusals(schema: Schema, new: object, old: object = None) -> list[str]:
    """What the API server would say: the schema's own refusals, or when there are none, the rules'."""
    wrong = [f"{'.'.join(map(str, error.path))}: {error.message}" for error in _validator(schema).iter_errors(new)]
    return wrong or list(_duplicates(schema, new)) or list(_broken(schema, new, old))


def _pattern(_: Any, pattern: str, found: object, __: Any) -> Iterator[jsonschema.ValidationError]:
    """By the engine that the API server has: Python's `$` would let a last newline through."""
    if isinstance(found, str) and not re2.search(pattern, found):
        yield jsonschema.ValidationError(f"{found!r} does not match {pattern!r}")


_Checked: Any = jsonschema.validators.extend(jsonschema.Draft202012Validator, {"pattern": _pattern})


def _validator(schema: Schema) -> Any:
    return _Checked(_plain(schema))


def _plain(schema: Schema) -> Schema:
    """The same in JSON Schema's own words; an unknown field is refused, as kubectl and strict requests do."""
    kept = {
        key: value for key, value in schema.items() if not key.startswith("x-") and key not in ("nullable", "format")
    }
    if "properties" in kept:
        kept["properties"] = {name: _plain(inner) for name, inner in kept["properties"].items()}
        kept["additionalProperties"] = False
    elif "additionalProperties" in kept:
        kept["additionalProperties"] = _plain(kept["additionalProperties"])
    if "items" in kept:
        kept["items"] = _plain(kept["items"])
    return {"anyOf": [kept, {"type": "null"}]} if schema.get("nullable") else kept


def _duplicates(schema: Schema, found: object) -> Iterator[str]:
    for inner, value, _, where in _inside(schema, found, None, ""):
        keys = inner.get("x-kubernetes-list-map-keys")
        if keys and isinstance(value, list):
            seen = [tuple(item[key] for key in keys) for item in value]
            yield from (f"{where}: Duplicate value: {key}" for key in set(seen) if seen.count(key) > 1)


def _broken(schema: Schema, new: object, old: object) -> Iterator[str]:
    for inner, value, before, where in _inside(schema, new, old, ""):
        for rule in inner.get("x-kubernetes-validations", ()):
            if "oldSelf" in rule["rule"] and before is None:
                continue
            given = {"self": _cel(value), "oldSelf": _cel(before)}
            if not _program(rule["rule"]).evaluate(given):
                yield f"{where}: {rule['message']}"


def _inside(schema: Schema, new: object, old: object, where: str) -> Iterator[tuple[Schema, Any, Any, str]]:
    """Every value with its schema, its old value and its path."""
    if new is None:
        return
    yield schema, new, old, where
    if isinstance(new, list) and "items" in schema:
        keys = schema.get("x-kubernetes-list-map-keys")
        known = old if isinstance(old, list) else []
        before = {tuple(item[key] for key in keys): item for item in known} if keys else {}
        for index, item in enumerate(new):
            match = before.get(tuple(item[key] for key in keys)) if keys else None
            yield from _inside(schema["items"], item, match, f"{where}[{index}]")
    if isinstance(new, dict):
        known = old if isinstance(old, dict) else {}
        for name, value in new.items():
            inner = schema.get("properties", {}).get(name, schema.get("additionalProperties"))
            if inner:
                yield from _inside(inner, value, known.get(name), f"{where}.{name}")


def _cel(value: object) -> Any:
    return json_to_cel(_without_nulls(value))


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nulls(inner) for key, inner in value.items() if inner is not None}
    return [_without_nulls(inner) for inner in value] if isinstance(value, list) else value


def _index_of(items: celtypes.ListType, item: celtypes.Value) -> celtypes.Value:
    return celtypes.IntType(items.index(item) if item in items else -1)


def _split(text: celtypes.StringType, separator: celtypes.StringType) -> celtypes.Value:
    return celtypes.ListType([celtypes.StringType(part) for part in str(text).split(str(separator))])


@functools.cache
def _program(rule: str) -> Any:
    environment = celpy.Environment()
    return environment.program(environment.compile(rule), functions={"indexOf": _index_of, "split": _split})
