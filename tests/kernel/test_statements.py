from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

import pytest
from django.db import IntegrityError, connection, transaction
from hypothesis import given
from hypothesis import strategies as st

from apps.kernel import statements

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)


@given(values)
def test_a_value_comes_back_as_it_was_written_but_for_nul(value: object) -> None:
    read = json.loads(statements.to_json(value))

    assert read == json.loads(json.dumps(value).replace("\\u0000", "\\ufffd"))


def test_what_json_can_not_hold_is_written_as_text() -> None:
    assert json.loads(statements.to_json({"id": UUID(int=1), "half": "\ud800", "n": 2**70})) == {
        "id": str(UUID(int=1)),
        "half": "?",
        "n": 2**70,
    }


@pytest.mark.django_db
def test_statements_share_djangos_transaction_and_its_errors() -> None:
    with transaction.atomic():
        rows = statements.rows_as_json([{"a": 1}, {"a": 2}])
        found = statements.fetch(
            "SELECT v.a FROM jsonb_to_recordset(%s::jsonb) AS v(a int) ORDER BY 1", [rows]
        )
        assert found == [(1,), (2,)]
        statements.execute("CREATE TEMP TABLE once (a int PRIMARY KEY) ON COMMIT DROP", [])
        assert statements.execute("INSERT INTO once VALUES (%s), (2)", [1]) == 2
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM once")
            assert cursor.fetchone() == (2,)
        with pytest.raises(IntegrityError), transaction.atomic():
            statements.execute("INSERT INTO once VALUES (%s)", [1])


@dataclass
class Kept:
    n: int
    word: str | None
    words: list[str]
    more: Mapping[str, int]


def test_a_rows_columns_are_typed_by_its_fields() -> None:
    assert statements.columns(Kept) == {
        "n": "bigint",
        "word": "text",
        "words": "jsonb",
        "more": "jsonb",
    }
    assert statements.record(Kept) == "v(n bigint, word text, words jsonb, more jsonb)"
    assert statements.names(Kept, but={"more"}, of="v.") == "v.n, v.word, v.words"
