"""Multi-row statements beside the ORM, in Django's own connection and transaction.

For hot paths only. Parameters are bound by the server and statements are prepared once a
connection. Rows travel as one JSON parameter (``jsonb_to_recordset``): one round trip and one plan
however many there are.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson
import psycopg
from django.db import connection

Row = Mapping[str, Any]
_NUL, _REPLACEMENT = b"\\u0000", b"\\ufffd"


def fetch(sql: str, params: Sequence[Any] | Mapping[str, Any]) -> list[tuple[Any, ...]]:
    """Run a statement; its rows, or none for one that returns nothing. Raises Django's database
    errors."""
    with _cursor() as cursor, connection.wrap_database_errors:
        cursor.execute(sql, params)
        # Not cursor.description, which would describe each column anew.
        return cursor.fetchall() if cursor.pgresult and cursor.pgresult.nfields else []


def execute(sql: str, params: Sequence[Any] | Mapping[str, Any]) -> int:
    """Run a statement; how many rows it touched. Raises Django's database errors."""
    with _cursor() as cursor, connection.wrap_database_errors:
        cursor.execute(sql, params)
        return cursor.rowcount


def rows_as_json(rows: Iterable[Row]) -> str:
    """Rows as the parameter of ``jsonb_to_recordset``."""
    return to_json(list(rows))


def to_json(value: Any) -> str:
    """A value as text for ``jsonb``, which can't hold the character NUL. What JSON has no type for
    is written as text; an ``orjson.Fragment`` is JSON already."""
    try:
        written = orjson.dumps(value, default=str, option=orjson.OPT_NON_STR_KEYS)
    except orjson.JSONEncodeError:  # huge integers, half a surrogate pair
        written = json.dumps(value, default=_plain, ensure_ascii=False).encode(errors="replace")
    if _NUL in written:
        written = written.replace(_NUL, _REPLACEMENT)
    return written.decode()


def _plain(value: Any) -> Any:
    return orjson.loads(value.contents) if isinstance(value, orjson.Fragment) else str(value)


def from_json(value: Any) -> Any:
    """A ``jsonb`` column as Django's connection hands it over (text) as a value."""
    return orjson.loads(value) if isinstance(value, str | bytes) else value


def _cursor() -> psycopg.Cursor[tuple[Any, ...]]:
    connection.ensure_connection()
    return psycopg.Cursor(connection.connection)
