from __future__ import annotations

from collections.abc import Sequence

import pytest
from django.db import OperationalError
from hypothesis import given
from hypothesis import strategies as st

from apps.kernel import apart
from apps.kernel.apart import MOST_AT_ONCE, Aside, deal, in_halves


class Panic(BaseException):
    """What a library in Rust raises when it panics is no Exception."""


@given(st.integers(0, 200), st.sets(st.integers(0, 199), max_size=12))
def test_each_that_makes_trouble_is_found_and_the_others_are_done_once(
    n: int, bad: set[int]
) -> None:
    tries = 0

    def act(some: Sequence[int]) -> list[int]:
        nonlocal tries
        tries += 1
        if bad & set(some):
            raise Panic
        return list(some)

    done = in_halves(range(n), act, lambda one, _: [-one - 1])

    assert done == [-i - 1 if i in bad else i for i in range(n)]
    found = len(bad & set(range(n)))
    assert tries <= 1 + found * 2 * n.bit_length()


def test_what_is_no_row_s_trouble_ends_it() -> None:
    done: list[int] = []

    def act(some: Sequence[int]) -> list[int]:
        if 3 in some and len(some) < 3:
            raise OperationalError("away")
        if 3 in some:
            raise ValueError
        done.extend(some)
        return []

    with pytest.raises(OperationalError):
        in_halves(range(8), act, lambda *_: [])
    assert done == [0, 1]


def refuse(*bad: int) -> object:
    def act(some: Sequence[int]) -> list[int]:
        if set(bad) & set(some):
            raise ValueError(f"no {sorted(set(bad) & set(some))}")
        return list(some)

    return act


def test_what_is_set_aside_is_told_and_tried_again_later(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(apart.time, "monotonic", lambda: now)
    aside = Aside("row")

    assert deal(range(5), refuse(2, 4), aside) == [0, 1, 3]

    assert aside.left_alone() == [2, 4]
    assert [(what, str(error)) for what, error in aside.told()] == [
        ("row 2", "no [2]"),
        ("row 4", "no [4]"),
    ]
    assert all(error.__traceback__ is None for _, error in aside.told())
    now += apart.AGAIN_S
    assert aside.left_alone() == []
    assert deal([2, 4], refuse(4), aside) == [2]
    assert aside.left_alone() == [4]


def test_a_lesser_way_that_works_is_taken() -> None:
    aside = Aside("row")

    def second(one: int, error: BaseException) -> list[str]:
        return [f"{one}: {error}"]

    def first(one: int, error: BaseException) -> list[str]:
        raise KeyError(one)

    assert deal([1, 2, 3], refuse(2), aside, lesser=[first, second]) == [1, "2: no [2]", 3]
    assert aside.left_alone() == []


def test_too_many_at_once_are_no_row_s_trouble_and_hold_nobody_up_for_ever() -> None:
    aside = Aside("row")
    everything = range(200)

    with pytest.raises(ValueError, match="no"):
        deal(everything, refuse(*range(150)), aside)
    assert len(aside.left_alone()) == MOST_AT_ONCE + 1

    for _ in range(2):
        rest = [i for i in everything if i not in aside.left_alone()]
        try:
            done = deal(rest, refuse(*range(150)), aside)
        except ValueError:
            continue
    assert done == list(range(150, 200))
