"""Rows that PostgreSQL refuses: a trigger of the tests' own, since the schema knows no such row."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

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
