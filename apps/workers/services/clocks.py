"""Whose clock is right: the database's. A process that lives by another one doesn't begin."""

from __future__ import annotations

import time

from django.conf import settings
from django.core.management.base import CommandError
from django.db import DatabaseError, connection

LARGEST_OFFSET_S = 2.0


def offset_s() -> float:
    """How far this machine's clock is ahead of the database's, in seconds; good to half of the
    time that the answer took."""
    with connection.cursor() as cursor:
        before = time.time()
        cursor.execute("SELECT extract(epoch FROM clock_timestamp())::float")
        there = float(cursor.fetchone()[0])
        return (before + time.time()) / 2 - there


def refuse_a_wrong_clock() -> None:
    """Raises ``CommandError`` where this machine's clock is off by more than two seconds, unless
    ``TOWER_ALLOW_CLOCK_SKEW=1`` says that this is meant. Nothing here is decided by that clock,
    but logs, certificates and signatures are read by it. A database that is away refuses nobody."""
    if settings.ALLOW_CLOCK_SKEW:
        return
    try:
        off = offset_s()
    except DatabaseError:
        return
    finally:
        connection.close()  # what is forked later must not share it
    if abs(off) > LARGEST_OFFSET_S:
        word = "ahead of" if off > 0 else "behind"
        raise CommandError(
            f"The clock of this machine is {abs(off):.1f} s {word} the database's: set it right"
            " (NTP), or start with TOWER_ALLOW_CLOCK_SKEW=1."
        )
