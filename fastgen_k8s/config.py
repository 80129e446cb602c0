"""Closed, frozen, typed configuration: overrides by `key=value`, a canonical form, and digests of it."""

import difflib
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from types import NoneType, UnionType
from typing import Annotated, Any, Self, Union, cast, get_args, get_origin

import yaml
from pydantic import BaseModel, ConfigDict, ModelWrapValidatorHandler, ValidationError, model_validator

from fastgen_k8s.errors import Misdescribed
from fastgen_k8s.plain import quoted, read_yaml
from fastgen_k8s.printable import shown, unfit

_NAMES = 16  # known names that are listed


class Config(BaseModel):
    """A frozen value with named, typed fields and no others."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, allow_inf_nan=False)

    @model_validator(mode="wrap")
    @classmethod
    def _a_boolean_is_no_number(cls, data: object, validate: ModelWrapValidatorHandler[Self]) -> Self:
        checked = validate(data)
        for name, value in cast("dict[str, object]", data).items() if isinstance(data, dict) else ():
            if isinstance(value, bool) and name in cls.model_fields and not isinstance(getattr(checked, name), bool):
                raise ValueError(f"{name}: wanted a number, found {str(value).lower()}")
        return checked

    def override(self, *settings: str) -> Self:
        """A copy with each `dotted.key=value` set; values are text where the setting is, else YAML, and checked.

        Raises Misdescribed with the nearest known name for an unknown key, and with the wanted type for a bad value.
        """
        data = self.model_dump(mode="json")
        for setting in settings:
            key, separator, text = setting.partition("=")
            if not separator:
                raise Misdescribed(f"an override is key=value, found {shown(setting)}")
            key = key.strip()
            wanted = _types(type(self), key.split("."))
            _assign(
                data, key, _words(text, NoneType in wanted) if wanted - {NoneType} == {str} else _value(setting, text)
            )
            data = self._completed(data)
        return self.parse(data, "overrides " + " ".join(settings))

    @classmethod
    def _completed(cls, data: dict[str, Any]) -> dict[str, Any]:
        """The same with defaults filled in, so that a section just set can be refined; as it was while invalid."""
        try:
            return cls.model_validate(data).model_dump(mode="json")
        except ValidationError:
            return data

    def settings(self) -> frozenset[str]:
        """Every dotted key that an override of this value can name."""
        return frozenset(_keys(self.model_dump(mode="json")))

    @classmethod
    def parse(cls, data: object, where: str) -> Self:
        """The value that plain data describe; Misdescribed names field, wanted and found in one line."""
        for path, text in _texts(data):
            found = unfit(text)
            if found is not None:
                raise Misdescribed(f"{where}: {path or cls.__name__}: wanted text, found {found[1]}")
        return cls.restore(data, where)

    @classmethod
    def restore(cls, data: object, where: str) -> Self:
        """The value of data that were written down from one, and whose text was looked at then; else as `parse`."""
        try:
            return cls.model_validate(data)
        except ValidationError as error:
            raise Misdescribed(f"{where}: {_first_problem(cls, error)}") from error

    def canonical(self) -> dict[str, Any]:
        """Plain data with defaults left out, so that a field added later with a default changes no digest."""
        return self.model_dump(mode="json", exclude_defaults=True)


def digest(value: object) -> str:
    """sha256 of plain data in canonical JSON."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint for an unknown name: the nearest known one, or all when few are known."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    if close:
        return f"did you mean {close[0]!r}?"
    if not names:
        return "none is known"
    more = f", ... ({len(names)} in all)" if len(names) > _NAMES else ""
    return f"known are {', '.join(names[:_NAMES])}{more}"


def _types(model: type[BaseModel], path: list[str]) -> set[object]:
    """What a setting may be: the types in its annotation, of all variants that have it."""
    *sections, name = path
    fields = [each.model_fields[name] for each in _walked(model, sections)[1] if name in each.model_fields]
    return {found for field in fields for found in _members(field.annotation)}


