"""Prompts as people keep them: lines of text, JSON, JSON lines, or a table with a column `prompt`."""

import csv
import io
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TypeGuard, cast

from fastgen_k8s.errors import BadInput
from fastgen_k8s.pipeline.reading import JSON, JSON_LINES, LINES, ending
from fastgen_k8s.pipeline.text_file import text_of
from fastgen_k8s.printable import shown, unfit

Numbered = Iterable[tuple[int, str]]  # the line on which a prompt begins, and the prompt

_COLUMN = "prompt"
_BETWEEN = re.compile(r"[\s,]*")


def read_prompts(path: Path, called: str | None = None) -> list[str]:
    """The prompts of a file, in its order, read as its name's ending says; BadInput says which line is wrong.

    A local copy is `called` in messages by the name that a person gave.
    """
    where = called or str(path)
    text, read = text_of(path, where), _READERS.get(ending(where))
    if read is None:
        raise BadInput(f"{where}: wanted a file of prompts that ends in {', '.join(_READERS)}, found another name")
    prompts = [_checked(prompt, f"{where}:{number}") for number, prompt in read(text, where)]
    if not prompts:
        raise BadInput(f"{where}: wanted at least one prompt, found an empty file")
    return prompts


def _checked(prompt: str, where: str) -> str:
    found = unfit(prompt)  # a letter of JSON may be written as its number
    if found is not None:
        raise BadInput(f"{where}: wanted text, found {found[1]}")
    return prompt


def _lines(text: str, where: str) -> Numbered:
    lines = [(number, line.strip()) for number, line in enumerate(text.split("\n"), 1) if line.strip()]
    for number, first in lines[:1]:
        if _opens_json(first):
            wanted = f"a prompt a line (JSON ends in {', '.join((*JSON, *JSON_LINES))})"
            raise BadInput(f"{where}:{number}: wanted {wanted}, found {shown(first)}")
    return lines


def _opens_json(line: str) -> bool:
    """Whether a line is an array or an object of JSON, or the beginning of one; `[close-up] a cat` is neither."""
    if line[0] not in "[{":
        return False
    try:
        _, end = json.JSONDecoder().raw_decode(line)
    except json.JSONDecodeError as error:
        return error.pos >= len(line)
    except (ValueError, RecursionError):  # a number too long, values too deep
        return True
    return line[end:].strip() in ("", ",")


def _json_lines(text: str, where: str) -> Numbered:
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            value: object = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise BadInput(f"{where}:{number}: wanted a JSON object with 'prompt', found {line[:40]!r}") from error
        yield number, _prompt_of(value, f"{where}:{number}")


def _json_array(text: str, where: str) -> Numbered:
    try:
        value: object = json.loads(text)
    except json.JSONDecodeError as error:
        raise BadInput(f"{where}:{error.lineno}: wanted a JSON array of prompts, found {error.msg}") from error
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{where}: wanted a JSON array of prompts, found {text[:40]!r}") from error
    if not isinstance(value, list):
        raise BadInput(f"{where}: wanted a JSON array of prompts, found {text[:40]!r}")
    for number, element in _elements(text):
        yield number, element if _is_prompt(element) else _prompt_of(element, f"{where}:{number}")


def _elements(text: str) -> Iterator[tuple[int, object]]:
    """The elements of a JSON array, each with the line on which it begins."""
    decode, number, last, at = json.JSONDecoder().raw_decode, 1, 0, text.index("[") + 1
    while True:
        at = cast("re.Match[str]", _BETWEEN.match(text, at)).end()
        if text[at] == "]":
            return
        number, last = number + text.count("\n", last, at), at
        element, at = decode(text, at)
        yield number, element


def _prompt_of(value: object, where: str) -> str:
    found = shown(value)
    prompt = cast("dict[str, object]", value).get(_COLUMN) if isinstance(value, dict) else None
    if not _is_prompt(prompt):
        raise BadInput(f"{where}: wanted a JSON object with a non-empty 'prompt', found {found}")
    return prompt


def _is_prompt(value: object) -> TypeGuard[str]:
    return isinstance(value, str) and bool(value.strip())


def _table(delimiter: str, text: str, where: str) -> Numbered:
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True, strict=True)
    header, before = list[str](), 0
    try:
        for row in rows:
            number, before = before + 1, rows.line_num
            if not any(cell.strip() for cell in row):
                continue
            if not header:
                header = row
                if header.count(_COLUMN) != 1:
                    raise BadInput(
                        f"{where}:{number}: wanted one column 'prompt', found {', '.join(map(repr, header))}"
                    )
                continue
            if len(row) != len(header):
                wanted = f"{len(header)} columns as in the first row (quotes around what holds a delimiter)"
                raise BadInput(f"{where}:{number}: wanted {wanted}, found {len(row)}")
            prompt = row[header.index(_COLUMN)]
            if not prompt.strip():
                raise BadInput(f"{where}:{number}: wanted a non-empty 'prompt', found {shown(row)}")
            yield number, prompt
    except csv.Error as error:
        raise BadInput(f"{where}:{before + 1}: wanted a table, found {error}") from error


_READERS: Mapping[str, Callable[[str, str], Numbered]] = {
    **dict.fromkeys(LINES, _lines),
    **dict.fromkeys(JSON_LINES, _json_lines),
    **dict.fromkeys(JSON, _json_array),
    ".csv": partial(_table, ","),
    ".tsv": partial(_table, "\t"),
}
