"""A rule as people know it: its id, its reason, what it is for, and what it compares.

Read from Cedar's own JSON form of a policy, so that nothing about a rule is written down twice.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from apps.policy.domain.conditions import FLIPPED, OPERATORS, FiringCondition, comparisons, path_of

MIN_RISK, MAX_RISK = 1, 4
MAX_VOTES = 3
BUILT_IN = ("facts-unknown", "may-go-without-facts")  # what the evaluator says of unknown effects
GROUPS = ("facts", "conversation", "run")

Node = Any


@dataclass(frozen=True, slots=True)
class Observation:
    """Something a rule reads: ``facts.amount_cents``, and the limit it is compared with, if any."""

    path: str
    operator: str = ""
    limit: str = ""

    @property
    def group(self) -> str:
        return self.path.partition(".")[0]

    @property
    def name(self) -> str:
        return self.path.partition(".")[2]


@dataclass(frozen=True, slots=True)
class Rule:
    """One policy of a text. ``role`` is empty for a hard rule or a permit."""

    key: str
    id: str
    effect: str
    reason: str
    purpose: str
    role: str
    votes: int
    risk: int
    observations: tuple[Observation, ...] = ()
    actions: tuple[str, ...] = ()
    comparisons: tuple[FiringCondition, ...] = ()  # each makes it fire
    passkey: bool = False  # whoever approves has to sign with a passkey
    ungranted: bool = False  # no grant answers what it holds

    @property
    def is_hold(self) -> bool:
        return self.effect == "forbid" and bool(self.role)

    def shown(self, context: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """What a decision row keeps of this rule; with ``context``, what it looked at as well."""
        shown: dict[str, Any] = {
            "id": self.id,
            "reason": self.reason,
            "effect": self.effect,
            "roles": [self.role] if self.role else [],
            "votes": self.votes,
            "risk": self.risk,
        }
        if self.passkey:
            shown["passkey"] = True
        if self.ungranted:
            shown["grants"] = NO_GRANTS
        if self.purpose:
            shown["purpose"] = self.purpose
        if context is not None:
            told = ((c.path, c.expected(context)) for c in self.comparisons[::-1])
            found = {path: wanted for path, wanted in told if wanted}
            shown["observed"] = list(_observed(self.observations, context, found))
        return shown


def read_rule(key: str, policy: Mapping[str, Any]) -> Rule:
    """Read one policy of Cedar's JSON form. Odd annotation values fall back to the careful side;
    ``annotation_faults`` reports them when a text is saved."""
    notes = policy.get("annotations") or {}
    role = notes.get("require_approval") or ""
    hold = policy["effect"] == "forbid" and bool(role)
    bodies = [condition["body"] for condition in policy.get("conditions", [])]
    return Rule(
        key=key,
        id=notes.get("id") or key,
        effect=policy["effect"],
        reason=notes.get("reason") or "",
        purpose=notes.get("purpose") or "",
        role=role if hold else "",
        votes=_number(notes.get("votes"), 1, 1, MAX_VOTES) if hold else 0,
        risk=_number(notes.get("risk"), 2 if hold else _plain_risk(policy), MIN_RISK, MAX_RISK),
        observations=_without_doubles(o for body in bodies for o in _observations(body)),
        actions=tuple(_actions(policy.get("action") or {})),
        comparisons=comparisons(policy.get("conditions", [])),
        passkey=hold and "passkey" in notes,
        ungranted=hold and "grants" in notes,
    )


def annotation_faults(
    policy: Mapping[str, Any], roles: Sequence[str]
) -> Iterator[tuple[str, str, str]]:
    """Yield ``(annotation, what is wrong, how to mend it)`` for one policy of the JSON form."""
    notes = policy.get("annotations") or {}
    forbid = policy["effect"] == "forbid"
    role = notes.get("require_approval")
    if not notes.get("id"):
        yield "id", "this rule has no id", 'add @id("a-short-name")'
    elif notes["id"] in BUILT_IN:
        yield "id", f"“{notes['id']}” names a rule that is built in", "give it another id"
    if forbid and not notes.get("reason"):
        yield "reason", "this rule has no reason to show to people", 'add @reason("…")'
    yield from _unknown_names(notes)
    if role is None:
        yield from _needs_role(notes)
        return
    if not forbid:
        fix = "only a forbid can wait for approval"
        yield "require_approval", "a permit cannot require approval", fix
        return
    if role not in roles:
        known = ", ".join(roles)
        yield "require_approval", f"no role “{role}” decides approvals", f"use one of: {known}"
    elif not _closes_with(policy, role):
        fix = f'end it with: unless {{ context.approvals.contains("{role}") }}'
        yield "require_approval", f"no approval by {role} could ever lift this rule", fix
    yield from _out_of_range(notes, "votes", 1, MAX_VOTES)
    yield from _out_of_range(notes, "risk", MIN_RISK, MAX_RISK)
    yield from _odd_words(notes)


def names_read(policy: Mapping[str, Any], group: str) -> set[str]:
    """Names that a policy reads under ``context.<group>``, ``has`` tests included."""
    bodies = [condition["body"] for condition in policy.get("conditions", [])]
    found = {path.partition(".")[2] for body in bodies for path in _paths(body, {group})}
    return {name for name in found if name}


KNOWN_ANNOTATIONS = (
    *("id", "reason", "purpose", "require_approval", "votes", "risk"),
    *("passkey", "grants"),
)
PASSKEY, NO_GRANTS = "required", "never"


def _unknown_names(notes: Mapping[str, str]) -> Iterator[tuple[str, str, str]]:
    for name in notes:
        if name not in KNOWN_ANNOTATIONS:
            known = ", ".join(f"@{known}" for known in KNOWN_ANNOTATIONS)
            yield name, f"unknown annotation @{name}", f"use one of: {known}"


def _needs_role(notes: Mapping[str, str]) -> Iterator[tuple[str, str, str]]:
    for name in ("votes", "passkey", "grants"):
        if name in notes:
            told = f"@{name} means nothing without @require_approval"
            yield name, told, "remove it or add the role"
    yield from _out_of_range(notes, "risk", MIN_RISK, MAX_RISK)


def _odd_words(notes: Mapping[str, str]) -> Iterator[tuple[str, str, str]]:
    for name, word in (("passkey", PASSKEY), ("grants", NO_GRANTS)):
        if notes.get(name, word) != word:
            yield name, f"@{name} is “{notes[name]}”", f'write @{name}("{word}")'


def _out_of_range(
    notes: Mapping[str, str], name: str, low: int, high: int
) -> Iterator[tuple[str, str, str]]:
    value = notes.get(name)
    if value is not None and _number(value, -1, low, high) == -1:
        yield name, f"@{name} is “{value}”", f"use a whole number from {low} to {high}"


def _number(value: str | None, default: int, low: int, high: int) -> int:
    if value is None or not (value.isascii() and value.isdigit()):
        return default
    return int(value) if low <= int(value) <= high else default


def _plain_risk(policy: Mapping[str, Any]) -> int:
    return 3 if policy["effect"] == "forbid" else MIN_RISK


def _closes_with(policy: Mapping[str, Any], role: str) -> bool:
    wanted = {
        "contains": {
            "left": {".": {"left": {"Var": "context"}, "attr": "approvals"}},
            "right": {"Value": role},
        }
    }
    conditions = policy.get("conditions", [])
    return any(c["kind"] == "unless" and c["body"] == wanted for c in conditions)


def _actions(scope: Mapping[str, Any]) -> Iterator[str]:
    for entity in [scope.get("entity"), *scope.get("entities", [])]:
        if entity:
            yield entity.get("__entity", entity)["id"]


def _paths(node: Node, groups: set[str]) -> Iterator[str]:
    if isinstance(node, list):
        for item in node:
            yield from _paths(item, groups)
    if not isinstance(node, dict):
        return
    if "has" in node:
        yield from (
            f"{p}.{node['has']['attr']}" for p in [path_of(node["has"]["left"])] if p in groups
        )
    path = path_of(node)
    if path.partition(".")[0] in groups:
        yield path
    for value in node.values():
        yield from _paths(value, groups)


def _observations(node: Node) -> Iterator[Observation]:
    """What a condition compares with a limit first, then what else it reads."""
    for part in _parts(node):
        for operator in OPERATORS.keys() & part.keys():
            yield from _comparison(operator, part[operator])
    for part in _parts(node):
        path = path_of(part)
        if "." in path and path.partition(".")[0] in GROUPS:
            yield Observation(path)


def _parts(node: Node) -> Iterator[dict[str, Any]]:
    """Every expression within an expression, itself first; what a ``has`` test asks is left out."""
    if isinstance(node, list):
        for item in node:
            yield from _parts(item)
    elif isinstance(node, dict):
        yield node
        for key, value in node.items():
            if key != "has":
                yield from _parts(value)


def _comparison(operator: str, sides: Mapping[str, Node]) -> Iterator[Observation]:
    left, right = path_of(sides["left"]), path_of(sides["right"])
    if left and right.startswith("limits."):
        yield Observation(left, OPERATORS[operator], right.partition(".")[2])
    elif right and left.startswith("limits."):
        yield Observation(right, FLIPPED[operator], left.partition(".")[2])


def _without_doubles(found: Iterator[Observation]) -> tuple[Observation, ...]:
    kept: dict[str, Observation] = {}
    for observation in found:
        known = kept.get(observation.path)
        if known is None or (observation.limit and not known.limit):
            kept[observation.path] = observation
    return tuple(kept.values())


def _observed(
    observations: Sequence[Observation],
    context: Mapping[str, Any],
    expected: Mapping[str, Mapping[str, Any]],
) -> Iterator[dict[str, Any]]:
    for observation in observations:
        group = context.get(observation.group, {})
        if observation.name not in group:
            continue
        seen: dict[str, Any] = {"name": observation.path, "value": group[observation.name]}
        if observation.limit:
            seen["operator"] = observation.operator
            seen["limit"] = observation.limit
            seen["limit_value"] = context.get("limits", {}).get(observation.limit)
        if wanted := expected.get(observation.path):
            seen["expected"] = wanted
        yield seen
