"""Who may do what in the database: tables belong to one role, and the application is another.

The owner of a table can switch its triggers off, so the application must not be it. Its role reads
and writes as the product does, and of tables of evidence (``registry.add_guards``) it may only read
and add to what stands there.
"""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Warning
from django.db import DEFAULT_DB_ALIAS, DatabaseError, connection
from psycopg import sql

from apps.audit.domain.guard import Guard
from apps.audit.selectors import guarding as selectors
from apps.kernel.databases import LIMITS
from apps.kernel.errors import TowerError
from apps.kernel.transactions import command

TABLES = sql.SQL("ALL TABLES IN SCHEMA public")
HINT = "See “Two roles” in docs/deployment.md."


class RoleError(TowerError):
    """A role that can't be the application's. Says why, and what to do."""

    code = "role"


@command
def grant(role: str, *, password: str = "") -> None:
    """Let ``role`` (made with ``password`` if there is none, where one is given) be the
    application's. Said by the owner of the tables; again after each migration. Raises ``RoleError``
    for one that could take its own bounds away."""
    if password:
        _make(role, password)
    if why := selectors.unfit(role):
        raise RoleError(f"The role {role} {why}.")
    name = sql.Identifier(role)
    _run("GRANT CONNECT, TEMPORARY ON DATABASE {} TO {}", sql.Identifier(_database()), name)
    _run("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
    _run("REVOKE ALL ON {} FROM {}", TABLES, name)
    _run("GRANT USAGE ON SCHEMA public TO {}", name)
    _run("GRANT SELECT, INSERT, UPDATE, DELETE ON {} TO {}", TABLES, name)
    _run("GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO {}", name)
    _run("REVOKE INSERT, UPDATE, DELETE ON django_migrations FROM {}", name)
    for guard in selectors.guards():
        _bound(guard, name)
    if settings.POOLER:  # through which no connection brings its own
        for limit, value in LIMITS.items():
            where = name, sql.Identifier(_database()), sql.Identifier(limit)
            _run("ALTER ROLE {} IN DATABASE {} SET {} = {}", *where, sql.Literal(value))


def _bound(guard: Guard, name: sql.Identifier) -> None:
    table = sql.Identifier(guard.table)
    _run("REVOKE UPDATE ON {} FROM {}", table, name)
    if not guard.deletes:
        _run("REVOKE DELETE ON {} FROM {}", table, name)
    if changing := guard.changing(selectors.columns_of(guard.table)):
        columns = sql.SQL(", ").join(map(sql.Identifier, changing))
        _run("GRANT UPDATE ({}) ON {} TO {}", columns, table, name)


def _make(role: str, password: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT FROM pg_roles WHERE rolname = %s", [role])
        known = cursor.fetchone() is not None
    what = "ALTER ROLE {} LOGIN PASSWORD {}" if known else "CREATE ROLE {} LOGIN PASSWORD {}"
    _run(what, sql.Identifier(role), sql.Literal(password))


def _database() -> str:
    return str(connection.settings_dict["NAME"])


def _run(statement: str, *parts: sql.Composable) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql.SQL(statement).format(*parts))


def grant_again(**unused: Any) -> None:
    """After each migration: new tables too are the application's to use, and no more than that.
    The role is named by TOWER_DATABASE_ROLE; without it one role does everything."""
    if settings.DATABASE_ROLE:
        grant(settings.DATABASE_ROLE)


def examine(*, databases: Any = None, **unused: Any) -> list[CheckMessage]:
    """For ``check --database``: in production, an application that could rewrite its evidence is
    warned of."""
    if DEFAULT_DB_ALIAS not in (databases or ()) or settings.ENV != "production":
        return []
    try:
        weak = selectors.weaknesses()
    except DatabaseError:
        return []  # told by whoever needs the database
    return [Warning(one, hint=HINT, id="tower.W001") for one in weak]
