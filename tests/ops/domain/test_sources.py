"""Where each value of a call was seen: as a word of its own, the latest place first."""

from __future__ import annotations

from typing import Any

import pytest

from apps.ops.domain.sources import MOST_VALUES, SeenAt, sources, texts_of

SAID = SeenAt("customer, message 1", ("Cancel Q69X3R please, I paid 150.50 for 3 bags.",))
READ = SeenAt("read by get_reservation", ('{"id": "Q69X3R", "bags": 3, "card": "card_12"}',), 2)


def found(value: Any) -> list[str]:
    (source,) = sources({"a": value}, [SAID, READ])
    return [place.words for place in source.places]


@pytest.mark.parametrize(
    ("value", "places"),
    [
        ("Q69X3R", [READ.words, SAID.words]),
        ("q69x3r", [READ.words, SAID.words]),
        (3, [READ.words, SAID.words]),
        (150.5, []),
        ("150.50", [SAID.words]),
        ("card_1", []),
        ("card_12", [READ.words]),
        (1, []),
        ("X3R", []),
        ("a", []),
        ("nowhere", []),
    ],
)
def test_a_value_is_found_as_a_word_of_its_own(value: Any, places: list[str]) -> None:
    assert found(value) == places


def test_every_value_has_its_path_and_flags_are_left_out() -> None:
    told = sources({"a": {"b": ["x1", {"c": 7}]}, "d": True, "e": None, "f": " "}, [])

    assert [(s.path, s.value, s.places) for s in told] == [
        ("a.b[0]", "x1", ()),
        ("a.b[1].c", "7", ()),
    ]


def test_what_comes_from_outside_is_bounded() -> None:
    deep: Any = "x1"
    for _ in range(5_000):
        deep = [deep]

    assert len(sources(deep, [])) == 1
    assert len(sources(list(range(10_000)), [])) == MOST_VALUES
    assert texts_of({"a": [1, "two"], "b": None}) == ("1", "two")
