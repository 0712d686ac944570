"""What recorded decisions come to under another text, counted one after the other.

Counts and a few examples are all that is kept, however many decisions there are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

MOST_EXAMPLES = 20  # of each move
MOVES = {
    "hold→permit": "newly approved: no person would be asked",
    "deny→permit": "newly approved: it was denied",
    "permit→hold": "newly held for a person",
    "deny→hold": "newly held: it was denied",
    "permit→deny": "newly denied",
    "hold→deny": "newly denied: a person was asked",
}
NEWLY = {
    "approved": ("hold→permit", "deny→permit"),
    "held": ("permit→hold", "deny→hold"),
    "denied": ("permit→deny", "hold→deny"),
}


@dataclass(frozen=True, slots=True)
class Replayed:
    """A recorded decision, and what is answered to its question now. ``why`` says why nothing can
    be: then ``after`` is empty."""

    decision: str
    run: str
    step: str
    at: datetime
    action: str
    before: str
    roles_before: tuple[str, ...] = ()
    after: str = ""
    roles_after: tuple[str, ...] = ()
    rules: tuple[str, ...] = ()
    why: str = ""


@dataclass(slots=True)
class BacktestTally:
    """What was counted so far. ``counts`` by ``before→after``; ``hours``: for each role the held
    requests by hour of the day (UTC), then and under the other text; ``missed`` by why."""

    counts: dict[str, int] = field(default_factory=dict)
    rules: dict[str, int] = field(default_factory=dict)
    missed: dict[str, int] = field(default_factory=dict)
    examples: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    hours: dict[str, list[list[int]]] = field(default_factory=dict)
    first: dict[str, Any] | None = None

    def add(self, one: Replayed) -> None:
        """Count one, in the order of time."""
        if one.why:
            self.missed[one.why] = self.missed.get(one.why, 0) + 1
            self._keep(f"missed: {one.why}", one)
            return
        move = f"{one.before}→{one.after}"
        self.counts[move] = self.counts.get(move, 0) + 1
        self._count_hours(one)
        if one.after != "permit":
            for rule in one.rules:
                self.rules[rule] = self.rules.get(rule, 0) + 1
        if one.before != one.after:
            self.first = self.first or _shown(one)
            self._keep(move, one)

    def _keep(self, name: str, one: Replayed) -> None:
        kept = self.examples.setdefault(name, [])
        if len(kept) < MOST_EXAMPLES:
            kept.append(_shown(one))

    def _count_hours(self, one: Replayed) -> None:
        for side, answer, roles in (
            (0, one.before, one.roles_before),
            (1, one.after, one.roles_after),
        ):
            for role in roles if answer == "hold" else ():
                hours = self.hours.setdefault(role, [[0, 0] for _ in range(24)])
                hours[one.at.hour][side] += 1

    @property
    def total(self) -> int:
        return sum(self.counts.values())

    @property
    def changed(self) -> int:
        return sum(n for move, n in self.counts.items() if move in MOVES)

    def newly(self, what: str) -> int:
        """How many are newly ``approved``, ``held`` or ``denied``."""
        return sum(self.counts.get(move, 0) for move in NEWLY[what])

    def moves(self) -> Iterator[tuple[str, str, int]]:
        """The kinds of change that there were: name, in words, how many."""
        for move, words in MOVES.items():
            if self.counts.get(move):
                yield move, words, self.counts[move]

    def to_json(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__}

    @classmethod
    def from_json(cls, kept: Mapping[str, Any]) -> BacktestTally:
        return cls(**kept)


def _shown(one: Replayed) -> dict[str, Any]:
    return {
        "decision": one.decision,
        "run": one.run,
        "step": one.step,
        "at": one.at.isoformat(),
        "action": one.action,
        "before": one.before,
        "after": one.after,
        "rules": list(one.rules),
    }
