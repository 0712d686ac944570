"""Patience with a database that is away.

A database that went away, a connection that was cut and transactions that contradicted each other
have nothing to do with the rows in hand: the whole transaction is repeated. Everything else repeats
itself however often it is tried, and belongs to one of the rows.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable
from typing import TypeVar

from django.db import InterfaceError, OperationalError, connection

from apps.kernel.transactions import is_away, sqlstate

logger = logging.getLogger(__name__)
T = TypeVar("T")
KEEP_RECEIPTS_S = 60.0  # how long results wait in memory for a database that is away
STRAINED = frozenset({"53200", "57014"})  # out of memory, ended by the statement's time limit
STRAINED_TRIES = 3


class StrainError(Exception):
    """The database gave up on the same transaction again and again."""


def patiently(func: Callable[[], T], forget: Callable[[], None]) -> T:
    """Repeat a whole transaction that failed (the database is away, a connection was cut, two
    contradicted each other) for as long as results may wait in memory. Every write in it is guarded
    by a lease, so repeating one whose COMMIT got through changes nothing. ``forget`` drops what
    memory holds of the failed one, which is ahead of the database. Raises ``StrainError`` for one
    that the database itself gives up on each time, and any other error at once."""
    end, pause, strained = time.monotonic() + KEEP_RECEIPTS_S, 0.05, 0
    while True:
        try:
            return func()
        except (OperationalError, InterfaceError) as error:
            forget()
            if not is_away(error):
                raise
            strained += sqlstate(error) in STRAINED
            if strained >= STRAINED_TRIES:
                raise StrainError(str(error)) from error
            connection.close()
            if time.monotonic() > end:
                raise
            logger.warning("a transaction failed, trying again: %s", error)
            time.sleep(pause * (0.5 + random.random()))  # noqa: S311  # spreads load only
            pause = min(pause * 2, 2.0)
        except BaseException:
            forget()
            raise
