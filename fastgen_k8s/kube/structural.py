"""A pydantic model as the structural OpenAPI v3 schema of a CustomResourceDefinition, bounds and CEL rules included.

The API server estimates what a rule can cost from the bounds of what it walks over, so a field without bounds is
refused here, by name, and not later by a cluster.
"""

from collections.abc import Mapping
from typing import Any, cast

from pydantic import BaseModel

from fastgen_k8s.errors import Misdescribed

Schema = dict[str, Any]
_WORDS = ("description", "enum", "format", "maxLength", "minLength", "pattern")
_INT_OR_STRING = "x-kubernetes-int-or-string"
_BOUNDS = {
    "string": ("maxLength",),
    "integer": ("minimum", "maximum"),
    "number": ("minimum", "maximum"),
    "array": ("maxItems",),
    "object": ("maxProperties",),
    "boolean": (),
}


def structural(model: type[BaseModel], where: str, extras: Mapping[str, Schema]) -> Schema:
    """The schema of a model found at a path; `extras` are added at their paths (`spec.stages[].kind`, `gate{}`).

    Misdescribed for a field without bounds, and for an extra whose path does not exist.
    """
    whole = model.model_json_schema(mode="validation")
    walk = _Walk(whole.get("$defs", {}), extras)
    schema = walk.at(whole, where)
    unused = [path for path in extras if path.startswith(where) and path not in walk.seen]
    if unused:
        raise Misdescribed(f"rules of the CRD: wanted paths of the schema, found none at {', '.join(unused)}")
    return schema


class _Walk:
    def __init__(self, definitions: Mapping[str, Schema], extras: Mapping[str, Schema]) -> None:
        self.definitions = definitions
        self.extras = extras
        self.seen: set[str] = set()

    def at(self, given: Schema, where: str) -> Schema:
        self.seen.add(where)
        schema = self._resolved(given)
        found = self._of_type(schema, where) | {word: schema[word] for word in _WORDS if word in schema}
        for word in (word for word in ("nullable", _INT_OR_STRING) if schema.get(word)):
            found[word] = True
        if found.pop(_INT_OR_STRING, False):
            found = {_INT_OR_STRING: True, "anyOf": [{"type": "integer"}, {"type": "string"}]} | _without_type(found)
            found |= {bound: schema[bound] for bound in _BOUNDS["integer"]}
        return found | self.extras.get(where, {})

    def _resolved(self, schema: Schema) -> Schema:
        if "$ref" in schema:
            target = self.definitions[schema["$ref"].rpartition("/")[2]]
            return self._resolved(target | {word: value for word, value in schema.items() if word != "$ref"})
        variants = [variant for variant in schema.get("anyOf", ()) if variant != {"type": "null"}]
        if not variants:
            return schema
        if len(variants) > 1:
            raise Misdescribed(f"a structural schema holds one type or null, found {schema['anyOf']}")
        return self._resolved(variants[0]) | {"nullable": True}

    def _of_type(self, schema: Schema, where: str) -> Schema:
        kind = cast("str", schema.get("type", "string" if "const" in schema else ""))
        if kind == "object" and "properties" in schema:
            names = cast("dict[str, Schema]", schema["properties"])
            found: Schema = {"type": kind}
            if schema.get("required"):
                found["required"] = schema["required"]
            return found | {"properties": {name: self.at(inner, f"{where}.{name}") for name, inner in names.items()}}
        if kind not in _BOUNDS:
            raise Misdescribed(f"{where}: wanted a type with bounds, found {schema}")
        found = {"type": kind}
        if "const" in schema or "enum" in schema:
            return found | {"enum": schema.get("enum", [schema.get("const")])}
        if kind == "object":
            if "additionalProperties" not in schema:
                raise Misdescribed(f"{where}: wanted keys without a pattern, found {schema}")
            found["additionalProperties"] = self.at(schema["additionalProperties"], f"{where}{{}}")
        elif kind == "array":
            found["items"] = self.at(schema["items"], f"{where}[]")
        return found | _bounds(schema, kind, where)


def _without_type(schema: Schema) -> Schema:
    return {word: value for word, value in schema.items() if word != "type"}


def _bounds(schema: Schema, kind: str, where: str) -> Schema:
    found = dict(schema)
    if kind == "integer":  # in this dialect `exclusiveMinimum` is a boolean
        if "exclusiveMinimum" in schema:
            found["minimum"] = schema["exclusiveMinimum"] + 1
        if "exclusiveMaximum" in schema:
            found["maximum"] = schema["exclusiveMaximum"] - 1
    missing = [bound for bound in _BOUNDS[kind] if bound not in found]
    if missing:
        raise Misdescribed(f"{where}: wanted {' and '.join(missing)}, found no bound (a Field of the model sets it)")
    kept = (*_BOUNDS[kind], "minItems", "minProperties")
    return {bound: found[bound] for bound in kept if bound in found} | (
        {"format": "int64"} if kind == "integer" else {}
    )
