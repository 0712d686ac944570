from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.documents.domain.merging import merge

BASE = "a\nb\nc\nd\ne\n"
TEXTS = st.lists(st.sampled_from("abcd"), max_size=8).map(lambda ls: "".join(f"{x}\n" for x in ls))


@pytest.mark.parametrize(
    ("mine", "theirs", "merged", "conflicts"),
    [
        ("a\nB\nc\nd\ne\n", "a\nb\nc\nD\ne\n", "a\nB\nc\nD\ne\n", []),
        ("a\nB\nc\nd\ne\n", "a\nX\nc\nd\ne\n", "a\nB\nc\nd\ne\n", [(2, "X\n")]),
        ("a\nB\nc\nd\ne\n", "a\nB\nc\nd\ne\n", "a\nB\nc\nd\ne\n", []),
        ("a\nc\nd\ne\n", "a\nb\nc\nd\nE\n", "a\nc\nd\nE\n", []),
        ("new\n" + BASE, BASE + "end\n", "new\n" + BASE + "end\n", []),
        ("a\nb\nc\nd\ne", BASE + "f\n", "a\nb\nc\nd\ne", [(5, "e\nf\n")]),
        ("", "a\nX\nc\nd\ne\n", "", [(1, "X\n")]),
    ],
)
def test_what_both_changed_is_put_together(
    mine: str, theirs: str, merged: str, conflicts: list[tuple[int, str]]
) -> None:
    found = merge(BASE, mine, theirs)

    assert found.text == merged
    assert [c for c in found.conflicts if c[1]] == conflicts or merged == ""


@given(TEXTS, TEXTS)
def test_who_changes_nothing_changes_nothing(base: str, other: str) -> None:
    for found in (merge(base, other, base), merge(base, base, other), merge(base, other, other)):
        assert found.text == other
        assert found.conflicts == ()


@given(TEXTS, TEXTS, TEXTS)
def test_without_a_conflict_it_is_the_same_from_both_sides(base: str, one: str, two: str) -> None:
    found, mirrored = merge(base, one, two), merge(base, two, one)

    assert len(found.conflicts) == len(mirrored.conflicts)
    if not found.conflicts:
        assert found.text == mirrored.text
