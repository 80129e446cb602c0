"""The one command line of a stage, read back: what `Work.argv` and `Execution.argv` wrote."""

import argparse
import re
from collections.abc import Sequence
from functools import cache
from typing import NoReturn

from fastgen_k8s.errors import Misdescribed
from fastgen_k8s.pipeline.words import WORDS, told
from fastgen_k8s.pipeline.work import Execution, Work, parse_inputs


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise Misdescribed(message)


def parse(argv: Sequence[str]) -> tuple[Work, int | None, Execution]:
    """Work, micro-batch and execution from a stage's command line; Misdescribed when it does not fit."""
    found = vars(_parser().parse_args(argv))
    work = Work.parse(
        {
            "kind": found["kind"],
            "experiment": found["experiment"],
            "overrides": found["overrides"],
            "inputs": parse_inputs(found["inputs"]),
            "output": found["output"],
            "expect_digest": found["expect_digest"],
            "expect_inputs": parse_inputs(found["expect_inputs"]),
        },
        "command line",
    )
    return work, found["micro_batch"], Execution.parse(told("execution", found), "command line")


@cache
def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="fastgen_k8s.agent", allow_abbrev=False)
    parser.add_argument("--kind", required=True)
    parser.add_argument("--experiment", required=True)
    parser.add_argument("--set", action="append", default=[], dest="overrides")
    parser.add_argument("--input", action="append", default=[], dest="inputs")
    parser.add_argument("--output", required=True)
    parser.add_argument("--expect-digest")
    parser.add_argument("--expect-input", action="append", default=[], dest="expect_inputs")
    parser.add_argument("--micro-batch", type=int)
    for word in WORDS:
        if word.section == "execution":
            parser.add_argument(word.flag, type=_count if word.of is int else str)
    return parser


def _count(word: str) -> int | str:
    """The whole number that a word is; what is none is refused with the others that do not fit."""
    return int(word) if re.fullmatch("-?[0-9]{1,18}", word) else word
