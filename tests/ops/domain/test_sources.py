"""Where each value of a call was seen: as a word of its own, the latest place first."""

from __future__ import annotations

import time
from typing import Any

import pytest

from apps.ops.domain.sources import (
    MOST_ALTOGETHER,
    MOST_CHARACTERS,
    MOST_VALUES,
    SeenAt,
    sources,
    texts_of,
)

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
        ("İ3", []),
        ("nowhere", []),
    ],
)
def test_a_value_is_found_as_a_word_of_its_own(value: Any, places: list[str]) -> None:
    assert found(value) == places


def test_every_value_has_its_path_and_flags_are_left_out() -> None:
    told = sources({"a": {"b": ["x1", {"c": 7}]}, "d": True, "e": None, "f": " ", "g": "Y"}, [])

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


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("ISTANBUL", "an istanbul flight"),
        ("fix", "\u0130 FIX it"),
        ("fix", "f\u0131x"),
        ("Σx1", "ςX1"),
    ],
)
def test_case_is_no_matter_whatever_the_alphabet(value: str, text: str) -> None:
    (source,) = sources({"a": value}, [SeenAt("agent, message 1", (text,))])
    assert source.places


def test_what_was_not_searched_is_not_said_to_be_without_it() -> None:
    within, beyond = "x" * (MOST_CHARACTERS - 3) + " v7", "x" * MOST_CHARACTERS + " v7"
    last, first = SeenAt("read by a", ("y" * MOST_CHARACTERS,)), SeenAt("message 1", ("v7",))

    def told(*places: SeenAt) -> tuple[int, bool]:
        (source,) = sources({"a": "v7"}, places)
        return len(source.places), source.is_all_searched

    assert told(SeenAt("message 1", (within,))) == (1, True)
    assert told(SeenAt("message 1", (beyond,))) == (0, False)
    assert told(SeenAt("message 1", ("y" * MOST_CHARACTERS, "v7"))) == (0, False)
    assert told(first, last) == (1, True)
    assert told(first, *[last] * (MOST_ALTOGETHER // MOST_CHARACTERS)) == (0, False)


def test_many_values_in_much_text_take_no_time() -> None:
    text = "abcdefgh ijk " * (MOST_CHARACTERS // 13)
    values = {str(i): f"w{i}" + "x" * 20 for i in range(MOST_VALUES)}

    began = time.process_time()
    assert len(sources(values, [SeenAt("read by a", (text,))] * 20)) == MOST_VALUES
    assert time.process_time() - began < 1, "with a regular expression for each it took five"
