# pyright: basic
"""The API server's checks of an object, as far as a schema can be evaluated without one.

What the API server does was looked up by asking one (tests/cluster/test_manifests.py asks again): a null in a nullable
field counts as absent for `has`, and in another is taken away; a number of the type `number` is a double, also when it
is written without a point; a rule that cannot be evaluated is broken; rules on list items see the old item of the same
key, and rules that name `oldSelf` are not asked at creation. For small objects: celpy takes gigabytes for the rules
over 24 stages.
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
from celpy.evaluation import CELEvalError

Schema = dict[str, Any]


def refusals(schema: Schema, new: object, old: object = None) -> list[str]:
    """What the API server would say: the schema's own refusals, or when there are none, the rules'."""
    new = _pruned(schema, new)
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
            given = {"self": _cel(inner, value), "oldSelf": _cel(inner, before)}
            try:
                if not _program(rule["rule"]).evaluate(given):
                    yield f"{where}: {rule['message']}"
            except CELEvalError as error:
                yield f"{where}: {error} evaluating rule: {rule['message']}"


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
            inner = _of(schema, name)
            if inner:
                yield from _inside(inner, value, known.get(name), f"{where}.{name}")


def _pruned(schema: Schema, value: Any) -> Any:
    """The same without nulls in fields that may hold none."""
    if isinstance(value, dict):
        inside = ((name, inner, _of(schema, name)) for name, inner in value.items())
        return {
            name: _pruned(of, inner) for name, inner, of in inside if inner is not None or not of or of.get("nullable")
        }
    return [_pruned(schema.get("items", {}), item) for item in value] if isinstance(value, list) else value


def _of(schema: Schema, name: str) -> Schema:
    """The schema of a field."""
    return schema.get("properties", {}).get(name) or schema.get("additionalProperties") or {}


def _cel(schema: Schema, value: object) -> Any:
    return json_to_cel(_typed(schema, value))


def _typed(schema: Schema, value: Any) -> Any:
    """A value as rules see it: no nulls, and numbers of the type that the schema says."""
    if isinstance(value, dict):
        return {name: _typed(_of(schema, name), inner) for name, inner in value.items() if inner is not None}
    if isinstance(value, list):
        return [_typed(schema.get("items", {}), item) for item in value]
    of_type = {"number": float, "integer": int}.get(schema.get("type", ""))
    return value if of_type is None or value is None else of_type(value)


def _index_of(items: celtypes.ListType, item: celtypes.Value) -> celtypes.Value:
    return celtypes.IntType(items.index(item) if item in items else -1)


def _split(text: celtypes.StringType, separator: celtypes.StringType) -> celtypes.Value:
    return celtypes.ListType([celtypes.StringType(part) for part in str(text).split(str(separator))])


@functools.cache
def _program(rule: str) -> Any:
    environment = celpy.Environment()
    return environment.program(environment.compile(rule), functions={"indexOf": _index_of, "split": _split})
