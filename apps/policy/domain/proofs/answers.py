"""What a policy answers to a request, as formulas of what ``decision`` and ``unknown`` say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from apps.policy.domain.proofs.expressions import Expressions, pattern_of
from apps.policy.domain.proofs.formulas import FALSE, both, either, equal, no
from apps.policy.domain.proofs.symbols import Script, Symbols, ToolShape, variables
from apps.policy.domain.proofs.values import BoolTerm, EntityTerm, RecordTerm, SetTerm
from apps.policy.domain.proofs.words import Pattern, Words
from apps.policy.domain.request import Reads
from apps.policy.domain.rules import MAX_VOTES, Rule
from apps.policy.domain.unknown import ROLE


@dataclass(frozen=True, slots=True)
class Policy:
    """A policy set as it is translated. ``stored`` is Cedar's JSON form of each rule by its key;
    ``mentioned``: the facts that its text mentions; ``reads``: so for everything else; ``exempt``:
    the tools that may go without facts."""

    rules: Mapping[str, Rule]
    stored: Mapping[str, Mapping[str, Any]]
    limits: Mapping[str, int]
    mentioned: frozenset[str]
    reads: Reads
    exempt: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Answers:
    """``permit``, ``hold`` and ``deny``: exactly one is true. ``roles``: when each is asked for;
    ``votes``: when at least so many; ``fails``: when a rule is an error; ``rules``: when each
    applies, by key."""

    permit: str
    hold: str
    deny: str
    roles: Mapping[str, str] = field(default_factory=dict)
    votes: Mapping[int, str] = field(default_factory=dict)
    fails: str = FALSE
    rules: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Round:
    """One question to Cedar: which rules apply, which fail."""

    applies: Mapping[str, str]
    fails: str


def answers_of(policy: Policy, symbols: Symbols, words: Words, script: Script) -> Answers:
    """How a policy answers the request with these unknowns. Raises ``UntranslatableError``."""
    seen = variables(symbols, policy.limits, words, policy.mentioned, policy.reads)
    relevant = {k: p for k, p in policy.stored.items() if concerns(p, symbols.tool)}
    first = _asked(relevant, Expressions(seen, words, script), script)
    permits, holds, hard = _kinds(policy, first.applies)
    forbidden = either(*holds.values(), *hard.values())
    allowed = script.named(both(either(*permits.values()), no(forbidden)))
    asks = script.named(both(either(*holds.values()), no(either(*hard.values())), no(first.fails)))
    approved = _approved(policy, seen, holds, words)
    second = _asked(_again(relevant), Expressions(approved, words, script), script)
    lifted = {**first.applies, **second.applies}
    permits2, holds2, hard2 = _kinds(policy, lifted)
    forbidden2 = either(*holds2.values(), *hard2.values())
    allowed2 = both(either(*permits2.values()), no(forbidden2), no(second.fails))
    hold = script.named(both(asks, no(allowed), allowed2))
    permit = script.named(both(allowed, no(first.fails)))
    spoken = Answers(
        permit,
        hold,
        no(either(permit, hold)),
        {role: either(*by) for role, by in _by_role(policy, holds).items()},
        {n: either(*_with_votes(policy, holds, n)) for n in range(2, MAX_VOTES + 1)},
        first.fails,
        first.applies,
    )
    return _held(policy, spoken, symbols, words, script)


def concerns(stored: Mapping[str, Any], tool: ToolShape) -> bool:
    """Whether a rule's scope lets it apply to this tool at all."""
    scope = stored["action"]
    if scope["op"] == "All":
        return True
    named = [scope["entity"]] if "entity" in scope else scope.get("entities", ())
    own = {tool.name} if scope["op"] == "==" else {tool.name, tool.effect}
    return any(uid["type"] == "Action" and uid["id"] in own for uid in named)


def _asked(stored: Mapping[str, Any], read: Expressions, script: Script) -> _Round:
    applies, fails = {}, []
    for key, policy in stored.items():
        found = rule_applies(policy, read)
        applies[key] = script.named(both(found.term, no(found.fails)))
        fails.append(found.fails)
    return _Round(applies, script.named(either(*fails)))


def rule_applies(policy: Mapping[str, Any], read: Expressions) -> BoolTerm:
    """Scope and conditions of a rule, in their order."""
    term, fails = both(*_scopes(policy, read)), FALSE
    for condition in policy.get("conditions", ()):
        found = read.condition(condition["body"])
        truth = found.term if condition["kind"] == "when" else no(found.term)
        fails = either(fails, both(term, found.fails))
        term = both(term, truth)
    return BoolTerm(term, fails=fails)


def _scopes(policy: Mapping[str, Any], read: Expressions) -> Iterator[str]:
    for name in ("principal", "resource"):
        scope, entity = policy[name], read.value({"Var": name})
        assert isinstance(entity, EntityTerm)  # noqa: S101 - they are
        if scope["op"] == "is" and scope["entity_type"] != entity.kind:
            yield FALSE
        within = scope.get("entity") or scope.get("in", {}).get("entity")
        if within is not None:
            yield read.is_in(entity, read.value({"Value": {"__entity": within}}))


