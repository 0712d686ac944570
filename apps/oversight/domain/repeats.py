"""Requests for what was asked before: the same effect on the same object, in whichever run.

Two requests are the same when they make the same call (tool, arguments, and what tool servers are
told of the run beside), or when their previews change the same things from the same to the same.
Whoever approves such a one says that it is meant once more; what happened to one of the others
since then has to be looked at anew.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any
from uuid import UUID

# How many, in the order in which they are told: one, and more.
TOLD = {
    "approved": ("was approved once", "was approved {} times"),
    "rejected": ("was rejected once", "was rejected {} times"),
    "pending": ("waits in another request", "waits in {} other requests"),
}
_ALIKE = {"granted": "approved"}
NOT_LOOKED_AT = (
    "The same {told}, and you have not said that it is meant once more: look at it below the rules"
    " that ask, then approve."
)


def mark(request_id: UUID, state: str) -> str:
    """One of the others as it stands: what somebody has looked at."""
    return f"{request_id}:{_ALIKE.get(state, state)}"


def told(states: Sequence[str]) -> str:
    """What became of the others, as the end of a sentence: “was approved 2 times and waits in
    another request”; nothing for none."""
    counted = [_ALIKE.get(state, state) for state in states]
    parts = [
        one if n == 1 else several.format(n)
        for state, (one, several) in TOLD.items()
        if (n := counted.count(state))
    ]
    *most, last = parts or [""]
    return f"{', '.join(most)} and {last}" if most else last


def unlooked(now: Collection[str], looked: Collection[str]) -> list[str]:
    """Those of the marks that this person has not looked at."""
    return sorted(set(now) - set(looked))


def tells_changes(preview: Any) -> bool:
    """Whether a preview says all that would change, and that something would: then another that
    says the same is about the same."""
    if not isinstance(preview, Mapping) or preview.get("notes") or preview.get("said"):
        return False
    changes = preview.get("changes")
    return isinstance(changes, list) and bool(changes)
