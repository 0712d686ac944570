"""The database's clock, read now and then and carried on by one that only measures durations.

No process decides by its own clock: it may be minutes off, and be set while it runs.
"""

from __future__ import annotations

import time
from datetime import datetime, timedelta

from apps.kernel.transactions import participant
from apps.runs.journal import fetch

READ_EVERY_S = 10.0

_read: dict[str, tuple[datetime, float]] = {}


@participant
def now() -> datetime:
    """The database's time. Read anew every ten seconds; in between the monotonic clock counts."""
    known = _read.get("clock")
    if known is None or time.monotonic() - known[1] > READ_EVERY_S:
        known = _read["clock"] = (fetch("SELECT clock_timestamp()", [])[0][0], time.monotonic())
    return known[0] + timedelta(seconds=time.monotonic() - known[1])
