"""In which orders the queue can stand, and the keys by which its pages follow each other."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from apps.kernel.moments import moment

SEPARATOR = "~"


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
    parts = tuple(text.replace(" ", "+").split(SEPARATOR))
    if len(parts) != len(fields):
        return ()
    is_known = all(_is(part, field.kind) for part, field in zip(parts, fields, strict=True))
    return parts if is_known else ()


def _is(part: str, kind: str) -> bool:
    if kind == "moment":
        return moment(part) is not None
    try:
        UUID(part) if kind == "id" else int(part)
    except ValueError:
        return False
    return kind == "id" or len(part) <= 19
