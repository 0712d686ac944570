"""Several alike requests that are decided in one table, each for itself.

Only up to Medium, and only where the same tool, contract, policy and rules ask the same people.
What is strange about one of them, or far from the rest, has it decided singly. The table has to be
read as the sheets would have to be: all of each row, and as long as all of their sheets together.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from math import ceil
from typing import Any

from apps.oversight.domain.outliers import Fact, FarFact
from apps.oversight.domain.reading import LEAST_S, MEDIUM, PARTS
from apps.oversight.domain.showing import ArgumentList
from apps.web.domain.quantities import money_words

MOST = 25  # rows of one table
LEAST_OF_LOW_S = 1
AMOUNT = "the amount"
BOUND = ("tool", "tool_fingerprint", "contract_digest", "policy_digest", "server")
WORDS_MOST = 60


def kind_of(bound: Mapping[str, Any], rules: Any) -> tuple[Any, ...]:
    """What requests share that stand in one table, of their binding and the rules that ask."""
    known = rules if isinstance(rules, list) else ()
    ids = {str(rule.get("id")) for rule in known if isinstance(rule, Mapping)}
    return (*(str(bound.get(name, "")) for name in BOUND), frozenset(ids))


def facts_of(amount_cents: int | None, listing: ArgumentList) -> dict[str, Fact]:
    """What of a request is compared with the others: its amount and each argument. Of several at
    places of one name each is compared, so that none hides another."""
    found: dict[str, Fact] = {} if amount_cents is None else {AMOUNT: Decimal(amount_cents)}
    for value in listing.values:
        name, number = value.path, 1
        while name in found:
            name, number = f"{value.path} ({number + 1})", number + 1
        is_number = value.kind == "number" and not value.more  # one that was cut may be none
        found[name] = Decimal(value.text) if is_number else value.text
    return found


def far_words(far: FarFact) -> str:
    """What is far from the rest, as a sentence."""
    has, usual = (_said(far.name, value) for value in (far.has, far.usual))
    word = "the middle of all is" if isinstance(far.usual, Decimal) else "of most it is"
    return f"Far from the rest: {far.name} is {has}, {word} {usual}."


def _said(name: str, value: Fact) -> str:
    if isinstance(value, str):
        return value if len(value) <= WORDS_MOST else f"{value[:WORDS_MOST]}…"
    if name == AMOUNT:
        return money_words(int(value))
    return f"{value.normalize():f}" if abs(value.adjusted()) < WORDS_MOST else f"{value:.6e}"


def least(risks: Iterable[int]) -> timedelta:
    """How long a table must have been there before an approval of these rows counts: as long as all
    of their sheets."""
    return timedelta(seconds=sum(max(LEAST_OF_LOW_S, LEAST_S.get(risk, 0)) for risk in risks))


@dataclass(frozen=True, slots=True)
class RowRead:
    """One chosen row: its risk, and which parts of it this person has seen."""

    risk: int
    seen: Collection[str]


def unread(rows: Collection[RowRead], opened_at: datetime, now: datetime) -> str:
    """Why an approval of these rows doesn't count yet, with what to do; nothing if it does."""
    if any(row.risk > MEDIUM for row in rows):
        return "Above Medium a request is decided on its own sheet."
    unseen = sum(not PARTS.keys() <= set(row.seen) for row in rows)
    if unseen:
        return (
            f"Not all on your screen yet: {unseen} of {len(rows)} rows. Scroll there, then approve."
        )
    wanted = least(row.risk for row in rows)
    left = opened_at + wanted - now
    if left > timedelta(0):
        return (
            f"You opened this a moment ago: {len(rows)} rows have to be read for"
            f" {round(wanted.total_seconds())} s. Approve in {ceil(left.total_seconds())} s."
        )
    return ""
