"""How much company a step may have, by how many workers were lost while they tried it.

A worker that dies takes the leases of everything it held with it, and at most one of those steps is
to blame. So the company shrinks with each loss (group testing: Dorfman, 1943): the many that are
innocent are cleared in a few groups, and what is lost alone again and again is poison.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Company:
    """Steps that may be tried together in one process: those that ``low`` to ``high`` workers were
    lost with, at most ``most`` of them."""

    low: int
    high: int
    most: int


MANY = Company(0, 1, 64)
FEW = Company(2, 2, 16)
ALONE = Company(3, 32_767, 1)  # the highest that a smallint column holds
LOSSES_ALONE = 3
MOST_LOSSES = ALONE.low + LOSSES_ALONE  # with this one a step is poison


def company_of(losses: int) -> Company:
    """The company in which a step may be tried after ``losses``."""
    return next(c for c in (MANY, FEW, ALONE) if losses <= c.high)
