"""A key of the list is what an order could have given, or nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.oversight.domain.sorting import DECIDED, SORTS, WORDS, key_of

AT = "2026-11-28T10:00:00+00:00"
ID = "01900000-0000-7000-8000-000000000001"
GOOD = {
    "due": f"{AT}~3~{AT}~{ID}",
    "risk": f"3~{AT}~{ID}",
    "amount": f"-1~{AT}~{ID}",
    "oldest": f"{AT}~{ID}",
    "newest": f"{AT}~{ID}",
}


def test_every_order_has_words_and_ends_with_the_id() -> None:
    assert WORDS.keys() == SORTS.keys() == GOOD.keys()
    assert all(fields[-1].name == "id" for fields in [*SORTS.values(), DECIDED])


@pytest.mark.parametrize("sort", SORTS)
def test_a_key_is_read(sort: str) -> None:
    assert key_of(GOOD[sort], SORTS[sort]) == tuple(GOOD[sort].split("~"))
    assert key_of(GOOD[sort].replace("+", " "), SORTS[sort])[-1] == ID


def test_whatever_a_key_writes_comes_in_one_spelling_with_a_zone() -> None:
    loose = f"0٣~2026-11-28T10:00:00~{ID.replace('-', '').upper()}"
    assert key_of(loose, SORTS["risk"]) == ("3", AT, ID)


@pytest.mark.parametrize("sort", SORTS)
@pytest.mark.parametrize(
    "spoil",
    [
        lambda key: key.replace(AT, "yesterday"),
        lambda key: key.replace(ID, "1"),
        lambda key: f"{key}~{ID}",
        lambda key: key.rpartition("~")[0],
        lambda key: "",
        lambda key: key.replace("3~", "9" * 30 + "~").replace("-1~", "x~"),
    ],
)
def test_a_spoilt_key_is_none(sort: str, spoil: object) -> None:
    spoilt = spoil(GOOD[sort])  # type: ignore[operator]

    assert spoilt == GOOD[sort] or key_of(spoilt, SORTS[sort]) == ()


@given(st.text(max_size=200))
def test_any_key_may_stand_in_an_address(text: str) -> None:
    for fields in SORTS.values():
        assert len(key_of(text, fields)) in {0, len(fields)}
