"""What a page must have shown before an approval counts, and for how long.

The server measures it: when this person was first given the sheet for this digest, and when each of
its parts was reported to have been on the screen. An answer against is never held up.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil

# The parts of a sheet that have to be seen, in its order, as a sentence names them.
PARTS = {
    "arguments": "“Exactly what will run”",
    "changes": "“What changes”",
    "why": "“Why it needs you”",
}
MEDIUM = 2
# Seconds between the sheet and an approval, by risk. Below them nobody has read it; they are no
# time to think in.
LEAST_S: Mapping[int, int] = {2: 2, 3: 4, 4: 8}


@dataclass(frozen=True, slots=True)
class SheetRead:
    """When a person was given a sheet, which parts of it they have seen, and which other requests
    for the same they have looked at (``repeats.mark``)."""

    opened_at: datetime
    seen: frozenset[str]
    looked: frozenset[str] = frozenset()


def least(risk: int) -> timedelta:
    """How long a sheet must have been there before an approval of it counts."""
    return timedelta(seconds=LEAST_S.get(min(risk, 4), 0))


def unread(read: SheetRead | None, risk: int, now: datetime) -> str:
    """Why an approval doesn't count yet, with what to do; nothing if it does."""
    if risk < MEDIUM:
        return ""
    if read is None:
        return "You have not opened this request: read what it changes and why, then approve."
    if missing := [words for part, words in PARTS.items() if part not in read.seen]:
        return f"Not on your screen yet: {_listed(missing)}. Scroll there, then approve."
    left = read.opened_at + least(risk) - now
    if left > timedelta(0):
        seconds = ceil(left.total_seconds())
        return (
            f"You opened this a moment ago: at this risk it has to be read for"
            f" {LEAST_S[min(risk, 4)]} s. Approve in {seconds} s."
        )
    return ""


def _listed(words: Collection[str]) -> str:
    *most, last = words
    return f"{', '.join(most)} and {last}" if most else last
