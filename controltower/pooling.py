"""PostgreSQL behind a pooler in transaction mode (``TOWER_POOLER=transaction``).

Each transaction may get another connection of the server, so nothing that is set for a connection
holds: the limits on what hangs are given to the role instead, and a pooler that nobody has told the
tower of is refused in words. The product itself keeps nothing in a connection: its advisory locks
are those of transactions, it neither listens nor prepares.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import psycopg
from django.conf import settings
from django.core.checks import CheckMessage, Error
from django.db import DEFAULT_DB_ALIAS, connection, transaction
from psycopg import sql

from apps.kernel.databases import LIMITS, STATEMENT_POOLING, Pooling, pooling

ADVICE = (
    "Set TOWER_POOLER=transaction for every process of the tower, or name PostgreSQL itself in"
    " DATABASE_URL."
)
UNTOLD = (
    "DATABASE_URL leads to a pooler (PgBouncer) that doesn't pass on what a connection begins with,"
    " so that no limit on what hangs would hold."
)


def examine(*, databases: Sequence[str] | None = None, **unused: Any) -> list[CheckMessage]:
    """A pooler that the tower isn't told of, or can't work with, is an error with the reason."""
    if DEFAULT_DB_ALIAS not in (databases or ()):
        return []
    try:
        found = pooling(_parameters())
    except psycopg.Error:
        return []  # told by whoever needs the database
    if found is Pooling.STATEMENT:
        return [Error(STATEMENT_POOLING, id="tower.E002")]
    if found is Pooling.TRANSACTION and not settings.POOLER:
        return [Error(UNTOLD, hint=ADVICE, id="tower.E001")]
    return []


def _parameters() -> dict[str, str]:
    known = connection.settings_dict
    names = {"dbname": "NAME", "user": "USER", "password": "PASSWORD", "host": "HOST"}
    named = {key: known[name] for key, name in {**names, "port": "PORT"}.items() if known[name]}
    options = {k: v for k, v in known["OPTIONS"].items() if k not in {"pool", "options"}}
    return {**options, **named}


def keep_limits(**unused: Any) -> None:
    """Give the role, in this database, the limits that a connection can't bring through a pooler.
    Connections that the pooler has open already are closed, so that it makes new ones, but for the
    one that says this, which takes the limits at once."""
    if not settings.POOLER:
        return
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            "SELECT current_user, current_database(), current_setting('statement_timeout')"
        )
        role, database, is_set = cursor.fetchone()
        if is_set != "0":
            return
        for name, value in LIMITS.items():
            where = sql.Identifier(role), sql.Identifier(database), sql.Identifier(name)
            cursor.execute(
                sql.SQL("ALTER ROLE {} IN DATABASE {} SET {} = {}").format(
                    *where, sql.Literal(value)
                )
            )
            cursor.execute(sql.SQL("SET {} = {}").format(where[2], sql.Literal(value)))
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = current_user"
            " AND datname = current_database() AND state = 'idle' AND pid <> pg_backend_pid()"
        )
