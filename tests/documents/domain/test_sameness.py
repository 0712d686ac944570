from __future__ import annotations

import pytest

from apps.documents.domain.sameness import same


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        ("a: 1\nb: 2\n", "# why\nb: 2\na: 1\n", True),
        ("a: 60000\n", "a: 6.0e4\n", True),
        ("a: 1\n", "a: true\n", False),
        ("a: '1'\n", "a: 1\n", False),
        ("a: [1, 2]\n", "a: [2, 1]\n", False),
        ("a: [", "a: [", True),
        ("a: [", "a: [ ", False),
        ('a: "\\ud800"\n', "a: x\n", False),
        ('{"a": {"b": 1}}', "a:\n  b: 1\n", True),
    ],
)
def test_texts_are_the_same_by_their_values(one: str, other: str, is_same: bool) -> None:
    assert same(one, other) is is_same
