"""What was typed into a form that could not be sent, so that it is there again after the log-in.

Words of the person are kept; passwords, tokens, codes of a second step and other secrets never are.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

KEPT = "kept"  # in the session, and the name of the log-in form's sealed field
MOST_CHARACTERS = 600_000
MOST_FIELDS = 200
_SECRET = re.compile(r"password|passwd|secret|token|credential|^code$", re.IGNORECASE)
_HIDDEN = {"digest", "nonce", "ticket", "dwell_ms", "revision", "round", "plan"}
_OF_THE_FRAME = {"csrfmiddlewaretoken", "opened_by", KEPT, "next"}


@dataclass(frozen=True, slots=True)
class Kept:
    """A form that was not carried out: the page it stood on, where it would have been sent, and its
    fields in their order."""

    page: str
    action: str
    fields: tuple[tuple[str, str], ...]

    def to_json(self) -> dict[str, Any]:
        """As a session keeps it and a page reads it."""
        return {"page": self.page, "action": self.action, "fields": [list(f) for f in self.fields]}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Kept:
        """Read what ``to_json`` wrote."""
        fields = tuple((str(name), str(value)) for name, value in stored["fields"])
        return cls(str(stored["page"]), str(stored["action"]), fields)

    @property
    def shown(self) -> list[tuple[str, str]]:
        """The fields that a person would recognise: what isn't empty and isn't a long token."""
        return [
            (n, v)
            for n, v in self.fields
            if v.strip() and n.removeprefix("i:") == n and n not in _HIDDEN
        ]


def _is_of_the_machine(name: str) -> bool:
    return name in _HIDDEN or name.startswith("i:")


def keep(page: str, action: str, fields: Iterable[tuple[str, Sequence[str]]]) -> Kept | None:
    """What of a form may be kept; ``None`` when there is nothing, or more than can be kept."""
    found = tuple(
        (name, value)
        for name, values in fields
        if name not in _OF_THE_FRAME and not _SECRET.search(name)
        for value in values
    )
    size = sum(len(name) + len(value) for name, value in found)
    if not found or len(found) > MOST_FIELDS or size > MOST_CHARACTERS:
        return None
    return Kept(page, action, found)
