"""Why policy answered as it did, as it is kept with a decision or a question, read for people.

What rules looked at came from outside, and what is kept may have been written by an older release:
whatever it is, it is told in texts, and what can't be read says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from apps.kernel import exactjson

UNREADABLE = "What is kept of this rule can't be read"
MOST = 200  # of each kind; a policy has some dozens of rules


@dataclass(frozen=True, slots=True)
class LookedAt:
    """Something that a rule looked at: its name, its exact value as text, and the limit that it was
    compared with, in words; empty where there was none."""

    name: str
    text: str
    limit: str = ""


@dataclass(frozen=True, slots=True)
class Missing:
    """Something that was not known: its name, what was needed, and what came instead."""

    name: str
    wanted: str
    came: str


@dataclass(frozen=True, slots=True)
class Reason:
    """One rule, and what it looked at."""

    id: str
    reason: str
    observed: tuple[LookedAt, ...] = ()
    unknown: tuple[Missing, ...] = ()

    @property
    def words(self) -> str:
        """Why, or at least by which rule."""
        return self.reason or self.id or UNREADABLE


def reasons(stored: Any) -> list[Reason]:
    """The rules that are kept with a decision or a question. Never raises, whatever they are."""
    return [_reason(rule) for rule in listed(stored)]


def listed(stored: Any) -> list[Any]:
    """What is kept as a list; one entry for what ought to be one; none for nothing."""
    if isinstance(stored, list):
        return stored[:MOST]
    return [] if stored in (None, "") else [stored]


def _reason(rule: Any) -> Reason:
    if not isinstance(rule, Mapping):
        return Reason("", f"{UNREADABLE}: {_text(rule)}")
    return Reason(
        id=_text(rule.get("id")),
        reason=_text(rule.get("reason")),
        observed=tuple(_seen(seen) for seen in listed(rule.get("observed"))),
        unknown=tuple(_missing(gap) for gap in listed(rule.get("unknown"))),
    )


def _seen(seen: Any) -> LookedAt:
    if not isinstance(seen, Mapping):
        return LookedAt("", _text(seen))
    limit = ""
    if seen.get("limit"):
        limit = " ".join(_text(seen.get(key)) for key in ("operator", "limit", "limit_value"))
    return LookedAt(_text(seen.get("name")), exactjson.dumps(seen.get("value")), limit)


def _missing(gap: Any) -> Missing:
    said = gap if isinstance(gap, Mapping) else {"came": gap}
    return Missing(*(_text(said.get(key)) for key in ("name", "wanted", "came")))


def _text(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else exactjson.dumps(value)
