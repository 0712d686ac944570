"""Moments that people and addresses say, as aware times in UTC.

The calendar ends at both sides, and a zone's offset, a window or a step added to its last day is an
error. So what lies outside of the years in which this product can have worked is not understood.
"""

from __future__ import annotations

from datetime import UTC, datetime

FIRST = datetime(1970, 1, 1, tzinfo=UTC)
LAST = datetime(9000, 1, 1, tzinfo=UTC)


def moment(text: str) -> datetime | None:
    """The moment that ``text`` (RFC 3339, or ISO 8601 without a zone, which is UTC) names; ``None``
    for text that names none, and for one before 1970 or after 8999. A blank stands for the plus of
    an offset, which it is in an address that nobody encoded."""
    words = text.strip()
    for written in (words, "+".join(words.rsplit(" ", 1))):
        try:
            return known(datetime.fromisoformat(written))
        except ValueError:
            continue
    return None


def known(found: datetime) -> datetime | None:
    """``found`` in UTC if it can be worked with; ``None`` otherwise."""
    try:
        utc = found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
    except (OverflowError, ValueError):
        return None
    return utc if FIRST <= utc < LAST else None


def iso(at: datetime) -> str:
    """UTC, to the second, as it stands in addresses and exports."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
