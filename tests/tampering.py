"""What somebody does who is the database's owner or superuser: past triggers and grants."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connection
from django.db.backends.postgresql.operations import DatabaseOperations

from apps.audit import registry


@contextmanager
def past_triggers(*tables: str) -> Iterator[None]:
    """With the triggers of these tables switched off, as their owner may."""
    _switch(tables, "DISABLE")
    try:
        yield
    finally:
        _switch(tables, "ENABLE")


def _switch(tables: tuple[str, ...], how: str) -> None:
    with connection.cursor() as cursor:
        if connection.in_atomic_block:
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        for table in tables:
            cursor.execute(f"ALTER TABLE {table} {how} TRIGGER USER")


def let_tests_empty_tables() -> None:
    """Tests that commit leave with all tables emptied, which triggers refuse to everybody."""
    empty = DatabaseOperations.sql_flush

    def past(self: Any, style: Any, tables: Any, **options: Any) -> list[str]:
        guarded = sorted({guard.table for guard in registry.guards()} & set(tables))
        off, on = (
            [f"ALTER TABLE {table} {how} TRIGGER USER;" for table in guarded]
            for how in ("DISABLE", "ENABLE")
        )
        return [*off, *empty(self, style, tables, **options), *on]

    DatabaseOperations.sql_flush = past  # type: ignore[method-assign]  # for tests only
