"""For how long a person may put a question out of their sight."""

from __future__ import annotations

from datetime import datetime, timedelta

PRESETS = (15, 60, 1440)  # minutes
LEAST = timedelta(minutes=1)
HALF = 0  # minutes of whoever asks for as long as may be


def latest(now: datetime, due: datetime) -> datetime:
    """Half of what is left of the window: nobody sleeps through it, however often they snooze."""
    return now + (due - now) / 2


def until(minutes: int, now: datetime, due: datetime) -> datetime | None:
    """When a question comes back that is snoozed for so long, or for as long as may be; nothing
    where that is less than a minute from now."""
    last = latest(now, due)
    found = last if minutes == HALF else min(now + timedelta(minutes=minutes), last)
    return found if found - now >= LEAST else None


def choices(now: datetime, due: datetime) -> list[int]:
    """What a page offers: the presets that fit, or as long as may be where none does; nothing where
    that is too short."""
    last = latest(now, due)
    fit = [n for n in PRESETS if now + timedelta(minutes=n) <= last]
    return fit or ([HALF] if until(HALF, now, due) else [])


def words(minutes: int) -> str:
    """A choice as a button says it."""
    known = {HALF: "half of the time left", 60: "1 h", 1440: "1 day"}
    return known.get(minutes, f"{minutes} min")
