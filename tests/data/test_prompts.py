"""Prompts as people keep them."""

from pathlib import Path

import pytest

from fastgen_k8s.data.prompts import read_prompts
from fastgen_k8s.errors import BadInput

GOOD = {
    "lines": ("p.txt", b"a cat\n\n  a dog  \n", ["a cat", "a dog"]),
    "a byte order mark": ("p.txt", b"\xef\xbb\xbfa cat\n", ["a cat"]),
    "windows line ends": ("p.txt", b"a cat\r\na dog\r\n", ["a cat", "a dog"]),
    "no final line end": ("p.txt", "日本語の猫".encode(), ["日本語の猫"]),
    "separators inside a line": ("p.txt", "a\u2028cat\r\na\x85dog\x0cin\n".encode(), ["a\u2028cat", "a\x85dog\x0cin"]),
    "separators inside JSON": ("p.jsonl", '{"prompt": "a\u2028cat\x85"}\n'.encode(), ["a\u2028cat\x85"]),
    "JSON lines": ("p.jsonl", b'{"prompt": "a cat", "id": 3}\n{"prompt": "a dog"}\n', ["a cat", "a dog"]),
}
BAD = {
    "an empty file": ("p.txt", b"", "wanted at least one prompt, found an empty file"),
    "blank lines": ("p.txt", b"\n \n", "wanted at least one prompt, found an empty file"),
    "latin-1": ("p.txt", "café".encode("latin-1"), "wanted prompts in UTF-8, found byte 0xe9"),
    "a binary file": ("p.txt", b"a\0b", r"p\.txt:1: wanted text, found a NUL byte"),
    "JSON without prompt": (
        "p.jsonl",
        b'{"prompt": "x"}\n{"text": "y"}',
        r"p\.jsonl:2: wanted a JSON object with a non-empty",
    ),
    "JSON without end": ("p.jsonl", b"[" * 100_000, r"p\.jsonl:1: wanted a JSON object with 'prompt'"),
    "JSON that is none": ("p.jsonl", b"a cat", r"p\.jsonl:1: wanted a JSON object with 'prompt', found 'a cat'"),
}


@pytest.mark.parametrize("case", GOOD)
def test_prompts_are_read(tmp_path: Path, case: str) -> None:
    name, data, wanted = GOOD[case]
    (tmp_path / name).write_bytes(data)
    assert read_prompts(tmp_path / name) == wanted


@pytest.mark.parametrize("case", BAD)
def test_a_file_of_no_prompts_is_refused_in_one_line(tmp_path: Path, case: str) -> None:
    name, data, message = BAD[case]
    (tmp_path / name).write_bytes(data)
    with pytest.raises(BadInput, match=message):
        read_prompts(tmp_path / name)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"none\.txt: wanted a file of prompts, found none"):
        read_prompts(tmp_path / "none.txt")
