"""The negative prompt that a person keeps in a file, as the override that it comes to."""

import json
from collections.abc import Sequence

from fastgen_k8s.artifacts.single import find_file, is_folder
from fastgen_k8s.errors import BadInput, Misdescribed
from fastgen_k8s.pipeline.text_file import text_of
from fastgen_k8s.plain import quoted
from fastgen_k8s.printable import shown

_SETTING = "conditions.negative_prompt"
_LONGEST = 16_384  # letters: it becomes one word of a command line


def with_negative(overrides: Sequence[str], file: str | None) -> list[str]:
    """The overrides, with the text of a file as the negative prompt; Misdescribed where they have one already."""
    if not file:
        return list(overrides)
    beside = next((setting for setting in overrides if _sets_it(setting)), None)
    if beside is not None:
        raise Misdescribed(
            f"wanted a file with the negative prompt or {_SETTING}=, found both: {file}, {shown(beside)}"
        )
    path = find_file(file)
    if path is None:
        raise BadInput(
            f"{file}: wanted a file with a negative prompt, found {'a folder' if is_folder(file) else 'none'}"
        )
    text = text_of(path, file).strip()
    if not 0 < len(text) <= _LONGEST:
        raise BadInput(f"{file}: wanted a negative prompt of at most {_LONGEST} letters, found {len(text) or 'none'}")
    return [*overrides, f"{_SETTING}={text if quoted(text) is None else json.dumps(text)}"]  # its quotes are its own


def _sets_it(setting: str) -> bool:
    key, _, value = setting.partition("=")
    return key.strip() == _SETTING or (key.strip() == "conditions" and "negative_prompt" in value)
