"""Typed rows travel as what their fields say, through the real database."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

import pytest

from apps.kernel.statements import columns, fetch, from_json, names, record, rows_as_json


@dataclass(slots=True)
class Thing:
    id: UUID
    count: int | None
    share: float
    is_new: bool
    words: str
    more: dict[str, Any] | None = None


@dataclass(slots=True)
class Mark:
    id: UUID
    mark: str


def test_the_columns_of_several_rows_are_told_once_each() -> None:
    assert record(Thing, Mark) == (
        "v(id uuid, count bigint, share float, is_new boolean, words text, more jsonb, mark text)"
    )
    assert list(columns(Mark)) == ["id", "mark"]
    assert names(Thing, but={"id", "more"}, of="v.") == "v.count, v.share, v.is_new, v.words"


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("words", "more", "kept"),
    [
        ("ä", {"n": [1, None]}, ("ä", {"n": [1, None]})),
        ("half \ud83d", {"n": 2**70}, ("half ?", {"n": 2**70})),  # what the fast writer refuses
        ("nul \0", None, ("nul \ufffd", None)),
    ],
)
def test_a_row_arrives_as_it_was(words: str, more: Any, kept: tuple[str, Any]) -> None:
    row = Thing(UUID(int=7), None, 0.5, True, words, more)

    [found] = fetch(
        f"SELECT * FROM jsonb_to_recordset(%s::jsonb) AS {record(Thing)}", [rows_as_json([row])]
    )

    assert found[:4] == (UUID(int=7), None, 0.5, True)
    assert (found[4], from_json(found[5])) == kept
