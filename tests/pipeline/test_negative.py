"""A negative prompt in a file: the same as the words in an override, and refused beside them."""

from pathlib import Path

import pytest

from fastgen_k8s.errors import BadInput, Misdescribed
from fastgen_k8s.experiments import get_experiment
from fastgen_k8s.pipeline.negative import with_negative

KD = get_experiment("wan_t2v/kd")


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"blurry, watermark #logo, no\n", "blurry, watermark #logo, no"),
        (b"\xef\xbb\xbfblurry\r\n\r\n", "blurry"),
        ("\u6a21\u7cca\uff0c\u9759\u6001\n".encode(), "\u6a21\u7cca\uff0c\u9759\u6001"),
        (b"blurry,\nstatic\n", "blurry,\nstatic"),
        (b"costs $$5", "costs $$5"),
        (b"null\n", "null"),
        (b'"blurry, static"\n', '"blurry, static"'),
        ("'\U0001f642, it''s'".encode(), "'\U0001f642, it''s'"),
    ],
)
def test_a_file_is_the_negative_prompt_as_it_is_written(tmp_path: Path, data: bytes, text: str) -> None:
    (tmp_path / "negative.txt").write_bytes(data)
    overrides = with_negative(["pairs.seed=3"], str(tmp_path / "negative.txt"))
    assert overrides[:-1] == ["pairs.seed=3"]
    assert KD.override(*overrides).conditions.negative_prompt == text


def test_without_a_file_the_overrides_stay_as_they_are() -> None:
    assert with_negative(["conditions.negative_prompt=x"], None) == ["conditions.negative_prompt=x"]
    assert with_negative(["conditions.negative_prompt=x"], "") == ["conditions.negative_prompt=x"]


@pytest.mark.parametrize("beside", ["conditions.negative_prompt=x", "conditions={negative_prompt: x}"])
def test_a_file_beside_an_override_is_misdescribed(tmp_path: Path, beside: str) -> None:
    (tmp_path / "negative.txt").write_text("blurry")
    with pytest.raises(Misdescribed, match=r"wanted a file with the negative prompt or .*, found both"):
        with_negative([beside], str(tmp_path / "negative.txt"))


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b" \n", "wanted a negative prompt of at most 16384 letters, found none"),
        (b"x" * 20_000, "found 20000"),
        (b"a\nb\0", r"negative\.txt:2: wanted text, found a NUL byte"),
        (b"caf\xe9", r"negative\.txt:1: wanted prompts in UTF-8, found byte 0xe9"),
        (None, "wanted a file with a negative prompt, found none"),
    ],
)
def test_a_file_that_holds_no_negative_prompt_is_refused(tmp_path: Path, data: bytes | None, said: str) -> None:
    if data is not None:
        (tmp_path / "negative.txt").write_bytes(data)
    with pytest.raises(BadInput, match=said):
        with_negative([], str(tmp_path / "negative.txt"))
