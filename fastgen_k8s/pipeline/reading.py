"""Inputs that were once read as something else than was asked for: how they are read goes into their digest.

An artifact made of the old reading is then not taken for one of the new. What was read rightly keeps its digest, so
this lists forms that earlier versions misread, and no others.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import PurePath

from fastgen_k8s.artifacts.single import Input, start_of
from fastgen_k8s.config import digest
from fastgen_k8s.experiments.schema import Experiment

LINES, JSON_LINES, JSON, TABLES = (".txt",), (".jsonl", ".ndjson"), (".json",), (".csv", ".tsv")
"""Endings of the files that prompts are read from."""
_START = 16 << 20  # bytes, in which the pickle of a file of tensors has its names
_AVERAGED_GENERATOR = re.compile(rb"(?:X\x0d\x00{3}|\x8c\x0d)generator_ema")  # as a whole text of a pickle


def ending(place: str) -> str:
    """How a file's name ends, in small letters."""
    return PurePath(place).suffix.lower()


def as_read(kind: str, experiment: Experiment, name: str, uri: str, found: Input) -> Input:
    """An input as a stage of this kind reads it; the sha256 of what is there stays."""
    reading: Mapping[str, str] = {}
    if name == "prompts":
        reading = _prompts(uri)
    elif (kind, name, found.form) == ("bridge", "checkpoint", "file"):
        reading = _weights(experiment, uri)
    return replace(found, digest=digest({"content": found.digest, **reading})) if reading else found


def _prompts(uri: str) -> Mapping[str, str]:
    """The form of a file of prompts that was once taken for lines of text: all but `.txt`, `.jsonl` and `.ndjson`."""
    exact, form = PurePath(uri).suffix, ending(uri)
    misread = form in (*JSON, *TABLES) or (form in JSON_LINES and exact != form)
    return {"form": form} if misread else {}


def _weights(experiment: Experiment, uri: str) -> Mapping[str, str]:
    """What a bridge takes out of a file, where it was once something else than it was asked for.

    It took the student's for every role, and raw ones for averaged ones but where the key was `generator_ema`.
    """
    settings = experiment.bridge
    misread = settings.role != "student" or (
        settings.weights == "ema" and _AVERAGED_GENERATOR.search(start_of(uri, _START)) is None
    )
    return {"role": settings.role, "weights": settings.weights} if misread else {}
