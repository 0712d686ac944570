"""What somebody does who is the database's owner or superuser: past triggers and grants."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import wraps
from typing import Any

from django.core.management.color import no_style
from django.core.management.commands import flush
from django.db import OperationalError, connection, transaction
from django.db.backends.postgresql.operations import DatabaseOperations

from apps.audit import registry

FEW = 2_000  # rows of one table: with more of them, TRUNCATE is quicker
OF_MODELS = {"django_content_type", "auth_permission"}  # filled when tables are made

# What a migration made, and product code looks for.
FIRST_TEAM = """
INSERT INTO accounts_team (name, domains, jobs, takes_new) VALUES ('Everyone', '[]', '[]', true)
ON CONFLICT DO NOTHING;
"""


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
    """Tests that commit leave with all tables emptied, which triggers refuse to everybody.

    Django truncates every table after each such test and tells the apps that they were made
    anew, which takes longer than most of the tests. Here only those that hold something are
    emptied, row by row where they are few, and what Django's own tables say of models stays. The
    constraints between tables are deferred, so the order doesn't matter; they are asked before
    triggers are back.
    """
    truncate = DatabaseOperations.sql_flush

    def names(self: Any, style: Any, tables: Any, **options: Any) -> list[str]:
        assert not options.get("reset_sequences"), "no test looks at what a sequence gives"
        return sorted(set(tables) - OF_MODELS)

    def empty(self: Any, tables: list[str]) -> None:
        """A page that is still being served writes before the tables are counted, or once they are
        emptied: nothing comes between."""
        with transaction.atomic(using=self.connection.alias), self.connection.cursor() as cursor:
            cursor.execute(f"LOCK TABLE {', '.join(tables)} IN SHARE ROW EXCLUSIVE MODE")
            held = _rows(cursor, tables)
            some = tables if any(rows > FEW for rows in held.values()) else sorted(held)
            clear = [f"DELETE FROM {self.quote_name(table)};" for table in some]
            if some is tables:
                clear = truncate(self, no_style(), tables)
            for statement in _past_guards(clear, some):
                cursor.execute(statement)

    def nothing_new(*args: Any, **options: Any) -> None:
        """No app is told that tables were made: none was."""

    DatabaseOperations.sql_flush = names  # type: ignore[method-assign]
    DatabaseOperations.execute_sql_flush = _past_deadlocks(empty)  # type: ignore[method-assign]
    flush.emit_post_migrate_signal = nothing_new


def _past_guards(clear: list[str], tables: list[str]) -> list[str]:
    """Statements that empty these tables, whatever their triggers say; the first team is there."""
    guarded = sorted({guard.table for guard in registry.guards()} & set(tables))
    off, on = (
        [f"ALTER TABLE {table} {how} TRIGGER USER;" for table in guarded]
        for how in ("DISABLE", "ENABLE")
    )
    return [*off, *clear, "SET CONSTRAINTS ALL IMMEDIATE;", *on, FIRST_TEAM]


def _past_deadlocks(empty: Callable[..., None]) -> Callable[..., None]:
    """A page that is still being served locks what it likes. When it is neither's turn, PostgreSQL
    ends one of the two, which may be ours: the other is done a moment later."""

    @wraps(empty)
    def again(*args: Any) -> None:
        for _ in range(5):
            with suppress(OperationalError):
                return empty(*args)
        return empty(*args)

    return again


def _rows(cursor: Any, tables: list[str]) -> dict[str, int]:
    """How many rows each of the tables holds that hold any; counted no further than it matters."""
    counts = " UNION ALL ".join(
        f"SELECT '{table}', count(*) FROM (SELECT FROM {table} LIMIT {FEW + 1}) AS few"
        for table in tables
    )
    cursor.execute(counts)
    return {table: rows for table, rows in cursor.fetchall() if rows}
