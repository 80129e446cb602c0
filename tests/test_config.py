"""Configuration: closed, typed, overridden by words, and written in one canonical way."""

from typing import Annotated, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field, PositiveInt

from fastgen_k8s.config import Config, digest, nearest
from fastgen_k8s.errors import Misdescribed


class Inner(Config):
    """Settings of a section."""

    steps: PositiveInt = 3
    rate: float = 0.5
    name: str = "a"


class Round(Config):
    """One variant."""

    kind: Literal["round"]
    radius: PositiveInt = 1


class Square(Config):
    """Another."""

    kind: Literal["square"]
    side: PositiveInt = 1
    square: PositiveInt = 1  # named as its kind


class Outer(Config):
    """Settings with a section, a choice, a section that may be absent, and variants."""

    inner: Inner = Inner()
    maybe: Inner | None = None
    choice: Literal["left", "right"] = "left"
    times: tuple[float, ...] = (1.0, 0.0)
    several: tuple[Inner, ...] = ()
    note: Annotated[str, Field(max_length=99)] | None = None
    words: tuple[str, ...] = ()
    either: str | tuple[str, ...] = ""
    shape: Annotated[Round | Square, Field(discriminator="kind")] = Round(kind="round")


@pytest.mark.parametrize(
    ("settings", "wanted"),
    [
        (("inner.steps=4",), Outer(inner=Inner(steps=4))),
        (("inner.rate=1e-4",), Outer(inner=Inner(rate=1e-4))),
        (("inner={steps: 4}",), Outer(inner=Inner(steps=4))),
        (("maybe={}", "maybe.steps=4"), Outer(maybe=Inner(steps=4))),
        (("maybe.steps=4", "maybe=null")[1:], Outer()),
        (("choice=right",), Outer(choice="right")),
        (("times=[1, 0.5, 0]",), Outer(times=(1.0, 0.5, 0.0))),
        (("inner.name=a=b",), Outer(inner=Inner(name="a=b"))),
        (("inner.name='4'",), Outer(inner=Inner(name="4"))),
        (("note='null'",), Outer(note="null")),
        (("note=x", "note= null "), Outer()),
        (("note=~",), Outer(note="~")),
        (("note=",), Outer(note="")),
        (("inner.name=null",), Outer(inner=Inner(name="null"))),
        (("words=[a, b]",), Outer(words=("a", "b"))),
        (("either=[a, b]",), Outer(either=("a", "b"))),
        (("either='a'",), Outer(either="a")),
    ],
)
def test_an_override_sets_what_it_names(settings: tuple[str, ...], wanted: Outer) -> None:
    assert Outer().override(*settings) == wanted


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("inner.stepz=4", "unknown setting 'inner.stepz': did you mean 'steps'?"),
        ("iner.steps=4", "unknown setting 'iner': did you mean 'inner'?"),
        ("inner.steps.more=4", "'inner.steps' holds no settings of its own"),
        ("maybe.steps=4", "'maybe' holds no settings of its own"),
        ("inner.steps=0", "greater than 0"),
        ("inner.steps=2.5", "inner.steps: input should be a valid integer"),
        ("inner.rate=fast", "inner.rate: .*found 'fast'"),
        ("inner.rate=.nan", "finite"),
        (r'inner.name="\ud83d"', r"inner\.name: wanted text, found half a surrogate pair \(U\+D83D\)"),
        (r'inner={name: "a\0"}', r"inner\.name: wanted text, found a NUL byte"),
        (r'several=[{name: "\ufeff"}]', r"several\.0\.name: wanted text, found a byte order mark"),
        ("inner.name=caf\udce9", "wanted text|special characters"),  # a word of a command line that was no UTF-8
        ("inner={name: 4}", "inner.name: .*found 4"),
        ("choice=up", "'left' or 'right', found 'up'"),
        ("inner=4", "inner: .*found 4"),
        ("inner={stepz: 4}", "unknown setting 'inner.stepz': did you mean 'steps'?"),
        ("inner.steps", "key=value"),
        ("inner.steps=[", "wanted YAML"),
        ("inner.steps=true", "inner: steps: wanted a number, found true"),
        ("inner.steps=null", "inner.steps: .*found None"),
        ("inner.steps=a\nb", "found 'a b'"),
        ("inner.steps=2020-13-45", "found '2020-13-45'"),
        ("inner.steps=!!int a", "wanted YAML, found invalid literal"),
        ("inner.steps=" + "9" * 5000, "wanted YAML, found Exceeds the limit"),
        ("inner.steps=" + "[" * 5000, "wanted YAML, found values more than 32 deep"),
        ("inner={steps: 1, steps: 2}", "the key 'steps' is given twice"),
        ("maybe={stepz: 4}", "unknown setting 'maybe.stepz': did you mean 'steps'?"),
        ("inner.rate=[" + "1, " * 2000 + "1]", r"inner\.rate: .* found \[1, 1, .*\.\.\.\]$"),
        ("several=[{steps: 0}]", r"several\.0\.steps: input should be greater than 0"),
        ("shape.radius=0", r": shape\.radius: input should be greater than 0"),
        ("shape={kind: square, side: 0}", r": shape\.side: input should be greater than 0"),
        ("shape={kind: square, square: 0}", r": shape\.square: input should be greater than 0"),
        ("shape={kind: round, zzz: 1}", "unknown setting 'shape.zzz': known are kind, radius"),
        ("shape={kind: square, sid: 1}", "unknown setting 'shape.sid': did you mean 'side'?"),
        ("several=[{stepz: 4}]", "unknown setting 'several.0.stepz': did you mean 'steps'?"),
    ],
)
def test_an_override_that_does_not_fit_is_refused_in_one_line(setting: str, said: str) -> None:
    with pytest.raises(Misdescribed, match=said) as refused:
        Outer().override(setting)
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 700


