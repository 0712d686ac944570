"""Requests and rules made at random, and what the formulas say of each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from random import Random
from typing import Any

import z3

from apps.policy.adapters import Evaluator
from apps.policy.adapters.cedar import policy_of
from apps.policy.adapters.solving import said
from apps.policy.domain.proofs.questions import About, tools_of
from apps.policy.domain.proofs.requests import argument_of
from apps.policy.domain.proofs.symbols import Symbols
from apps.policy.domain.proofs.values import BoolTerm, LongTerm, SetTerm, SymbolicValue, TextTerm
from apps.policy.domain.request import CONVERSATION, MAX_LONG, MIN_LONG, RUN, Request
from apps.policy.domain.schema import ToolDeclaration, cedar_schema

NUMBERS = (0, 1, -1, 2, 3, 5, 7, 4_999, 5_000, 5_001, 10_000, 10_001, 1_000_001, MAX_LONG, MIN_LONG)
PATTERNS = ('"a*"', '"*"', '"*b"', '"ab"', '"a*b*"')
SIGNS = ("<", "<=", ">", ">=", "==", "!=")
ODD = (None, 1.5, "1000001", {"a": 1}, [1, 2], 2**64)


class Formulas:
    """The formulas of one tool, asked about one request after the other."""

    def __init__(self, about: About) -> None:
        self.about = about
        answers = about.answers
        self._names = ["permit", "hold", "deny", *answers.roles, *answers.votes]
        formulas = [answers.permit, answers.hold, answers.deny]
        formulas += [*answers.roles.values(), *answers.votes.values()]
        context = z3.Context()
        text = "\n".join([*about.script.lines, *(f"(assert {f})" for f in formulas)])
        parsed = list(z3.parse_smt2_string(text, ctx=context))
        base = len(parsed) - len(formulas)
        self._asked, self._context = parsed[base:], context
        self._solver = z3.Solver(ctx=context)
        self._solver.add(*parsed[:base])

    def say(self, request: Request) -> tuple[Any, ...]:
        """Answer, roles and votes."""
        pins = "\n".join(f"(assert {pin})" for pin in self._pins(request))
        declared = [ln for ln in self.about.script.lines if ln.startswith("(declare-fun")]
        self._solver.push()
        self._solver.add(*z3.parse_smt2_string("\n".join([*declared, pins]), ctx=self._context))
        assert self._solver.check() == z3.sat, "a request that the formulas leave out"
        model = self._solver.model()
        true = {
            name: z3.is_true(model.eval(asked, model_completion=True))
            for name, asked in zip(self._names, self._asked, strict=True)
        }
        self._solver.pop()
        (answer,) = [name for name in ("permit", "hold", "deny") if true[name]]
        if answer != "hold":
            return answer, (), 0
        roles = tuple(sorted(role for role in self.about.answers.roles if true[role]))
        return answer, roles, max((n for n in self.about.answers.votes if true[n]), default=1)

    def _pins(self, request: Request) -> Iterator[str]:
        symbols: Symbols = self.about.symbols
        yield _is(symbols.listed, request.listed)
        if symbols.preview_failed != "false":
            yield _is(symbols.preview_failed, bool(request.preview_error))
        for name, fact in symbols.facts.items():
            came = name in request.facts
            known = came and _fits(request.facts[name], fact.declared.kind)
            yield _is(fact.known, known)
            yield _is(fact.odd, came and not known)
            if known:
                yield from self._pinned(fact.value, request.facts[name])
        others = {
            "agent.id": request.agent,
            "agent.kind": request.agent_kind,
            "agent.model": request.agent_model,
            **{f"conversation.{n}": v for n, v in request.conversation.items()},
            **{f"run.{n}": v for n, v in request.run.items()},
        }
        for path, value in others.items():
            yield from self._pinned(symbols.others[path], value)
        lines = {line for line in self.about.words.all if _says(request.arguments, line)}
        for n, word in enumerate(self.about.words.all):
            yield _is(f"({symbols.approvals} {n})", word in request.approvals)
            yield _is(f"({symbols.arguments} {n})", word in lines)

    def _pinned(self, symbol: SymbolicValue, value: Any) -> Iterator[str]:
        words = self.about.words
        if isinstance(symbol, SetTerm):
            for n, word in enumerate(words.all):
                yield _is(symbol.has(str(n)), word in value)
        elif isinstance(symbol, TextTerm):
            yield f"(= {symbol.term} {words.number(value)})"
        elif isinstance(symbol, LongTerm):
            yield f"(= {symbol.term} {value if value >= 0 else f'(- {-value})'})"
        else:
            assert isinstance(symbol, BoolTerm)
            yield _is(symbol.term, value)


def _is(term: str, truth: bool) -> str:
    return term if truth else f"(not {term})"


def _fits(value: Any, kind: str) -> bool:
    if kind == "bool":
        return isinstance(value, bool)
    if kind == "long":
        return (
            isinstance(value, int)
            and not isinstance(value, bool)
            and abs(value) < 2**64 - 1
            and MIN_LONG <= value <= MAX_LONG
        )
    if kind == "string":
        return isinstance(value, str)
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _says(arguments: Mapping[str, Any], line: str) -> bool:
    pair = argument_of(line)
    return (
        pair is not None
        and pair[0] in arguments
        and arguments[pair[0]] == pair[1]
        and (isinstance(arguments[pair[0]], bool) == isinstance(pair[1], bool))
    )


class Requests:
    """Requests about one tool at random: mostly such as rules tell apart."""

    def __init__(self, about: About, random: Random) -> None:
        self._about, self._random = about, random
        self._words = list(about.words.all)

    def make(self) -> Request:
        random, tool = self._random, self._about.tool
        facts = {
            name: random.choice(ODD[:-1] if fact.kind == "set" else ODD)
            if random.random() < 0.03
            else self._value(fact.kind)
            for name, fact in tool.facts.items()
            if random.random() < 0.95
        }
        facts = {n: v for n, v in facts.items() if not _lucky(v, tool.facts[n].kind)}
        groups = {
            "conversation": {name: self._value(kind, 0) for name, kind in CONVERSATION.items()},
            "run": {name: self._value(kind, 0) for name, kind in RUN.items()},
        }
        if random.random() < 0.6:
            groups["conversation"]["confirmed"] = True
        pairs = [p for w in self._words if (p := argument_of(w)) and random.random() < 0.5]
        return Request(
            agent=random.choice(self._words),
            tool=tool.name,
            domain=tool.domain,
            effect=tool.effect,
            listed=random.random() < 0.9,
            agent_kind=random.choice(self._words),
            agent_model=random.choice(self._words),
            facts=facts,
            arguments=dict(pairs),
            approvals=frozenset(self._some() if random.random() < 0.3 else ()),
            preview_error="failed" if tool.previewed and random.random() < 0.05 else "",
            **groups,
        )

    def _value(self, kind: str, least: int = MIN_LONG) -> Any:
        random = self._random
        if kind == "bool":
            return random.random() < 0.5
        if kind == "long":
            return max(least, random.choice(NUMBERS))
        return random.choice(self._words) if kind == "string" else self._some()

    def _some(self) -> list[str]:
        return sorted(w for w in self._words if self._random.random() < 0.15)


def _lucky(value: Any, kind: str) -> bool:
    """An odd value that fits this kind after all."""
    return value in ODD and isinstance(value, str) and kind == "string"


SCHEMA = cedar_schema(
    [
        ToolDeclaration(
            "pay",
            "irreversible",
            {"amount": "long", "rest": "long?", "own": "bool", "to": "string", "tags": "set?"},
            "dry_pay",
        ),
        ToolDeclaration("note", "write", {"to": "string?", "size": "long"}),
        ToolDeclaration("look", "read"),
    ]
)
LIMITS = {"most": 5_000, "few": -3}


class Rules:
    """Policy texts at random, well typed for the most part."""

    def __init__(self, random: Random) -> None:
        self._random = random

    def text(self) -> str:
        random = self._random
        rules = ["permit(principal, action, resource) when { resource.listed };"]
        for n in range(random.randint(1, 6)):
            rules.append(self._rule(n))
        return "\n".join(rules)

    def _rule(self, n: int) -> str:
        random = self._random
        action = random.choice(
            [
                "action",
                'action == Action::"pay"',
                'action in [Action::"write", Action::"pay"]',
                'action in Action::"irreversible"',
            ]
        )
        who = random.choice(["principal"] * 4 + ['principal == Agent::"a"', "principal is Agent"])
        effect = random.choice(["permit", "forbid", "forbid", "forbid"])
        body = f"when {{ {self._bool(random.randint(1, 4))} }}"
        if effect == "forbid" and random.random() < 0.6:
            role = random.choice(["operator", "admin"])
            votes = random.choice(["1", "2", "3"])
            lifted = f'unless {{ context.approvals.contains("{role}") }}'
            if random.random() < 0.15:
                lifted = ""
            return (
                f'@id("r{n}") @reason("r") @require_approval("{role}") @votes("{votes}")'
                f" forbid({who}, {action}, resource) {body} {lifted};"
            )
        return f'@id("r{n}") @reason("r") {effect}({who}, {action}, resource) {body};'

    def _bool(self, depth: int) -> str:
        random = self._random
        if depth <= 0:
            return random.choice(
                [
                    "context.facts has amount",
                    "context.facts has to",
                    "context.conversation.confirmed",
                    "context.facts.own",
                    "resource.listed",
                    "true",
                    "false",
                    "context.facts has nothing",
                    'context.approvals.contains("operator")',
                    "context.run has steps",
                ]
            )
        d = depth - 1
        return random.choice(
            [
                lambda: f"({self._bool(d)} && {self._bool(d)})",
                lambda: f"({self._bool(d)} || {self._bool(d)})",
                lambda: f"!({self._bool(d)})",
                lambda: f"(if {self._bool(d)} then {self._bool(d)} else {self._bool(d)})",
                lambda: f"({self._long(d)} {random.choice(SIGNS)} {self._long(d)})",
                lambda: f"({self._word()} {random.choice(['==', '!='])} {self._word()})",
                lambda: f"({self._word()} like {random.choice(PATTERNS)})",
                lambda: f"{self._set()}.contains({self._word()})",
                lambda: (
                    f"{self._set()}.{random.choice(['containsAny', 'containsAll'])}({self._set()})"
                ),
                lambda: f"({self._set()} == {self._set()})",
                lambda: f"{self._set()}.isEmpty()",
                lambda: random.choice(
                    [
                        'principal in Agent::"a"',
                        "principal is Agent",
                        'principal == Agent::"b"',
                        'action in Action::"write"',
                        'action == Action::"pay"',
                        "resource is Tool",
                        'resource == Tool::"toys/pay"',
                        f"({self._long(d)} == {self._word()})",
                    ]
                ),
            ]
        )()

    def _long(self, depth: int) -> str:
        random = self._random
        if depth <= 0 or random.random() < 0.4:
            return random.choice(
                [
                    "context.facts.amount",
                    "context.facts.rest",
                    "context.limits.most",
                    "0",
                    "5000",
                    "context.limits.few",
                    "context.run.steps",
                    "-1",
                    "9223372036854775807",
                    "3",
                    "context.facts.size",
                    "context.conversation.customer_messages",
                ]
            )
        d = depth - 1
        return random.choice(
            [
                lambda: f"({self._long(d)} {random.choice(['+', '-'])} {self._long(d)})",
                lambda: f"({self._long(d)} * {random.choice(['2', '-3', '4611686018427387904'])})",
                lambda: f"-({self._long(d)})",
                lambda: f"(if {self._bool(d)} then {self._long(d)} else {self._long(d)})",
            ]
        )()

    def _word(self) -> str:
        return self._random.choice(
            [
                "context.facts.to",
                "principal.kind",
                "principal.model",
                "context.conversation.language",
                '"a"',
                '"ab"',
                '"operator"',
                "resource.name",
                '""',
                '"axb"',
                "resource.effect",
            ]
        )

    def _set(self) -> str:
        return self._random.choice(
            [
                "context.facts.tags",
                "context.run.reads_before",
                "context.arguments",
                '["a", "ab"]',
                "context.conversation.signals",
                '["a=1", "b=x"]',
                "context.approvals",
                '["a"]',
                "[context.facts.to]",
            ]
        )


def abouts(
    text: str, limits: Mapping[str, int], schema: Any, domain: str, exempt: Any = ()
) -> Iterator[About]:
    """Each tool of a schema, with what this text says of it."""
    policy = policy_of(text, limits, schema, exempt)
    for tool in tools_of(schema, domain):
        yield About(tool, policy)


def mismatches(about: About, evaluator: Evaluator, requests: list[Request]) -> list[Any]:
    """Requests to which the formulas say something else than the evaluator."""
    formulas = Formulas(about)
    verdicts = evaluator.evaluate_batch(requests)
    found = []
    for request, verdict in zip(requests, verdicts, strict=True):
        if formulas.say(request) != said(verdict):
            found.append((request, formulas.say(request), said(verdict), verdict.errors))
    return found


__all__ = ["LIMITS", "SCHEMA", "Requests", "Rules", "abouts", "mismatches"]
