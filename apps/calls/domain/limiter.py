"""How many calls of a tool may be under way at once: as many as it takes without complaint.

Additive increase, multiplicative decrease (D.-M. Chiu and R. Jain, 1989; the shape and the numbers
of Netflix's concurrency-limits, ``AIMDLimit``): one more after a good call while at least half of
the limit is in use, a tenth less after a call that was dropped (timed out, lost, turned away) or
slow. The limit stays between one and the contract's ``concurrency``. It begins at the contract's
number, which whoever knows the tool has written down, or where another worker found it lately.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

LEAST = 1.0
STEP = 1.0
BACKOFF = 0.9
SLOW_SHARE = 0.8  # of the tool's time-out


class LoadSign(StrEnum):
    """What a call's end says about the tool's load."""

    OK = "ok"
    DROPPED = "dropped"
    SLOW = "slow"
    UNTOLD = "untold"  # nothing: it was never made, or it broke on our side


@dataclass(frozen=True, slots=True)
class Limiter:
    """The limit of one tool in one process, and how much of it is in use."""

    ceiling: int
    limit: float
    in_use: int = 0
    drops: int = 0

    @property
    def has_room(self) -> bool:
        return self.in_use < int(self.limit)

    def acquired(self) -> Limiter:
        """With one more call under way. Asked for only where there is room."""
        return replace(self, in_use=self.in_use + 1)

    def released(self, ended: LoadSign) -> Limiter:
        """With one call fewer under way, and the limit that its end suggests."""
        limit, drops = self.limit, self.drops
        if ended is LoadSign.OK and self.in_use * 2 >= limit:
            limit = min(float(self.ceiling), limit + STEP)
        elif ended in {LoadSign.DROPPED, LoadSign.SLOW}:
            limit = max(LEAST, limit * BACKOFF)
            drops += 1
        return replace(self, limit=limit, drops=drops, in_use=max(0, self.in_use - 1))


def fresh(ceiling: int, known: float | None = None) -> Limiter:
    """A limiter at the contract's number, or at what another worker found lately."""
    start = float(ceiling) if known is None else known
    return Limiter(ceiling, min(float(ceiling), max(LEAST, start)))


def ended(*, answered: bool, broken: bool, duration_ms: float, timeout_s: float) -> LoadSign:
    """What a call tells. ``answered``: the tool said something, be it no; ``broken``: what came
    makes no sense, which says nothing about load."""
    if broken:
        return LoadSign.UNTOLD
    if not answered:
        return LoadSign.DROPPED
    return LoadSign.SLOW if duration_ms >= timeout_s * 1000 * SLOW_SHARE else LoadSign.OK
