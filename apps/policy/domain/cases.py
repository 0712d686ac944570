"""Tests beside a policy: a request, the answer that it should get, and by which rules.

What a case doesn't mention is not looked for: its rules see it as not known, and nobody is asked
because of it. ``missing`` names facts that should have been known.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from apps.kernel.documents import Document, Problem
from apps.policy.domain.decision import PolicyDecision
from apps.policy.domain.request import CONVERSATION, RUN, Request, has_type
from apps.policy.domain.schema import FactDeclaration, declared_facts

KEY = "tests"
MOST = 300
ANSWERS = ("permit", "hold", "deny")
GROUPS = ("facts", "conversation", "run", "arguments", "agent")
FIELDS = ("name", "tool", *GROUPS, "missing", "approvals", "listed", "preview", "expect", "by")
AGENT = ("slug", "kind", "model")

Schema = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class PolicyTest:
    """``nth`` is its place in the document; ``by`` are rules that have to be among those that
    determine the answer."""

    nth: int
    name: str
    tool: str
    expect: str
    by: tuple[str, ...] = ()
    stated: Mapping[str, Any] = field(default_factory=dict)

    def request(self, schema: Schema, domain: str) -> Request:
        """The question. The effect class is the one that the schema gives the tool."""
        stated, agent = self.stated, self.stated.get("agent") or {}
        facts = dict(stated.get("facts") or {})
        return Request(
            agent=str(agent.get("slug", "an-agent")),
            agent_kind=str(agent.get("kind", "")),
            agent_model=str(agent.get("model", "")),
            tool=self.tool,
            domain=domain,
            effect=schema[""]["actions"][self.tool]["memberOf"][0]["id"],
            listed=stated.get("listed", True),
            facts=facts,
            conversation=stated.get("conversation") or {},
            run=stated.get("run") or {},
            arguments=stated.get("arguments") or {},
            approvals=frozenset(stated.get("approvals") or ()),
            preview_error="The preview failed" if stated.get("preview") == "failed" else "",
            asked_for=frozenset({*facts, *(stated.get("missing") or ())}),
        )


@dataclass(frozen=True, slots=True)
class Outcome:
    """A case, and what was answered."""

    case: PolicyTest
    answer: str
    by: tuple[str, ...]
    errors: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        return self.answer == self.case.expect and set(self.case.by) <= set(self.by)

    @property
    def words(self) -> str:
        """What was answered, and what should have been."""
        by = f" by {', '.join(self.by)}" if self.by else ""
        because = f" ({self.errors[0]})" if self.errors else ""
        wanted = f" by {', '.join(self.case.by)}" if self.case.by else ""
        return f"expected {self.case.expect}{wanted}, got {self.answer}{by}{because}"


def read_cases(value: Any) -> tuple[PolicyTest, ...]:
    """The cases of a document that are written as they should be."""
    entries = value if isinstance(value, list) else []
    return tuple(
        PolicyTest(n, e["name"].strip(), e["tool"], e["expect"], tuple(e.get("by") or ()), e)
        for n, e in enumerate(entries[:MOST])
        if not list(_faults(e))
    )


def tried(
    cases: Sequence[PolicyTest],
    ask: Callable[[Sequence[Request]], list[PolicyDecision]],
    schema: Schema,
    domain: str,
) -> list[Outcome]:
    """What is answered to each case."""
    verdicts = ask([case.request(schema, domain) for case in cases])
    return [
        Outcome(case, v.answer.value, tuple(str(r["id"]) for r in v.rules), v.errors)
        for case, v in zip(cases, verdicts, strict=True)
    ]


def failures(outcomes: Sequence[Outcome], source: Document) -> Iterator[Problem]:
    """The cases that failed, as problems of the text."""
    for outcome in outcomes:
        if not outcome.passed:
            message = f"The test “{outcome.case.name}” fails: {outcome.words}."
            fix = "Mend the rules, or what the test expects."
            yield source.problem((KEY, outcome.case.nth, "expect"), message, fix)


def case_problems(source: Document) -> list[Problem]:
    """What is wrong with how cases are written."""
    stated = source.value.get(KEY)
    if stated is None:
        return []
    if not isinstance(stated, list) or len(stated) > MOST:
        fix = f"Write a list of up to {MOST}: “- name: …”, “tool: …”, “expect: hold”."
        return [source.problem((KEY,), "Tests are not a list.", fix)]
    found = []
    for n, entry in enumerate(stated):
        for name, message, fix in _faults(entry):
            place: tuple[str | int, ...] = (KEY, n, name) if name else (KEY, n)
            found.append(source.problem(place, message, fix))
    return found


def unknown_names(cases: Sequence[PolicyTest], source: Document, schema: Schema) -> list[Problem]:
    """Tools and facts of cases that the schema doesn't have, and values of other types: a test of
    what can't be would test nothing."""
    facts, found = declared_facts(schema), []
    for case in cases:
        if case.tool not in facts:
            words = f"There is no tool “{case.tool}”."
            found.append(
                source.problem((KEY, case.nth, "tool"), words, "Name a tool of the domain.")
            )
            continue
        for group, message in _misfits(case, facts[case.tool]):
            found.append(source.problem((KEY, case.nth, group), message, ""))
    return found


