"""Why policy answered as it did, as it is kept with a decision or a question, read for people.

What rules looked at came from outside, and what is kept may have been written by an older release:
whatever it is, it is told in texts, and what can't be read says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from apps.kernel import exactjson
from apps.policy.domain.conditions import NEGATED
from apps.policy.domain.rules import BUILT_IN
from apps.web.domain.quantities import money_words

UNREADABLE = "What is kept of this rule can't be read"
SIGNS = {"≤": "at most", "<": "less than", "≥": "at least", ">": "more than", "≠": "not"}
MOST = 200  # of each kind; a policy has some dozens of rules


@dataclass(frozen=True, slots=True)
class LookedAt:
    """Something that a rule looked at: its name, its exact value as text, and the limit that it was
    compared with, in words; empty where there was none. ``expected``: what it would have to be for
    the rule not to fire, in words; empty where this didn't make it fire."""

    name: str
    text: str
    limit: str = ""
    expected: str = ""
    got: str = ""  # the value as people say it

    @property
    def short(self) -> str:
        """The name as people say it."""
        return _short(self.name)


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
    purpose: str = ""
    is_written: bool = False  # in a policy's text; else it is built in

    @property
    def failed(self) -> tuple[LookedAt, ...]:
        """What made it fire, with what was expected."""
        return tuple(seen for seen in self.observed if seen.expected)

    @property
    def others(self) -> tuple[LookedAt, ...]:
        """What else it looked at."""
        return tuple(seen for seen in self.observed if not seen.expected)

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
        purpose=_text(rule.get("purpose")),
        is_written="effect" in rule and rule.get("id") not in BUILT_IN,
    )


def _seen(seen: Any) -> LookedAt:
    if not isinstance(seen, Mapping):
        return LookedAt("", _text(seen))
    limit = ""
    if seen.get("limit"):
        limit = " ".join(_text(seen.get(key)) for key in ("operator", "limit", "limit_value"))
    text = exactjson.dumps(seen.get("value"))
    name = _text(seen.get("name"))
    return LookedAt(name, text, limit, _expected(seen), _said(name, seen.get("value")))


def _expected(seen: Mapping[str, Any]) -> str:
    """What was expected, in words; of an older release's row, read off the limit."""
    own, wanted = _text(seen.get("name")), seen.get("expected")
    if isinstance(wanted, Mapping):
        sign, name, value = (wanted.get(key) for key in ("operator", "name", "value"))
    elif seen.get("limit"):
        sign, name, value = (seen.get(key) for key in ("operator", "limit", "limit_value"))
        sign = NEGATED.get(_text(sign), "")
    else:
        return ""
    of = f" ({_short(_text(name))})" if name else ""
    return f"{SIGNS.get(_text(sign), '')} {_said(own, value)}{of}".strip()


def _said(name: str, value: Any) -> str:
    """A value as people say it: an amount of money with its currency, a yes or no as such."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    is_money = "_cents" in name and isinstance(value, int)
    return money_words(value) if is_money else exactjson.dumps(value)


def _short(name: str) -> str:
    return name.rpartition(".")[2].replace("_cents", "").replace("_", " ")


def _missing(gap: Any) -> Missing:
    said = gap if isinstance(gap, Mapping) else {"came": gap}
    return Missing(*(_text(said.get(key)) for key in ("name", "wanted", "came")))


def _text(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else exactjson.dumps(value)
