"""Whether the application could rewrite what it must only add to."""

from __future__ import annotations

from apps.audit import registry
from apps.audit.domain.guard import Guard
from apps.kernel.statements import fetch

_OWNED = """
    SELECT c.relname FROM pg_class c WHERE c.oid = ANY(%s::regclass[])
        AND pg_has_role(%s, c.relowner, 'MEMBER') ORDER BY 1
"""
# Whoever owns a schema may drop what others own in it, and whoever owns what a trigger calls may
# make it do nothing.
_AROUND = """
    SELECT 'the schema ' || n.nspname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.oid = ANY(%(tables)s::regclass[]) AND pg_has_role(%(role)s, n.nspowner, 'MEMBER')
    UNION SELECT 'the function ' || p.proname FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid
    WHERE t.tgrelid = ANY(%(tables)s::regclass[]) AND NOT t.tgisinternal
        AND pg_has_role(%(role)s, p.proowner, 'MEMBER')
    ORDER BY 1
"""
# What a trigger hears of, as bits of tgtype: DELETE 8, UPDATE 16, TRUNCATE 32.
_HEARS = """
    SELECT c.relname, coalesce(bit_or(t.tgtype & 56), 0) FROM pg_class c
    LEFT JOIN pg_trigger t ON t.tgrelid = c.oid AND NOT t.tgisinternal AND t.tgenabled IN ('O', 'A')
        AND t.tgtype & 2 = 2  -- before it is done
    WHERE c.oid = ANY(%s::regclass[]) GROUP BY 1 ORDER BY 1
"""
_MAY = """
    SELECT n, has_table_privilege(n, 'TRUNCATE') OR has_table_privilege(n, 'TRIGGER'),
        has_table_privilege(n, 'DELETE'), ARRAY(SELECT a.attname::text FROM pg_attribute a
            WHERE a.attrelid = n::regclass AND a.attnum > 0 AND NOT a.attisdropped
            AND has_column_privilege(n, a.attname, 'UPDATE'))
    FROM unnest(%s::text[]) AS n ORDER BY n
"""


def columns_of(table: str) -> list[str]:
    """The names of a table's columns."""
    rows = fetch(
        "SELECT attname::text FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0"
        " AND NOT attisdropped ORDER BY attnum",
        [table],
    )
    return [row[0] for row in rows]


def unfit(role: str) -> str:
    """Why a role can't be the application's, as the end of a sentence; empty if it can."""
    rows = fetch("SELECT rolsuper, rolcreaterole FROM pg_roles WHERE rolname = %s", [role])
    if not rows:
        return "is not there: have its password asked for (--password-file), or make it"
    if rows[0][0]:
        return "is a superuser, whom nothing is refused: name another"
    if owned := fetch(_OWNED, [_tables(), role]):
        return f"owns {owned[0][0]}, or may become who does: name another"
    if around := fetch(_AROUND, {"tables": _tables(), "role": role}):
        return f"owns {around[0][0]}, or may become who does: give it to the tables' owner"
    if rows[0][1]:
        return "may make roles, and so become another: take CREATEROLE from it"
    return ""


def weaknesses() -> list[str]:
    """Sentences on how the role of this very connection could rewrite evidence, or what would not
    be refused to the owner of the tables; none if it can only add."""
    [[role]] = fetch("SELECT current_user::text", [])
    return [*_of_role(role), *_of_triggers()]


def _of_role(role: str) -> list[str]:
    if why := unfit(role):
        return [f"The application's role {role} {why.partition(':')[0]}."]
    known = {guard.table: guard for guard in guards()}
    rows = fetch(_MAY, [_tables()])
    wide = [name for name, *may in rows if _is_too_much(known[name], *may)]
    if not wide:
        return []
    return [f"The application's role {role} may change what is only to be added to: {_some(wide)}."]


def _is_too_much(guard: Guard, empties: bool, deletes: bool, updates: list[str]) -> bool:
    allowed = set(guard.changing(updates))
    return empties or (deletes and not guard.deletes) or not set(updates) <= allowed


def _of_triggers() -> list[str]:
    lacking = [name for name, hears in fetch(_HEARS, [_tables()]) if hears & 40 != 40]
    if not lacking:
        return []
    return [f"The triggers that refuse changes are missing or switched off on {_some(lacking)}."]


def guards() -> list[Guard]:
    """Those whose tables are there: not yet all are, half way through the migrations."""
    rows = fetch(
        "SELECT n FROM unnest(%s::text[]) AS n WHERE to_regclass(n) IS NOT NULL",
        [[guard.table for guard in registry.guards()]],
    )
    there = {row[0] for row in rows}
    return [guard for guard in registry.guards() if guard.table in there]


def _tables() -> list[str]:
    return [guard.table for guard in guards()]


def _some(names: list[str]) -> str:
    return ", ".join(names)
