"""In which orders the queue can stand, and the keys by which its pages follow each other."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from apps.kernel.moments import moment

SEPARATOR = "~"


@dataclass(frozen=True, slots=True)
class Field:
    """A column of the order. ``kind``: how its value stands in a key."""

    name: str
    is_down: bool = False
    kind: str = "moment"


ID = Field("id", kind="id")
DUE = (Field("expires_at"), Field("risk", True, "number"), Field("created_at"), ID)
DECIDED = (Field("decided_at", True), Field("id", True, "id"))
# Of those that wait; whatever comes first, the one that is due first comes before the other.
SORTS: dict[str, tuple[Field, ...]] = {
    "due": DUE,
    "risk": (Field("risk", True, "number"), Field("expires_at"), ID),
    "amount": (Field("moved_cents", True, "number"), Field("expires_at"), ID),
    "oldest": (Field("created_at"), ID),
    "newest": (Field("created_at", True), Field("id", True, "id")),
}
WORDS = {
    "due": "Due first",
    "risk": "Highest risk first",
    "amount": "Largest amount first",
    "oldest": "Oldest first",
    "newest": "Newest first",
}


def key_of(text: str, fields: tuple[Field, ...]) -> tuple[str, ...]:
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
