"""What can differ between two requests about one tool, as the unknowns of a question."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from apps.policy.domain.proofs.formulas import FALSE, TRUE, both, either, no, number
from apps.policy.domain.proofs.values import (
    BoolTerm,
    EntityTerm,
    LongTerm,
    RecordTerm,
    SetTerm,
    SymbolicValue,
    TextTerm,
)
from apps.policy.domain.proofs.words import Words
from apps.policy.domain.request import CONVERSATION, MAX_LONG, MIN_LONG, RUN, Reads
from apps.policy.domain.schema import FactDeclaration

AGENT = {"agent.id": "string", "agent.kind": "string", "agent.model": "string"}
NAMED_FROM = 48  # characters: a longer term gets a name, so that no formula grows with its uses


@dataclass(frozen=True, slots=True)
class ToolShape:
    """A tool as the schema declares it, in the domain that the requests come from. ``previewed``:
    its facts come from a preview, which may fail."""

    name: str
    effect: str
    domain: str
    facts: Mapping[str, FactDeclaration] = field(default_factory=dict)
    previewed: bool = False


class Script:
    """Declarations and assertions, in order, as SMT-LIB text."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._names = 0
        self._known: dict[tuple[str, str], str] = {}

    def fresh(self, sort: str, takes: str = "") -> str:
        self._names += 1
        name = f"x{self._names}"
        self.lines.append(f"(declare-fun {name} ({takes}) {sort})")
        return name

    def require(self, formula: str) -> None:
        if formula != TRUE:
            self.lines.append(f"(assert {formula})")

    def named(self, term: str, sort: str = "Bool") -> str:
        """A name for a long term, the same for the same."""
        if len(term) < NAMED_FROM:
            return term
        found = self._known.get((sort, term))
        if found is None:
            self._names += 1
            found = f"d{self._names}"
            self.lines.append(f"(define-fun {found} () {sort} {term})")
            self._known[(sort, term)] = found
        return found


@dataclass(frozen=True, slots=True)
class FactSymbol:
    """``known``: it came, as declared. ``odd``: something else came in its place."""

    declared: FactDeclaration
    known: str
    odd: str
    value: SymbolicValue


@dataclass(frozen=True, slots=True)
class Symbols:
    """The unknowns of one request. ``others`` are agent, conversation and run by path."""

    tool: ToolShape
    listed: str
    approvals: str  # a function from words
    arguments: str
    preview_failed: str
    facts: Mapping[str, FactSymbol]
    others: Mapping[str, SymbolicValue]

    @property
    def unknown(self) -> str:
        """Whether something had to be known of the change and isn't: see ``domain.unknown``."""
        if self.tool.effect == "read":
            return FALSE
        missing = (
            f.odd if f.declared.optional else either(no(f.known), f.odd)
            for f in self.facts.values()
        )
        return either(self.preview_failed, *missing)


def symbols_of(tool: ToolShape, words: Words, script: Script) -> Symbols:
    """Unknowns for everything, each within what it can be."""
    others = {
        **{path: _value(kind, words, script) for path, kind in AGENT.items()},
        **{
            f"{group}.{name}": _value(kind, words, script, least=0)
            for group, kinds in (("conversation", CONVERSATION), ("run", RUN))
            for name, kind in kinds.items()
        },
    }
    return Symbols(
        tool=tool,
        listed=script.fresh("Bool"),
        approvals=script.fresh("Bool", "Int"),
        arguments=script.fresh("Bool", "Int"),
        preview_failed=script.fresh("Bool") if tool.previewed else FALSE,
        facts={name: _fact(fact, words, script) for name, fact in sorted(tool.facts.items())},
        others=others,
    )


def _fact(declared: FactDeclaration, words: Words, script: Script) -> FactSymbol:
    known, odd = script.fresh("Bool"), script.fresh("Bool")
    script.require(no(both(known, odd)))
    return FactSymbol(declared, known, odd, _value(declared.kind, words, script))


def _value(kind: str, words: Words, script: Script, *, least: int = MIN_LONG) -> SymbolicValue:
    if kind == "bool":
        return BoolTerm(script.fresh("Bool"))
    if kind == "set":
        return many(script.fresh("Bool", "Int"))
    low, high = (least, MAX_LONG) if kind == "long" else (0, len(words.all) - 1)
    term = script.fresh("Int")
    script.require(f"(<= {number(low)} {term} {number(high)})")
    return LongTerm(term) if kind == "long" else TextTerm(term)


def many(function: str) -> SetTerm:
    """A set of words by what says of each whether it is in."""
    return SetTerm(lambda term: f"({function} {term})")


def with_fact(symbols: Symbols, name: str, changed: FactSymbol) -> Symbols:
    return replace(symbols, facts={**symbols.facts, name: changed})


def without_facts(symbols: Symbols, hidden: Mapping[str, str]) -> Symbols:
    """The same request, of which these facts are missing when what stands for them is true."""
    facts = {
        name: replace(
            fact, known=both(fact.known, no(hidden[name])), odd=both(fact.odd, no(hidden[name]))
        )
        if name in hidden
        else fact
        for name, fact in symbols.facts.items()
    }
    return replace(symbols, facts=facts)


def variables(
    symbols: Symbols,
    limits: Mapping[str, int],
    words: Words,
    mentioned: Iterable[str],
    reads: Reads,
) -> dict[str, SymbolicValue]:
    """What a rule sees: principal, action, resource and context. ``mentioned``: the facts that
    are sent since the text mentions them; ``reads``: so for everything else."""
    tool = symbols.tool
    agent = {name: (TRUE, symbols.others[f"agent.{name}"]) for name in ("kind", "model")}
    resource = {
        "domain": tool.domain,
        "name": tool.name,
        "effect": tool.effect,
    }
    known: dict[str, tuple[str, SymbolicValue]] = {
        name: (TRUE, TextTerm(str(words.number(word)))) for name, word in resource.items()
    }
    principal = symbols.others["agent.id"]
    assert isinstance(principal, TextTerm)  # noqa: S101 - AGENT says so
    own = str(words.number(f"{tool.domain}/{tool.name}"))
    return {
        "principal": EntityTerm("Agent", principal.term, agent),
        "action": EntityTerm(
            "Action", str(words.number(tool.name)), {}, (("Action", tool.effect),)
        ),
        "resource": EntityTerm("Tool", own, {**known, "listed": (TRUE, BoolTerm(symbols.listed))}),
        "context": RecordTerm(_context(symbols, limits, set(mentioned), reads)),
    }


def _context(
    symbols: Symbols, limits: Mapping[str, int], mentioned: set[str], reads: Reads
) -> dict[str, tuple[str, SymbolicValue]]:
    facts = {
        name: (fact.known, fact.value) for name, fact in symbols.facts.items() if name in mentioned
    }
    arguments = many(symbols.arguments) if reads.arguments else SetTerm(lambda _: FALSE, (), None)
    groups: dict[str, SymbolicValue] = {
        "facts": RecordTerm(facts),
        "conversation": _group(symbols, "conversation", reads.conversation),
        "run": _group(symbols, "run", reads.run),
        "arguments": arguments,
        "limits": RecordTerm(
            {name: (TRUE, LongTerm(number(value))) for name, value in limits.items()}
        ),
        "approvals": many(symbols.approvals),
    }
    return {name: (TRUE, value) for name, value in groups.items()}


def _group(symbols: Symbols, group: str, names: Iterable[str]) -> RecordTerm:
    return RecordTerm({name: (TRUE, symbols.others[f"{group}.{name}"]) for name in names})
