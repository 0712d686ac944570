"""A request that shows something, made as small as it gets, with what matters about it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from apps.policy.domain.decision import PolicyDecision
from apps.policy.domain.request import MAX_LONG, Request

RANK = {"permit": 0, "hold": 1, "deny": 2}
GROUPS = ("facts", "conversation", "run", "arguments")
AGENT = ("agent", "agent_kind", "agent_model")
PLAIN_NAMES = {"agent": "an-agent", "agent_kind": "model", "agent_model": ""}
FAR = 10**12  # a number that is none of those that rules name

Shows = Callable[[Request], bool]


@dataclass(frozen=True, slots=True)
class Alteration:
    """How a second request differs from a first one."""

    facts: Mapping[str, Any] | None = None
    hidden: frozenset[str] = frozenset()
    agent: tuple[str, str, str] | None = None
    approvals: frozenset[str] | None = None

    def of(self, request: Request) -> Request:
        facts = {**request.facts, **(self.facts or {})}
        facts = {name: value for name, value in facts.items() if name not in self.hidden}
        changed = replace(request, facts=facts)
        if self.agent is not None:
            slug, kind, model = self.agent
            changed = replace(changed, agent=slug, agent_kind=kind, agent_model=model)
        if self.approvals is not None:
            kept = self.approvals & request.approvals
            changed = replace(changed, approvals=kept)
        return changed


def is_bolder(one: PolicyDecision, other: PolicyDecision) -> bool:
    """Whether the first answer lets more happen than the second."""
    return RANK[one.answer.value] < RANK[other.answer.value]


def is_easier(one: PolicyDecision, other: PolicyDecision) -> bool:
    """The same; of two holds the one that asks fewer votes, or not all the roles."""
    if one.answer == other.answer == "hold":
        return one.votes < other.votes or not set(other.roles) <= set(one.roles)
    return is_bolder(one, other)


def smallest(request: Request, shows: Shows, paths: Collection[str]) -> Request:
    """The same request with all that doesn't matter at its plainest: nothing more can be taken
    away, and no number be made smaller, without losing what it shows. ``paths`` is what rules and
    sentences mention; the rest can't matter."""
    plain = _plain_but_for(request, paths)
    request = plain if shows(plain) else request
    for _ in range(3):
        before = request
        request = _plain_agent(request, shows)
        request = _fewer_approvals(request, shows)
        request = _simpler_values(request, shows, paths)
        if request == before:
            break
    return request


def _plain_but_for(request: Request, paths: Collection[str]) -> Request:
    groups: dict[str, Any] = {
        group: {
            name: value if f"{group}.{name}" in paths else next(_simpler(value), value)
            for name, value in getattr(request, group).items()
        }
        for group in GROUPS[:3]
    }
    return replace(request, **groups)


def _plain_agent(request: Request, shows: Shows) -> Request:
    plain: list[dict[str, Any]] = [{name: PLAIN_NAMES[name]} for name in AGENT]
    for change in (*plain, {"preview_error": ""}, {"listed": True}):
        tried = replace(request, **change)
        if tried != request and shows(tried):
            request = tried
    return request


def _fewer_approvals(request: Request, shows: Shows) -> Request:
    for role in sorted(request.approvals):
        tried = replace(request, approvals=request.approvals - {role})
        request = tried if shows(tried) else request
    return request


def _simpler_values(request: Request, shows: Shows, paths: Collection[str]) -> Request:
    for group, name in _paths(request, paths):
        value = getattr(request, group)[name]
        if isinstance(value, list | tuple):
            request = _fewer_texts(request, group, name, shows)
        elif (simple := next(_simpler(value), value)) != value:
            tried = _with(request, group, name, simple)
            request = tried if shows(tried) else _least(request, group, name, shows)
    return request


def _paths(request: Request, paths: Collection[str]) -> Iterator[tuple[str, str]]:
    for group in GROUPS:
        for name in sorted(getattr(request, group)):
            if group == "arguments" or f"{group}.{name}" in paths:
                yield group, name


def _simpler(value: Any) -> Iterator[Any]:
    """The plainest value of its type; none for what stands in a fact's place."""
    if isinstance(value, bool):
        yield False
    elif isinstance(value, int):
        yield 0
    elif isinstance(value, str):
        yield ""
    elif isinstance(value, list | tuple):
        yield []


def _fewer_texts(request: Request, group: str, name: str, shows: Shows) -> Request:
    tried = _with(request, group, name, [])
    if not getattr(request, group)[name] or shows(tried):
        return tried
    for item in list(getattr(request, group)[name]):
        kept = [text for text in getattr(request, group)[name] if text != item]
        tried = _with(request, group, name, kept)
        request = tried if shows(tried) else request
    return request


def _least(request: Request, group: str, name: str, shows: Shows) -> Request:
    """With the smallest number in this place, found by halving: as small as it gets where what
    matters is a limit."""
    value = getattr(request, group)[name]
    if isinstance(value, bool) or not isinstance(value, int) or value == 0:
        return request
    sign, low, high = (1 if value > 0 else -1), 0, abs(value)
    while high - low > 1:
        middle = (low + high) // 2
        if shows(_with(request, group, name, sign * middle)):
            high = middle
        else:
            low = middle
    return _with(request, group, name, sign * high)


def _with(request: Request, group: str, name: str, value: Any) -> Request:
    changed: dict[str, Any] = {group: {**getattr(request, group), name: value}}
    return replace(request, **changed)


def telling(request: Request, shows: Shows, paths: Collection[str]) -> list[dict[str, Any]]:
    """What matters about a request: what the example would not show if it were otherwise."""
    found = []
    for group, name in _paths(request, paths):
        value = getattr(request, group)[name]
        if any(not shows(_with(request, group, name, other)) for other in _others(value)):
            found.append({"name": f"{group}.{name}", "value": value})
    for name in AGENT:
        if getattr(request, name) != PLAIN_NAMES[name]:
            found.append({"name": name.replace("_", "."), "value": getattr(request, name)})
    if request.approvals:
        found.append({"name": "approvals", "value": sorted(request.approvals)})
    if request.preview_error:
        found.append({"name": "preview", "value": "failed"})
    if not request.listed:
        found.append({"name": "listed", "value": False})
    return found


def _others(value: Any) -> Iterator[Any]:
    if isinstance(value, bool):
        yield not value
    elif isinstance(value, int):
        yield from {value - 1, value + 1, 0, FAR, MAX_LONG} - {value}
    elif isinstance(value, str):
        yield from ("", "something else")
    elif isinstance(value, list | tuple):
        yield from ([], [*value, "something else"])
