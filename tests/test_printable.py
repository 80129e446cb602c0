"""What others wrote, made fit for a person."""

import pytest

from fastgen_k8s.printable import clean, last_drawn, shown


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("step 3: näher, 形, 🙂", "step 3: näher, 形, 🙂"),
        ("a\nb\tc\r", "a b c "),
        ("\x1b[2Ja\x07\x9b", " [2Ja  "),
        ("a\u202eb\u2066c\u200b", "a b c "),
        ("\ud800\x00", "  "),
    ],
)
def test_cleaned_text_is_one_line_that_a_terminal_obeys_nowhere(text: str, said: str) -> None:
    assert clean(text) == said


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("plain", "plain"),
        ("\x1b[2m12:00\x1b[0m [\x1b[32;1minfo\x1b[0m] step=3", "12:00 [info] step=3"),
        ("\r 10%|#   |\r 20%|##  |\r100%|####|", "100%|####|"),
        ("from Windows\r", "from Windows"),
        ("", ""),
        ("\x1b]0;title\x07text", " ]0;title text"),
        ("\x1b[2K\x1b[1Aover\u202e", "over "),
    ],
)
def test_a_line_of_a_log_is_what_a_terminal_would_leave_of_it(line: str, said: str) -> None:
    assert last_drawn(line) == said


def nested(depth: int) -> object:
    """A list that holds the same list twice, and so on."""
    value: object = "x"
    for _ in range(depth):
        value = [value, value]
    return value


SHOWN: dict[str, tuple[object, str]] = {
    "short": ("short", "'short'"),
    "a list": ([1, {"a": None}], "[1, {'a': None}]"),
    "shared": (nested(18), "[[[[...], [...]], [[...], [...]]], [[[...], [...]], [[...], [...]]]]"),
    "a number": (1 << 20_000, "a number of 20001 bits"),
    "a text": ("x" * 1000, "'" + "x" * 77 + "..." + "x" * 78 + "'"),
    "bytes": (b"x" * 1000, "b'" + "x" * 76 + "..." + "x" * 78 + "'"),
    "many": ([["x" * 1000] * 9] * 9, "[['" + "x" * 77 + "..." + "x" * 77 + " ..."),
}


@pytest.mark.parametrize("case", SHOWN)
def test_a_found_value_is_shown_in_few_words(case: str) -> None:
    value, said = SHOWN[case]
    assert shown(value) == said
