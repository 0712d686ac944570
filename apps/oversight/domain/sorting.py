"""In which orders the queue can stand, and the keys by which its pages follow each other."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from apps.kernel.moments import moment

SEPARATOR = "~"
LONGEST_NUMBER = 19


@dataclass(frozen=True, slots=True)
class SortField:
    """A column of the order. ``kind``: how its value stands in a key."""

    name: str
    is_down: bool = False
    kind: str = "moment"


ID = SortField("id", kind="id")
DUE = (SortField("expires_at"), SortField("risk", True, "number"), SortField("created_at"), ID)
DECIDED = (SortField("decided_at", True), SortField("id", True, "id"))
# Of those that wait; whatever comes first, the one that is due first comes before the other.
SORTS: dict[str, tuple[SortField, ...]] = {
    "due": DUE,
    "risk": (SortField("risk", True, "number"), SortField("expires_at"), ID),
    "amount": (SortField("moved_cents", True, "number"), SortField("expires_at"), ID),
    "oldest": (SortField("created_at"), ID),
    "newest": (SortField("created_at", True), SortField("id", True, "id")),
}
WORDS = {
    "due": "Due first",
    "risk": "Highest risk first",
    "amount": "Largest amount first",
    "oldest": "Oldest first",
    "newest": "Newest first",
}


def key_of(text: str, fields: tuple[SortField, ...]) -> tuple[str, ...]:
    """The values of a key as it stands in an address; () for one that can't be of these fields."""
    parts = text.replace(" ", "+").split(SEPARATOR)
    if len(parts) != len(fields):
        return ()
    found = tuple(_read(part, field.kind) for part, field in zip(parts, fields, strict=True))
    return found if all(found) else ()


def _read(part: str, kind: str) -> str:
    """A value in one spelling, moments with their zone; empty for what is none."""
    if kind == "moment":
        at = moment(part)
        return at.isoformat() if at else ""
    try:
        if kind == "id":
            return str(UUID(part))
        return str(int(part)) if len(part) <= LONGEST_NUMBER else ""
    except ValueError:
        return ""
