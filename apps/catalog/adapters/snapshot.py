"""A small table of the database, at hand where the database can't be asked.

An event loop must not wait for a query, and may not make one: Django refuses it there.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, TypeVar

from django.db import DatabaseError, connection

from apps.kernel.errors import UnavailableError

FRESH_S = 5.0
Row = TypeVar("Row")


class Snapshot(Generic[Row]):
    """What ``read`` returned when it was last asked. Threads ask the database each time; an event
    loop takes what there is, and waits once, for a thread, if there is nothing yet."""

    def __init__(self, read: Callable[[], Mapping[str, Row]]) -> None:
        self._read = read
        self._rows: Mapping[str, Row] | None = None
        self._at = 0.0

    def get(self, key: str) -> Row | None:
        """The row of ``key``; None if there is none. Raises ``UnavailableError`` when the
        database can't be asked."""
        try:
            return self._get(key)
        except DatabaseError as error:
            raise UnavailableError("The catalog can't be read: the database is away.") from error

    def _get(self, key: str) -> Row | None:
        if not _in_event_loop():
            self._load()
        elif self._rows is None:
            with ThreadPoolExecutor(1) as thread:
                thread.submit(self._load_and_close).result()
        return (self._rows or {}).get(key)

    def refresh(self) -> None:
        """Ask the database unless that was done a moment ago."""
        if self._rows is None or time.monotonic() - self._at > FRESH_S:
            self._load()

    def _load(self) -> None:
        self._rows, self._at = self._read(), time.monotonic()

    def _load_and_close(self) -> None:
        try:
            self._load()
        finally:
            connection.close()


def _in_event_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
