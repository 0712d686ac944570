"""A value written as YAML text reads back the same, to the digit and the letter."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.kernel import exactjson
from apps.kernel.documents import load
from apps.kernel.fields import NEW, OLD, Field, Section, take
from apps.kernel.patching import dumped, patch, without

ODD = [
    *("<<", "yes", "null", "1", "~", "- a", "a: b", "#x", "", "? ", "2020-01-01", "true", "NO"),
    *("0x1f", "1_000", ".inf", "*a", "&a", "!t", "%", "@", "`", "|", ">", "'", '"', "\\"),
    *("\u0085x", "a\u2028b", "é", "x" * 1500, "a\r\nb", "\ufeffq", "\uffff", "\x7f"),
]
texts = st.sampled_from(ODD) | st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=30
)
numbers = st.integers() | st.integers(-(2**70), 2**70)
scalars = st.none() | st.booleans() | numbers | texts
scalars |= st.floats(allow_nan=False, allow_infinity=False)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=20,
)


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(texts, values, min_size=1, max_size=5))
def test_what_is_written_reads_back(value: Any) -> None:
    whole = exactjson.check(value)

    read = load(dumped(whole), exact=True)

    assert read.problems == []
    assert read.value == whole
    assert list(read.value) == list(whole)


def test_a_merge_key_is_refused_and_its_name_in_quotation_marks_is_not() -> None:
    assert load("a: 1\n<<: {b: 2}\n").problems
    assert load('a: 1\n"<<": 2\n').value == {"a": 1, "<<": 2}


def test_only_exact_reading_takes_numbers_of_any_size() -> None:
    most = f"n: {2**63 - 1}\n"

    assert "too large" in load(most).problems[0].message
    assert load(most, exact=True).value == {"n": 2**63 - 1}


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(texts, values, min_size=2, max_size=5), st.data())
def test_what_is_taken_out_is_gone_and_nothing_else(value: Any, data: st.DataObject) -> None:
    whole = exactjson.check(value)
    gone = data.draw(st.sampled_from(list(whole)))

    left = load(without(dumped(whole), (gone,)), exact=True)

    assert left.problems == []
    assert left.value == {key: inner for key, inner in whole.items() if key != gone}


PERSONS = """# of a person
a: 1   # why one
b: >
  folded
  text

c:
  d: x  # inner
  e: [1,
    2]
f: {g: 1, h: 2}
"""


@pytest.mark.parametrize(
    ("path", "left"),
    [
        (("a",), PERSONS.replace("a: 1   # why one\n", "")),
        (("c", "d"), PERSONS.replace("  d: x  # inner\n", "")),
        (("c", "e"), PERSONS.replace("  e: [1,\n    2]\n", "")),
        (("f",), PERSONS.replace("f: {g: 1, h: 2}\n", "")),
        (("none",), PERSONS),
        (("c", "none", "d"), PERSONS),
    ],
)
def test_a_persons_text_keeps_every_other_letter(path: Any, left: str) -> None:
    assert without(PERSONS, path) == left


@pytest.mark.parametrize(
    ("text", "path", "changed"),
    [
        ("a: # why\nb: 1\n", ("a",), "a: v # why\nb: 1\n"),
        ("a:\n  # why\n\nb: 1\n", ("a",), "a: v\n  # why\n\nb: 1\n"),
        ("x:\n  - a:\n    b: 2\n", ("x", 0, "a"), "x:\n  - a: v\n    b: 2\n"),
        ("b: 1\na:\n", ("a",), "b: 1\na: v\n"),
        ("{a: , b: 1}", ("a",), "{a: v , b: 1}"),
        ("? a\n:\nb: 1\n", ("a",), "? a\n: v\nb: 1\n"),
    ],
)
def test_a_key_without_a_value_gets_it_where_the_key_stands(
    text: str, path: Any, changed: str
) -> None:
    assert patch(text, path, "v") == changed


def test_what_only_a_person_can_take_out_is_left_with_a_word() -> None:
    with pytest.raises(ValueError, match=r"f\.g can't be taken out here"):
        without(PERSONS, ("f", "g"))
    for odd in ("a: [", 'a: "\\UFFFFFFFF"', "[" * 5_000):
        with pytest.raises(ValueError, match="isn't YAML"):
            without(odd, ("a",))


@pytest.mark.parametrize("optional", [True, False])
def test_an_emptied_field_leaves_the_text_if_it_may(optional: bool) -> None:
    sections = [Section("All", (Field(("a",), "A", optional=optional),))]

    text, errors = take(sections, PERSONS, {NEW + "a": " ", OLD + "a": "1"})

    assert ("a" in load(text).value, errors) == (
        (False, {}) if optional else (True, {"a": "It must not be empty."})
    )
