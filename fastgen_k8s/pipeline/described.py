"""Parts of an object of Kubernetes as models: values mean here what the API server takes them for."""

from collections.abc import Mapping
from typing import Self, cast, get_origin

from pydantic import ModelWrapValidatorHandler, model_validator

from fastgen_k8s.config import Config
from fastgen_k8s.printable import shown


class Described(Config):
    """A part of an object: a null counts as absent where the name is known, and no text is a number or a switch, nor a
    number a switch.
    """

    @model_validator(mode="wrap")
    @classmethod
    def _as_on_a_cluster(cls, data: object, validate: ModelWrapValidatorHandler[Self]) -> Self:
        given = _present(cls, cast("Mapping[str, object]", data)) if isinstance(data, Mapping) else data
        checked = validate(given)
        for name, value in cast("dict[str, object]", given).items() if isinstance(given, dict) else ():
            meant = checked.__dict__[name]
            if isinstance(meant, bool) and not isinstance(value, bool):
                raise ValueError(f"{name}: wanted true or false, found {shown(value)}")
            if isinstance(meant, int | float) and isinstance(value, str):
                raise ValueError(f"{name}: wanted a number, found the text {shown(value)}")
        return checked


def _present(model: type[Config], data: Mapping[str, object]) -> dict[str, object]:
    """The same without nulls, which the API server takes away where it does not know what to do with them.

    A name that it does not know it refuses with whatever stands there.
    """
    fields = model.model_fields
    own = {name for name, field in fields.items() if get_origin(field.annotation) is Mapping}  # names of the writer's
    return {
        name: _filled(value) if name in own else value
        for name, value in data.items()
        if value is not None or name not in fields
    }


def _filled(given: object) -> object:
    """A mapping without nulls; anything else as it is."""
    if not isinstance(given, Mapping):
        return given
    return {name: value for name, value in cast("Mapping[str, object]", given).items() if value is not None}
