"""Typed rows of multi-row statements: the fields of a dataclass are the columns that it travels in.

``jsonb_to_recordset`` has to be told the columns and their types. Both are made of the fields here,
so that a column is named in one place and the type checker sees whoever fills it.
"""

from __future__ import annotations

from collections.abc import Container
from datetime import datetime
from functools import cache
from typing import get_args, get_type_hints
from uuid import UUID

_SQL: dict[object, str] = {
    UUID: "uuid",
    int: "bigint",
    float: "float",
    bool: "boolean",
    str: "text",
    datetime: "timestamptz",
}


@cache
def columns(*rows: type) -> dict[str, str]:
    """The fields of these dataclasses, each once, with their types in SQL: what is no plain value
    is ``jsonb``. An integer fits any narrower column that it is written to, or is refused there."""
    hints = {name: hint for row in rows for name, hint in get_type_hints(row).items()}
    return {name: _SQL.get(_plain(hint), "jsonb") for name, hint in hints.items()}


def _plain(hint: object) -> object:
    """Without the ``None`` that a column may hold too."""
    left = [one for one in get_args(hint) if one is not type(None)]
    return left[0] if len(left) == 1 else hint


def record(*rows: type) -> str:
    """What ``jsonb_to_recordset(…) AS`` is told of these rows: ``v(id uuid, …)``."""
    told = ", ".join(f"{name} {kind}" for name, kind in columns(*rows).items())
    return f"v({told})"


def names(row: type, *, but: Container[str] = (), of: str = "") -> str:
    """The columns of a row for a statement, each with ``of`` before it."""
    return ", ".join(f"{of}{name}" for name in columns(row) if name not in but)
