"""Prompts as people keep them: a text file with one a line, or JSON lines with a `prompt` field."""

import json
from pathlib import Path
from typing import cast

from fastgen_k8s.errors import BadInput


def read_prompts(path: Path, called: str | None = None) -> list[str]:
    """The prompts of a `.txt` or `.jsonl` file, without blank lines; BadInput says which line is wrong.

    A local copy is `called` in messages by the name that a person gave.
    """
    where = called or str(path)
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError as error:
        raise BadInput(f"{where}: wanted a file of prompts, found none") from error
    except IsADirectoryError as error:
        raise BadInput(f"{where}: wanted a file of prompts, found a folder") from error
    except UnicodeDecodeError as error:
        raise BadInput(f"{where}: wanted prompts in UTF-8, found byte {error.object[error.start]:#04x}") from error
    text = text.replace("\r\n", "\n")  # a prompt may hold what else splitlines() takes for the end of a line
    lines = [(number, line.strip()) for number, line in enumerate(text.split("\n"), 1) if line.strip()]
    parse = _json_line if path.suffix in {".jsonl", ".ndjson"} else _text_line
    prompts = [parse(line, f"{where}:{number}") for number, line in lines]
    if not prompts:
        raise BadInput(f"{where}: wanted at least one prompt, found an empty file")
    return prompts


def _text_line(line: str, where: str) -> str:
    if "\0" in line:
        raise BadInput(f"{where}: wanted text, found a NUL byte")
    return line


def _json_line(line: str, where: str) -> str:
    try:
        value: object = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{where}: wanted a JSON object with 'prompt', found {line[:40]!r}") from error
    prompt = cast("dict[str, object]", value).get("prompt") if isinstance(value, dict) else None
    if not isinstance(prompt, str) or not prompt.strip():
        raise BadInput(f"{where}: wanted a JSON object with a non-empty 'prompt', found {line[:40]!r}")
    return prompt