def _members(annotation: Any) -> Iterator[object]:
    origin = get_origin(annotation)
    if origin is Annotated:
        yield from _members(get_args(annotation)[0])
    elif origin in (Union, UnionType):
        for inner in get_args(annotation):
            yield from _members(inner)
    else:
        yield annotation


def _words(text: str, may_be_none: bool) -> str | None:
    """The text of an override as it was given, without outer blanks; a text in quotes, and `null`, are YAML's."""
    bare = text.strip(" \t\r\n")
    if may_be_none and bare == "null":
        return None
    inside = quoted(bare)
    return bare if inside is None else inside


def _value(setting: str, text: str) -> object:
    try:
        return read_yaml(text, aliases=False)
    except yaml.YAMLError as error:
        raise Misdescribed(
            f"the value of {shown(setting)}: wanted YAML, found {' '.join(str(error).split())}"
        ) from error


def _texts(data: object) -> Iterator[tuple[str, str]]:
    """Every text in plain data with where it stands; the keys are texts too."""
    left: list[tuple[str, object]] = [("", data)]
    while left:
        path, value = left.pop()
        if isinstance(value, str):
            yield path, value
        elif isinstance(value, dict):
            for name, inner in cast("dict[object, object]", value).items():
                left += [(_below(path, name), inner), (path, name)]
        elif isinstance(value, list | tuple):
            left += [(_below(path, index), inner) for index, inner in enumerate(cast("list[object]", value))]


def _below(path: str, name: object) -> str:
    return f"{path}.{name}" if path else str(name)


def _keys(data: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for name, value in data.items():
        yield prefix + name
        if isinstance(value, dict):
            yield from _keys(cast("dict[str, Any]", value), f"{prefix}{name}.")


def _assign(data: dict[str, Any], key: str, value: object) -> None:
    *sections, leaf = key.split(".")
    here: dict[str, Any] = data
    for depth, part in enumerate([*sections, leaf]):
        if part not in here:
            where = ".".join([*sections[:depth], part])
            raise Misdescribed(f"unknown setting {where!r}: {nearest(part, here)}")
        if depth == len(sections):
            here[leaf] = value
        elif isinstance(here[part], dict):
            here = cast("dict[str, Any]", here[part])
        else:
            raise Misdescribed(f"{'.'.join(sections[: depth + 1])!r} holds no settings of its own, found {key!r}")


def _first_problem(model: type[BaseModel], error: ValidationError) -> str:
    problem = error.errors(include_url=False)[0]
    path = [str(part) for part in problem["loc"]]
    where = ".".join(_walked(model, path)[0]) or model.__name__
    if problem["type"] == "extra_forbidden":
        _, beside = _walked(model, path[:-1])
        return (
            f"unknown setting {where!r}: {nearest(path[-1], [name for each in beside for name in each.model_fields])}"
        )
    found = problem.get("input")
    ending = "" if isinstance(found, Mapping) or problem["type"] == "missing" else f", found {shown(found)}"
    message = problem["msg"].removeprefix("Value error, ")
    return f"{where}: {message[0].lower()}{message[1:]}{ending}"


def _walked(model: type[BaseModel], path: list[str]) -> tuple[list[str], list[type[BaseModel]]]:
    """A path as a person writes it, without the kinds by which pydantic chose variants, and the models that it ends in.

    An index, or a name of the writer's own, leads no deeper.
    """
    kept, here = list[str](), [model]
    for part in path:
        chosen = [each for each in here if "kind" in each.model_fields and part in _kinds(each)]
        if len(here) > 1 and chosen:
            here = chosen
            continue
        kept.append(part)
        fields = [each.model_fields[part] for each in here if part in each.model_fields]
        here = [found for field in fields for found in _models(field.annotation)] if fields else here
    return kept, here


def _kinds(variant: type[BaseModel]) -> tuple[object, ...]:
    return get_args(variant.model_fields["kind"].annotation)


def _models(annotation: Any) -> list[type[BaseModel]]:
    """The models in an annotation: one, the variants of a union, or those in a container."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [found for inner in get_args(annotation) for found in _models(inner)]
