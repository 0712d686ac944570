"""What somebody does who is the database's owner or superuser: past triggers and grants."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import wraps
from typing import Any

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

    def empty(self: Any, style: Any, tables: Any, **options: Any) -> list[str]:
        held = _rows(self.connection, sorted(set(tables) - OF_MODELS))
        if not held:
            return []
        guarded = sorted({guard.table for guard in registry.guards()} & set(tables))
        if options.get("reset_sequences") or max(held.values()) > FEW:
            clear = truncate(self, style, tables, **options)
        else:
            guarded = [table for table in guarded if table in held]
            clear = [f"DELETE FROM {self.quote_name(table)};" for table in held]
        off, on = (
            [f"ALTER TABLE {table} {how} TRIGGER USER;" for table in guarded]
            for how in ("DISABLE", "ENABLE")
        )
        made_anew = [FIRST_TEAM] if "accounts_team" in tables else []
        return [*off, *clear, "SET CONSTRAINTS ALL IMMEDIATE;", *on, *made_anew]

    def nothing_new(*args: Any, **options: Any) -> None:
        """No app is told that tables were made: none was."""

    execute = DatabaseOperations.execute_sql_flush
    DatabaseOperations.sql_flush = _past_deadlocks(empty)  # type: ignore[method-assign]
    DatabaseOperations.execute_sql_flush = _past_deadlocks(execute)  # type: ignore[method-assign]
    flush.emit_post_migrate_signal = nothing_new


def _past_deadlocks(empty: Callable[..., Any]) -> Callable[..., Any]:
    """A page that is still being served locks what it likes. When it is neither's turn, PostgreSQL
    ends one of the two, which may be ours: the other is done a moment later."""

    @wraps(empty)
    def again(*args: Any, **options: Any) -> Any:
        for _ in range(5):
            with suppress(OperationalError):
                return empty(*args, **options)
        return empty(*args, **options)

    return again


def _rows(database: Any, tables: list[str]) -> dict[str, int]:
    """How many rows each of the tables holds that hold any; counted no further than it matters, and
    once nobody is writing any more: what a thread or a page is about to commit is emptied too."""
    counts = " UNION ALL ".join(
        f"SELECT '{table}', count(*) FROM (SELECT FROM {table} LIMIT {FEW + 1}) AS few"
        for table in tables
    )
    with transaction.atomic(using=database.alias), database.cursor() as cursor:
        cursor.execute(f"LOCK TABLE {', '.join(tables)} IN SHARE MODE")
        cursor.execute(counts)
        return {table: rows for table, rows in cursor.fetchall() if rows}
