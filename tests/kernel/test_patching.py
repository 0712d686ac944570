"""A value written as YAML text reads back the same, to the digit and the letter."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from apps.kernel import exactjson
from apps.kernel.documents import load
from apps.kernel.patching import dumped

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
