"""Which past decisions are most like the one at hand.

All of them are about the same tool. They are put in order by

1. the share of rules: of the rules that hold either, how many hold both, ``|A & B| / |A | B|``;
2. closeness: the mean of how close the amounts are and how much of the arguments is the same.
   Amounts ``a`` and ``b`` are ``max(0, 1 - |a - b| / max(|a|, |b|))`` close: 1 where they are equal
   or neither is known, 0 where one isn't known or money moves the other way. Of the arguments, each
   with its place and its value, it is the share of those in either that are in both; 0 where one
   has too many to be compared;
3. the time of the decision, the latest first.

No judgement is made by it: a person reads what others decided and why.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime
from typing import Any

Argument = tuple[str, str]  # where it stands, and its text


@dataclass(frozen=True, slots=True)
class Traits:
    """What of a request is compared. ``arguments`` is ``None`` where they are too many."""

    rules: AbstractSet[str]
    amount_cents: int | None
    arguments: AbstractSet[Argument] | None


@dataclass(frozen=True, slots=True)
class PastTraits:
    """The traits of a request that was decided; ``key`` is whatever names it."""

    key: Any
    traits: Traits
    decided_at: datetime


def share(one: AbstractSet[Any], other: AbstractSet[Any]) -> float:
    """How much of two sets is in both, from 0 to 1; two empty ones are the same."""
    whole = len(one | other)
    return len(one & other) / whole if whole else 1.0


def amounts(one: int | None, other: int | None) -> float:
    """How close two amounts are, from 0 to 1."""
    if one == other:
        return 1.0
    if one is None or other is None:
        return 0.0
    return max(0.0, 1 - abs(one - other) / max(abs(one), abs(other)))


def likeness(one: Traits, other: Traits) -> tuple[float, float]:
    """How alike two requests for one tool are: the share of their rules, then their closeness; each
    from 0 to 1, whichever of the two comes first."""
    same = (
        0.0
        if one.arguments is None or other.arguments is None
        else share(one.arguments, other.arguments)
    )
    return (
        share(one.rules, other.rules),
        (amounts(one.amount_cents, other.amount_cents) + same) / 2,
    )


def most_like(wanted: Traits, past: Iterable[PastTraits], *, most: int) -> Sequence[PastTraits]:
    """The ``most`` that are most like it, the most alike first."""
    return sorted(past, key=lambda p: (*likeness(wanted, p.traits), p.decided_at), reverse=True)[
        :most
    ]