def _kinds(
    policy: Policy, applies: Mapping[str, str]
) -> tuple[dict[str, str], dict[str, str], dict[str, str]]:
    """Permits, hold rules, hard rules: when each applies."""
    rules = {key: policy.rules[key] for key in applies}
    permits = {k: applies[k] for k, rule in rules.items() if rule.effect == "permit"}
    holds = {k: applies[k] for k, rule in rules.items() if rule.is_hold}
    return permits, holds, {k: v for k, v in applies.items() if k not in {*permits, *holds}}


def _approved(
    policy: Policy, seen: Mapping[str, Any], holds: Mapping[str, str], words: Words
) -> dict[str, Any]:
    """What rules see when everybody who is asked has agreed."""
    context = seen["context"]
    there, given = context.attributes["approvals"]
    asked = {words.number(role): either(*by) for role, by in _by_role(policy, holds).items()}

    def has(term: str) -> str:
        added = (both(equal(term, str(role)), when) for role, when in asked.items())
        return either(given.has(term), *added)

    attributes = {**context.attributes, "approvals": (there, SetTerm(has))}
    return {**seen, "context": RecordTerm(attributes)}


def _reads_approvals(node: Any) -> bool:
    if isinstance(node, list):
        return any(map(_reads_approvals, node))
    if not isinstance(node, dict):
        return False
    return node.get("attr") == "approvals" or any(map(_reads_approvals, node.values()))


def _again(stored: Mapping[str, Any]) -> dict[str, Any]:
    """The rules whose answer an approval can change. Of the others none fails now: where one did at
    first, nobody is asked."""
    return {key: p for key, p in stored.items() if _reads_approvals(p.get("conditions", []))}


def _by_role(policy: Policy, holds: Mapping[str, str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for key, applies in holds.items():
        found.setdefault(policy.rules[key].role, []).append(applies)
    return found


def _with_votes(policy: Policy, holds: Mapping[str, str], least: int) -> list[str]:
    return [applies for key, applies in holds.items() if policy.rules[key].votes >= least]


def _held(
    policy: Policy, spoken: Answers, symbols: Symbols, words: Words, script: Script
) -> Answers:
    """With what is not known taken into account."""
    roles = {role: both(spoken.hold, asked) for role, asked in spoken.roles.items()}
    votes = {n: both(spoken.hold, asked) for n, asked in spoken.votes.items()}
    spoken = replace(spoken, roles=roles, votes=votes)
    asked = {rule.role for rule in policy.rules.values() if rule.role} | {ROLE}
    approved = either(*(f"({symbols.approvals} {words.number(role)})" for role in sorted(asked)))
    stopped = script.named(both(spoken.permit, symbols.unknown, no(approved)))
    if symbols.tool.name in policy.exempt or stopped == FALSE:
        return spoken
    roles[ROLE] = either(roles.get(ROLE, FALSE), stopped)
    return replace(
        spoken,
        permit=script.named(both(spoken.permit, no(stopped))),
        hold=script.named(either(spoken.hold, stopped)),
        roles=roles,
    )


def easier(one: Answers, other: Answers) -> str:
    """When the first answer asks less of people than the second: permitted where it was held, or
    held where it was denied; or fewer votes, or another role is asked."""
    bolder = either(both(one.permit, no(other.permit)), both(one.hold, other.deny))
    missing = [both(asks, no(one.roles.get(role, FALSE))) for role, asks in other.roles.items()]
    fewer = [both(asks, no(one.votes.get(n, FALSE))) for n, asks in other.votes.items()]
    return either(bolder, both(one.hold, other.hold, either(*missing, *fewer)))


def bolder(one: Answers, other: Answers) -> str:
    """The same, but for who is asked."""
    return either(both(one.permit, no(other.permit)), both(one.hold, other.deny))


def named_in(node: Any) -> Iterator[str]:
    """The texts that a rule writes down, names of entities among them."""
    if isinstance(node, list):
        for item in node:
            yield from named_in(item)
    elif isinstance(node, dict):
        if isinstance(node.get("Value"), str):
            yield node["Value"]
        if isinstance(node.get("id"), str) and isinstance(node.get("type"), str):
            yield node["id"]
        for value in node.values():
            yield from named_in(value)


def patterns_in(node: Any) -> Iterator[Pattern]:
    """The patterns that a rule writes down."""
    if isinstance(node, list):
        for item in node:
            yield from patterns_in(item)
    elif isinstance(node, dict):
        if isinstance(node.get("pattern"), list):
            yield pattern_of(node["pattern"])
        for value in node.values():
            yield from patterns_in(value)


def sets_compared(node: Any) -> int:
    """How many comparisons of two sets, neither written down, a rule has: each may depend on one
    more text."""
    if isinstance(node, list):
        return sum(map(sets_compared, node))
    if not isinstance(node, dict):
        return 0
    found = sum(map(sets_compared, node.values()))
    for kind in ("containsAll", "containsAny", "==", "!=", "isEmpty"):
        sides = node.get(kind)
        if isinstance(sides, dict):
            found += not any("Set" in side or "Value" in side for side in sides.values())
    return found