AS_GIVEN = ["blurry, watermark #logo, text", "|", "@", "%", "no", "2026", "a: b", "", "[", "{a}", "&a", "*a", "a\\nb"]
MORE = ["$$5", "- a", "? a", "!!int a", "a 'b'", "'a' b", "'a' and 'b'", '"a" # "b"', '"a', r'"\q"', "x=y", "a\tb"]


@pytest.mark.parametrize("words", AS_GIVEN + MORE)
def test_a_setting_of_text_takes_words_as_they_are_given(words: str) -> None:
    assert Outer().override(f"inner.name= {words}\n").inner.name == words
    assert Outer().override(f"note={words}").note == words


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ("'4'", "4"),
        ('" a # b "', " a # b "),
        ("'it''s'", "it's"),
        (r'"a\tb"', "a\tb"),
        (r'"\ud83d\ude00"', "\U0001f600"),
    ],
)
def test_a_text_in_yaml_s_quotes_as_a_whole_is_what_stands_in_them(words: str, text: str) -> None:
    assert Outer().override(f"inner.name={words}", f"note= {words} ") == Outer(inner=Inner(name=text), note=text)


def test_an_override_leaves_the_original_alone() -> None:
    original = Outer()
    original.override("inner.steps=4")
    assert original == Outer()


OUTERS = st.builds(
    Outer,
    inner=st.builds(Inner, steps=st.integers(1, 9), rate=st.floats(allow_nan=False, allow_infinity=False)),
    maybe=st.none() | st.builds(Inner, name=st.text(max_size=3)),
    choice=st.sampled_from(["left", "right"]),
    times=st.lists(st.floats(0, 1), max_size=3).map(tuple),
)


@given(OUTERS)
def test_the_canonical_form_tells_values_apart_and_nothing_else(value: Outer) -> None:
    assert Outer.model_validate(value.canonical()) == value


@given(OUTERS, OUTERS)
def test_equal_values_have_equal_digests_and_others_do_not(one: Outer, other: Outer) -> None:
    assert (digest(one.canonical()) == digest(other.canonical())) == (one == other)


def test_defaults_are_left_out_of_the_canonical_form() -> None:
    assert Outer(inner=Inner(steps=4)).canonical() == {"inner": {"steps": 4}}


def test_every_setting_has_a_dotted_name() -> None:
    assert Outer().settings() == {
        "inner",
        "inner.steps",
        "inner.rate",
        "inner.name",
        "maybe",
        "choice",
        "times",
        "several",
        "note",
        "words",
        "either",
        "shape",
        "shape.kind",
        "shape.radius",
    }


@pytest.mark.parametrize(
    ("name", "hint"),
    [("trian", "did you mean 'train'?"), ("zzz", "known are sample, train"), ("sampel", "did you mean 'sample'?")],
)
def test_a_hint_is_the_nearest_name_or_all_of_them(name: str, hint: str) -> None:
    assert nearest(name, ["train", "sample"]) == hint


def test_a_hint_does_not_list_too_many_names() -> None:
    assert nearest("zzz", [f"name{number:02}" for number in range(99)]).endswith("name15, ... (99 in all)")
