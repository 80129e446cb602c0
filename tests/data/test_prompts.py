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
    "a pair in JSON": ("p.jsonl", b'{"prompt": "\\ud83d\\ude00"}', ["\U0001f600"]),
    "a byte order mark before a table": ("p.csv", b"\xef\xbb\xbfprompt,n\na cat,1\n", ["a cat"]),
    "JSON lines in capitals": ("LINES.JSONL", b'{"prompt": "a cat"}\n', ["a cat"]),
    "text in capitals": ("P.TXT", b"a cat\n", ["a cat"]),
    "brackets that are no JSON": (
        "p.txt",
        b"[close-up] a cat\n{{soft}} light\n",
        ["[close-up] a cat", "{{soft}} light"],
    ),
    "quotes": ("p.txt", b'"a cat"\n', ['"a cat"']),
    "an array of objects": (
        "p.json",
        b'[\n  {\n    "prompt": "a cat"\n  },\n  {"id": 3, "prompt": "a dog"}\n]',
        ["a cat", "a dog"],
    ),
    "an array of texts": ("P.Json", b'["a cat, grey", "a dog"]', ["a cat, grey", "a dog"]),
    "texts and objects": ("p.json", b'["a cat",{"prompt": "a dog"}]', ["a cat", "a dog"]),
    "a table": ("p.csv", b'path,prompt\r\n0.mp4,"a cat, grey"\r\n1.mp4,a dog\r\n', ["a cat, grey", "a dog"]),
    "a table with blanks": (
        "p.csv",
        b'path, prompt\n0.mp4, "a cat, grey"\n,\n\n1.mp4, a dog',
        ["a cat, grey", "a dog"],
    ),
    "a table's cell of two lines": ("p.csv", b'prompt\n"a cat\nand a dog"\n', ["a cat\nand a dog"]),
    "a table with tabs": ("P.TSV", b'prompt\tn\na cat, grey\t1\na 5" dog\t2\n', ["a cat, grey", 'a 5" dog']),
}
BAD = {
    "an empty file": ("p.txt", b"", "wanted at least one prompt, found an empty file"),
    "blank lines": ("p.txt", b"\n \n", "wanted at least one prompt, found an empty file"),
    "latin-1": ("p.txt", "café".encode("latin-1"), "wanted prompts in UTF-8, found byte 0xe9"),
    "latin-1 further down": ("p.txt", "a cat\ncafé".encode("latin-1"), r"p\.txt:2: wanted prompts in UTF-8"),
    "half a pair in JSON lines": (
        "p.jsonl",
        b'{"prompt": "a"}\n{"prompt": "b \\ud83d"}\n',
        r"p\.jsonl:2: wanted text, found half a surrogate pair \(U\+D83D\)",
    ),
    "half a pair in an array": (
        "p.json",
        b'["a",\n"b \\udc00 c"]',
        r"p\.json:2: wanted text, found half a surrogate pair",
    ),
    "half a pair as bytes": ("p.txt", b"a\nb \xed\xa0\xbd\n", r"p\.txt:2: wanted prompts in UTF-8, found byte 0xed"),
    "NUL in JSON lines": ("p.jsonl", b'{"prompt": "a \\u0000 b"}', r"p\.jsonl:1: wanted text, found a NUL byte"),
    "NUL in a table": ("p.csv", b"prompt\na\0b\n", r"p\.csv:2: wanted text, found a NUL byte"),
    "two byte order marks": (
        "p.txt",
        b"\xef\xbb\xbf\xef\xbb\xbfa cat\n",
        r"p\.txt:1: wanted text, found a byte order mark",
    ),
    "files put together": (
        "p.txt",
        b"\xef\xbb\xbfa\n\xef\xbb\xbfb\n",
        r"p\.txt:2: wanted text, found a byte order mark",
    ),
    "a mark in JSON": ("p.jsonl", b'{"prompt": "\\ufeffa"}', r"p\.jsonl:1: wanted text, found a byte order mark"),
    "a binary file": ("p.txt", b"a\0b", r"p\.txt:1: wanted text, found a NUL byte"),
    "JSON without prompt": (
        "p.jsonl",
        b'{"prompt": "x"}\n{"text": "y"}',
        r"p\.jsonl:2: wanted a JSON object with a non-empty",
    ),
    "JSON without end": ("p.jsonl", b"[" * 100_000, r"p\.jsonl:1: wanted a JSON object with 'prompt'"),
    "JSON that is none": ("p.jsonl", b"a cat", r"p\.jsonl:1: wanted a JSON object with 'prompt', found 'a cat'"),
    "an array that has no end": ("p.json", b'["a",\n"b"\n', r"p\.json:3: wanted a JSON array of prompts"),
    "JSON lines as an array": ("p.json", b'{"prompt": "a"}\n{"prompt": "b"}', r"p\.json:2: wanted a JSON array"),
    "an object that is no array": ("p.json", b'{"prompts": ["a"]}', r"p\.json: wanted a JSON array of prompts, found"),
    "an empty array": ("p.json", b"[ ]", "wanted at least one prompt"),
    "an element without prompt": (
        "p.json",
        b'[\n{"prompt": "a"},\n\n{"text": "b"}]',
        r"p\.json:4: wanted a JSON object with a non-empty 'prompt'",
    ),
    "a number in an array": (
        "p.json",
        b'["a", 3]',
        r"p\.json:1: wanted a JSON object with a non-empty 'prompt', found 3",
    ),
    "a table without the column": (
        "p.csv",
        b"path,caption\n0.mp4,a cat\n",
        r"p\.csv:1: wanted one column 'prompt', found 'path', 'caption'",
    ),
    "a table with two": ("p.csv", b"prompt,prompt\na,b\n", r"p\.csv:1: wanted one column 'prompt'"),
    "a table with nothing below": ("p.csv", b"prompt\n", "wanted at least one prompt"),
    "a comma without quotes": (
        "p.csv",
        b"n,prompt\n1,a cat\n2,a dog, grey\n",
        r"p\.csv:3: wanted 2 columns .*, found 3",
    ),
    "an empty cell": ("p.tsv", b"n\tprompt\n1\t\n", r"p\.tsv:2: wanted a non-empty 'prompt'"),
    "a quote that does not end": (
        "p.csv",
        b'prompt\na cat\n"a dog\n',
        r"p\.csv:3: wanted a table, found unexpected end",
    ),
    "another ending": (
        "p.yaml",
        b"- a cat\n",
        r"p\.yaml: wanted a file of prompts that ends in \.txt, \.jsonl, .*\.tsv",
    ),
    "no ending": ("prompts", b"a cat\n", r"prompts: wanted a file of prompts that ends in \.txt"),
    "an array called text": ("p.txt", b'\n[\n"a cat"\n]', r"p\.txt:2: wanted a prompt a line \(JSON ends in"),
    "JSON lines called text": ("p.txt", b'{"prompt": "a cat"}\n', r"p\.txt:1: wanted a prompt a line \(JSON ends in"),
    "a row of an array called text": ("p.txt", b'[ "a cat",\n"a dog"]', r"p\.txt:1: wanted a prompt a line"),
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
