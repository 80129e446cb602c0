"""Parts of an object of Kubernetes as models: values mean here what the API server takes them for."""

from collections.abc import Mapping
from typing import Any, Self, cast

from pydantic import ModelWrapValidatorHandler, model_validator

from fastgen_k8s.config import Config
from fastgen_k8s.printable import shown


class Described(Config):
    """A part of an object: a null counts as absent, and no text is a number or a switch, nor a number a switch."""

    @model_validator(mode="wrap")
    @classmethod
    def _as_on_a_cluster(cls, data: object, validate: ModelWrapValidatorHandler[Self]) -> Self:
        given = _present(data)
        checked = validate(given)
        for name, value in cast("dict[str, object]", given).items() if isinstance(given, dict) else ():
            meant = checked.__dict__[name]
            if isinstance(meant, bool) and not isinstance(value, bool):
                raise ValueError(f"{name}: wanted true or false, found {shown(value)}")
            if isinstance(meant, int | float) and isinstance(value, str):
                raise ValueError(f"{name}: wanted a number, found the text {shown(value)}")
        return checked


def _present(data: Any) -> Any:
    """The same without nulls in mappings: the API server takes those away that it does not know what to do with."""
    if isinstance(data, Mapping):
        named = cast("Mapping[str, Any]", data)
        return {key: _present(value) for key, value in named.items() if value is not None}
    return [_present(value) for value in cast("list[Any]", data)] if isinstance(data, list) else data