def _misfits(case: PolicyTest, facts: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    known = {name: FactDeclaration.of(written).kind for name, written in facts.items()}
    kinds = (("facts", known), ("conversation", CONVERSATION), ("run", RUN))
    for group, types in kinds:
        for name, value in (case.stated.get(group) or {}).items():
            if name not in types:
                yield group, f"“{case.tool}” knows no {group} “{name}”."
            elif group != "facts" and not has_type(value, types[name]):
                yield group, f"“{name}” is not of its type, {types[name]}."
    for name in case.stated.get("missing") or ():
        if name not in known:
            yield "missing", f"“{case.tool}” knows no fact “{name}”."


Fault = tuple[str, str, str]


def _faults(entry: Any) -> Iterator[Fault]:
    if not isinstance(entry, dict):
        yield "", "This is no test.", "Write name, tool and expect."
        return
    for name in entry:
        if name not in FIELDS:
            yield name, f"“{name}” is not a key here.", f"Use only {', '.join(FIELDS)}."
    yield from _lacks(entry)
    if entry.get("expect") not in ANSWERS:
        yield "", "It doesn't say what to expect.", f"Add “expect:” {', '.join(ANSWERS)}."
    for name in GROUPS:
        if not isinstance(entry.get(name) or {}, dict):
            yield name, f"“{name}” is not a group of keys.", ""
    yield from _odd_values(entry)


def _lacks(entry: Mapping[str, Any]) -> Iterator[Fault]:
    for name in ("name", "tool"):
        if not isinstance(entry.get(name), str) or not entry[name].strip():
            yield "", f"It has no {name}.", f"Add “{name}: …”."


def _odd_values(entry: Mapping[str, Any]) -> Iterator[Fault]:
    for name in ("missing", "approvals", "by"):
        value = entry.get(name) or []
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            yield name, f"“{name}” is not a list of names.", f"Write “{name}: [one, two]”."
    if not isinstance(entry.get("listed", True), bool):
        yield "listed", "“listed” is neither true nor false.", ""
    if entry.get("preview", "failed") != "failed":
        yield "preview", "Of a preview one can only say that it failed.", "Write “preview: failed”."
    for name in set(entry.get("agent") or {}) - set(AGENT) if _is_group(entry, "agent") else ():
        yield "agent", f"An agent has no “{name}”.", f"Use {', '.join(AGENT)}."


def _is_group(entry: Mapping[str, Any], name: str) -> bool:
    return isinstance(entry.get(name) or {}, dict)
