"""Multi-row statements beside the ORM, in Django's own connection and transaction.

For hot paths only. Parameters are bound by the server and statements are prepared once a
connection. Rows travel as one JSON parameter (``jsonb_to_recordset``): one round trip and one plan
however many there are. A row may be a dataclass: its fields are the columns, named once, and the
type checker sees whoever fills them.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from datetime import datetime
from decimal import Decimal
from functools import cache
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints
from uuid import UUID

import orjson
import psycopg
from django.db import connection

from apps.kernel import exactjson

Row = Mapping[str, Any]
_SQL: dict[object, str] = {
    UUID: "uuid",
    int: "bigint",
    float: "float",
    bool: "boolean",
    str: "text",
    datetime: "timestamptz",
}
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


def database_now() -> datetime:
    """The database's clock at this very moment: the only one that decides what is in time."""
    moment: datetime = fetch("SELECT clock_timestamp()", [])[0][0]
    return moment


def rows_as_json(rows: Iterable[Any]) -> str:
    """Rows, mappings or dataclasses, as the parameter of ``jsonb_to_recordset``."""
    return to_json(list(rows))


@cache
def columns(*rows: type) -> dict[str, str]:
    """The fields of these dataclasses, each once, with their types in SQL: what is no plain value
    is ``jsonb``. An integer fits any narrower column that it is written to, or is refused there."""
    hints = {name: hint for row in rows for name, hint in get_type_hints(row).items()}
    return {name: _SQL.get(_without_none(hint), "jsonb") for name, hint in hints.items()}


def _without_none(hint: object) -> object:
    if get_origin(hint) not in {Union, UnionType}:  # list[str] is no str
        return hint
    left = [one for one in get_args(hint) if one is not type(None)]
    return left[0] if len(left) == 1 else hint


def record(*rows: type) -> str:
    """What ``jsonb_to_recordset(…) AS`` is told of these rows: ``v(id uuid, …)``."""
    told = ", ".join(f"{name} {kind}" for name, kind in columns(*rows).items())
    return f"v({told})"


def names(row: type, *, but: Container[str] = (), of: str = "") -> str:
    """The columns of a row for a statement, each with ``of`` before it."""
    return ", ".join(f"{of}{name}" for name in columns(row) if name not in but)


def to_json(value: Any) -> str:
    """A value as text for ``jsonb``, with every digit of its numbers. What JSON has no type for is
    written as text; an ``orjson.Fragment`` is JSON already. ``jsonb`` can't hold the character NUL
    nor half a surrogate pair: a mark stands where one stood, since a row is never refused here."""
    try:
        written = orjson.dumps(value, default=_plain, option=orjson.OPT_NON_STR_KEYS)
    except orjson.JSONEncodeError:  # huge integers, half a surrogate pair
        written = orjson.dumps(_orderly(value), default=_plain, option=orjson.OPT_NON_STR_KEYS)
    if _NUL in written:
        written = written.replace(_NUL, _REPLACEMENT)
    return written.decode()


def _plain(value: Any) -> Any:
    return exactjson.decimal_json(value) if isinstance(value, Decimal) else str(value)


def _orderly(value: Any) -> Any:
    """A copy that the fast writer takes."""
    if isinstance(value, Mapping):
        return {_orderly(k) if isinstance(k, str) else k: _orderly(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_orderly(v) for v in value]
    if isinstance(value, str):
        return value.encode(errors="replace").decode()
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: _orderly(getattr(value, f.name)) for f in fields(value)}
    return exactjson.with_long_integers(value)


def from_json(value: Any) -> Any:
    """A ``jsonb`` column as Django's connection hands it over (text) as a value."""
    return exactjson.read_stored(value) if isinstance(value, str | bytes) else value


def from_json_whole(value: Any) -> Any:
    """The same for what will be acted upon: raises ``NotCarriedError`` for what can't be read as it
    was written."""
    return exactjson.read_whole(value) if isinstance(value, str | bytes) else value


def _cursor() -> psycopg.Cursor[tuple[Any, ...]]:
    connection.ensure_connection()
    return psycopg.Cursor(connection.connection)
