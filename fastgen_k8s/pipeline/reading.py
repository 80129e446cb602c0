"""How an input is read, as far as its name decides that, and what it counts as in a work's digest."""

from pathlib import PurePath

from fastgen_k8s.artifacts.single import Input
from fastgen_k8s.config import digest

LINES, JSON_LINES, JSON, TABLES = (".txt",), (".jsonl", ".ndjson"), (".json",), (".csv", ".tsv")
"""Endings of the files that prompts are read from."""


def ending(place: str) -> str:
    """How a file's name ends, in small letters."""
    return PurePath(place).suffix.lower()


def counted(name: str, uri: str, found: Input) -> str:
    """The digest of an input of that name: of its content, and of its form where that form was once misread.

    Once every file of prompts but `.jsonl` and `.ndjson` was taken for lines of text. What was made then of a table, or
    of JSON under another name, is not what is made now; everything else keeps its digest.
    """
    exact, form = PurePath(uri).suffix, ending(uri)
    misread = form in (*JSON, *TABLES) or (form in JSON_LINES and exact != form)
    return digest({"content": found.digest, "form": form}) if name == "prompts" and misread else found.digest
