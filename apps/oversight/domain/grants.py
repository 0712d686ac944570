"""What a bounded grant covers: requests that two people approved before they were made.

A grant is for one tool at one server and schema, one version of contract and policy, one agent, and
exactly the rules that asked. Each field of the call has a bound of its own; the amount is known and
within two limits. A request is covered where all of it holds. What a grant does not name, what came
as another type, and what is not known is not covered: a person is asked.

Values are compared as approvals bind them (``domain.binding``): a number by its value, so that 5 is
5.0; ``"5"`` is text and never a number.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any

from apps.kernel.canonical import canonical_bytes, digest
from apps.oversight.domain.binding import TAG
from apps.oversight.domain.reading import MEDIUM
from apps.oversight.domain.showing import flags
from apps.web.domain.quantities import money_words

PURPOSE = "tower.grant.v1"
MOST_USES, MOST_HOURS = 50, 24
MOST_VALUES, MOST_CHARACTERS = 50, 200  # of "one of", and of each
PROPOSED_FOR_H = 8  # a proposal that nobody confirms by then lapses
# What a request may be bound to beside these (an edit, a gap, a plan, other branches, votes) was
# never looked at by whoever gave a grant.
BOUND = frozenset(
    {
        *("v", "tool", "tool_fingerprint", "contract_digest", "policy_digest", "agent", "server"),
        *("subject", "arguments", "context", "run_id"),
    }
)
PINS = {
    "tool": "it is another tool",
    "server": "the tool would be called at another address",
    "tool_fingerprint": "the tool was published anew",
    "contract_digest": "the contract is another version",
    "policy_digest": "the policy is another version",
    "agent": "it is another agent or version of it",
    "job": "it is another job",
}
NUMBERS = frozenset({f"{TAG}int", f"{TAG}float", f"{TAG}decimal"})
EQUAL, ONE_OF, RANGE, ANY = "equal", "one of", "range", "any"


@dataclass(frozen=True, slots=True)
class CoverableCall:
    """A held request, as far as grants look at it."""

    job: str
    bound: Mapping[str, Any]
    rules: Sequence[Any]
    risk: int
    votes: int
    amount_cents: int | None
    flags: tuple[str, ...] = ()

    @classmethod
    def of(cls, row: Any) -> CoverableCall:
        """Read it off a stored question."""
        return cls(
            job=f"{row.domain_slug}/{row.job_slug}@{row.contract_number}",
            bound=row.bound_to,
            rules=row.rules if isinstance(row.rules, list) else (),
            risk=row.risk,
            votes=row.votes_required,
            amount_cents=row.amount_cents,
            flags=(*flags(row.arguments, row.preview), *_told_beside(row.preview)),
        )

    @property
    def rule_ids(self) -> tuple[str, ...]:
        """The rules that hold it."""
        found = {str(rule.get("id")) for rule in self.rules if isinstance(rule, Mapping)}
        return tuple(sorted(found))

    @property
    def fields(self) -> dict[str, Any]:
        """What of the call has a bound: whom it is about, each argument, and what tool servers are
        told of the run beside."""
        found = {"subject": self.bound.get("subject")}
        for name in ("arguments", "context"):
            values = self.bound.get(name, {})
            if isinstance(values, Mapping):
                found |= {f"{name}.{key}": value for key, value in values.items()}
        return found

    def pinned(self, name: str) -> str:
        """What a grant pins of it."""
        return self.job if name == "job" else str(self.bound.get(name, ""))


def _told_beside(preview: Any) -> Iterator[str]:
    """What a preview says that nobody can compare."""
    told = preview if isinstance(preview, Mapping) else {}
    if any(told.get(name) for name in ("notes", "said", "odd_facts", "plan")):
        yield "the preview says more than its changes"


def why_never(call: CoverableCall) -> str:
    """Why no grant covers a request like this, whoever gives it; nothing if one may."""
    if call.risk > MEDIUM:
        return "above Medium risk a person decides each request"
    if call.votes > 1:
        return "it takes more than one vote"
    if call.amount_cents is None:
        return "how much money it moves is not known"
    if call.flags:
        return f"a person has to look at it: {', '.join(call.flags)}"
    if not isinstance(call.bound.get("arguments"), Mapping) or set(call.bound) - BOUND:
        return "more hangs on it than a grant can say: an edit, a plan, or what is not known"
    return next((why for rule in call.rules or [None] if (why := _uncoverable(rule))), "")


def _uncoverable(rule: Any) -> str:
    """Only a rule that was written in policy, and says what it asks, can be granted."""
    if not isinstance(rule, Mapping) or rule.get("effect") != "forbid" or rule.get("unknown"):
        return "something else than a rule of the policy asks"
    name = rule.get("id")
    if rule.get("grants"):
        return f"the rule “{name}” wants a person each time"
    if rule.get("passkey"):
        return f"the rule “{name}” wants a passkey"
    votes, risk = rule.get("votes"), rule.get("risk")
    plain = type(votes) is int and votes == 1 and type(risk) is int and risk <= MEDIUM
    return "" if plain and rule.get("roles") else f"the rule “{name}” asks for more than one look"


@dataclass(frozen=True, slots=True)
class FieldBound:
    """What one field may be. ``values``: the one, those, or the least and the most of a range;
    ``kind``: of which type any value may be."""

    name: str
    takes: str
    values: tuple[Any, ...] = ()
    kind: str = ""

    def allows(self, value: Any) -> bool:
        """Whether this value is within the bound; of another type none is."""
        if self.takes in {EQUAL, ONE_OF}:
            return any(_same(value, one) for one in self.values)
        if self.takes == RANGE:
            return _between(value, *self.values)
        return self.takes == ANY and bool(self.kind) and kind_of(value) == self.kind

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "takes": self.takes,
            "values": list(self.values),
            "kind": self.kind,
        }

    @classmethod
    def from_json(cls, stored: Any) -> FieldBound:
        found = cls(stored["name"], stored["takes"], tuple(stored["values"]), stored["kind"])
        is_text = isinstance(found.name, str) and isinstance(found.kind, str)
        if not is_text or found.to_json() != stored or fault(found):
            raise ValueError(f"no bound of a field: {found.name}")
        return found


def fault(bound: FieldBound) -> str:
    """What is wrong with a bound, for whoever typed it; nothing if it can be one."""
    count = len(bound.values)
    if bound.takes == EQUAL:
        return "" if count == 1 else "One value, please."
    if bound.takes == ONE_OF:
        return "" if 0 < count <= MOST_VALUES else f"One to {MOST_VALUES} values, one a line."
    if bound.takes == ANY:
        return "" if count == 0 and bound.kind else "Any value of which type?"
    numbers = [number_of(value) for value in bound.values]
    if bound.takes != RANGE or count != 2 or None in numbers:
        return "Two numbers: the least and the most."
    return "" if _between(bound.values[0], *bound.values) else "The least is more than the most."


def kind_of(value: Any) -> str:
    """The type of a bound value, in a word."""
    if number_of(value) is not None:
        return "number"
    known = {str: "text", bool: "yes or no", list: "list", dict: "object"}
    return known.get(type(value), "nothing")


def number_of(value: Any) -> Decimal | None:
    """The number that a bound value is; nothing for what is none."""
    if type(value) is int:
        return Decimal(value)
    if isinstance(value, Mapping) and len(value) == 1:
        ((tag, text),) = value.items()
        if tag in NUMBERS and isinstance(text, str):
            try:
                found = Decimal(text)
            except InvalidOperation:
                return None
            return found if found.is_finite() else None
    return None


def _same(one: Any, other: Any) -> bool:
    return canonical_bytes({"is": one}) == canonical_bytes({"is": other})


def _between(value: Any, least: Any, most: Any) -> bool:
    found, low, high = number_of(value), number_of(least), number_of(most)
    return None not in {found, low, high} and low <= found <= high  # type: ignore[operator]


@dataclass(frozen=True, slots=True)
class GrantBounds:
    """All that a grant is bound to: what two people sign. ``pins`` are what has to be exactly so,
    ``policy`` names the policy for people."""

    id: str
    source: str
    pins: Mapping[str, str]
    policy: str
    rules: tuple[str, ...]
    fields: tuple[FieldBound, ...]
    least_cents: int
    most_cents: int
    count: int
    hours: int
    v: int = field(default=1)

    def to_json(self) -> dict[str, Any]:
        """As it is stored and digested."""
        return {
            "v": self.v,
            "id": self.id,
            "source": self.source,
            "pins": dict(self.pins),
            "policy": self.policy,
            "rules": list(self.rules),
            "fields": [bound.to_json() for bound in self.fields],
            "least_cents": self.least_cents,
            "most_cents": self.most_cents,
            "count": self.count,
            "hours": self.hours,
        }

    @classmethod
    def from_json(cls, stored: Any) -> GrantBounds:
        """Read stored bounds. Raises ``ValueError`` for what no grant can have been given for."""
        try:
            given = dict(stored)
            given["fields"] = tuple(FieldBound.from_json(one) for one in given["fields"])
            found = cls(**given | {"rules": tuple(given["rules"])})
            is_sound = found.to_json() == stored and not bounds_fault(found)
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError("The bounds can't be read.") from error
        if not is_sound:
            raise ValueError("The bounds are none that can be given.")
        return found

    @property
    def digest(self) -> str:
        """Hex SHA-256 over all of it."""
        return digest(self.to_json(), purpose=PURPOSE)


def bounds_fault(bounds: GrantBounds) -> str:
    """What is wrong with bounds as a whole; nothing if they can be given."""
    numbers = (bounds.least_cents, bounds.most_cents, bounds.count, bounds.hours, bounds.v)
    if any(type(number) is not int for number in numbers) or bounds.v != 1:
        return "Whole numbers, please."
    if not 1 <= bounds.count <= MOST_USES:
        return f"How often: 1 to {MOST_USES} times."
    if not 1 <= bounds.hours <= MOST_HOURS:
        return f"For how long: 1 to {MOST_HOURS} hours."
    if bounds.least_cents > bounds.most_cents or not bounds.least_cents <= 0 <= bounds.most_cents:
        return "The amount: a limit of zero or more."
    if not bounds.rules or set(bounds.pins) != set(PINS):
        return "A grant is for the rules that ask, and for exact versions."
    return ""


@dataclass(frozen=True, slots=True)
class Miss:
    """Why a grant does not cover a request: what of it, and in words."""

    what: str
    words: str


def misses(bounds: GrantBounds, call: CoverableCall, *, with_pins: bool = True) -> list[Miss]:
    """All for which this request is not covered; none where it is. Without ``with_pins`` versions
    and agent don't matter: what would have been, had they been the same."""
    if why := why_never(call):
        return [Miss("never", why)]
    found = [
        Miss(name, words)
        for name, words in PINS.items()
        if (with_pins or name in {"tool", "server"}) and bounds.pins[name] != call.pinned(name)
    ]
    if call.rule_ids != bounds.rules:
        found.append(Miss("rules", "other rules ask"))
    return [*found, *_amount(bounds, call), *_fields(bounds, call.fields)]


def _amount(bounds: GrantBounds, call: CoverableCall) -> Iterator[Miss]:
    cents = call.amount_cents
    if type(cents) is not int or not bounds.least_cents <= cents <= bounds.most_cents:
        said = "not known" if cents is None else money_words(cents)
        yield Miss("amount", f"the amount is {said}")


def _fields(bounds: GrantBounds, values: Mapping[str, Any]) -> Iterator[Miss]:
    known = {bound.name: bound for bound in bounds.fields}
    for name in sorted({*known, *values}):
        if name not in values:
            yield Miss(name, f"{name} is missing")
        elif name not in known:
            yield Miss(name, f"{name} is not named by the grant")
        elif not known[name].allows(values[name]):
            yield Miss(name, f"{name} is another")
