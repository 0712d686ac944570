"""Rows that PostgreSQL refuses: a trigger of the tests' own, since the schema knows no such row."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from uuid import UUID

from django.db import connection


@contextmanager
def refused(table: str, condition: str, *, on: str = "UPDATE") -> Iterator[None]:
    """While this holds, PostgreSQL refuses rows of ``table`` of which ``condition`` (on NEW) is
    so."""
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE FUNCTION tests_refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
            f" IF {condition} THEN RAISE 'this row is <b>hostile</b>'; END IF; RETURN NEW;"
            " END $$;"
            f" CREATE TRIGGER tests_refuse BEFORE {on} ON {table}"
            " FOR EACH ROW EXECUTE FUNCTION tests_refuse()"
        )
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute(f"DROP TRIGGER tests_refuse ON {table}; DROP FUNCTION tests_refuse()")


def is_one_of(ids: Sequence[UUID], column: str = "id") -> str:
    """The condition that ``refused`` takes for rows of these ids."""
    return f"NEW.{column} IN ({', '.join(repr(str(i)) for i in ids)})"


def states(rows: Sequence[Any]) -> list[str]:
    """The states of these rows as they stand now."""
    found = {row.pk: row.state for row in type(rows[0]).objects.all()}
    return [found[row.pk] for row in rows]
