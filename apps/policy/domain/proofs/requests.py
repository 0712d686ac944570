"""From what a solver found back to a request that policy can be asked about."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from apps.policy.domain.proofs.symbols import FactSymbol, Symbols
from apps.policy.domain.proofs.values import BoolTerm, LongTerm, SetTerm, SymbolicValue, TextTerm
from apps.policy.domain.proofs.words import Words
from apps.policy.domain.request import CONVERSATION, RUN, Request, scalar_arguments

Found = Callable[[str], Any]  # what a term is worth: a truth or a number
ODD = None  # what came in the place of a fact that is mistyped


def request_of(symbols: Symbols, words: Words, found: Found) -> Request:
    """The request that these values describe."""
    tool = symbols.tool
    read = ModelReader(words, found)
    others = {path: read.value(value) for path, value in symbols.others.items()}
    return Request(
        agent=others["agent.id"],
        tool=tool.name,
        domain=tool.domain,
        effect=tool.effect,
        listed=bool(found(symbols.listed)),
        agent_kind=others["agent.kind"],
        agent_model=others["agent.model"],
        facts=_facts(symbols.facts, read),
        conversation={name: others[f"conversation.{name}"] for name in CONVERSATION},
        run={name: others[f"run.{name}"] for name in RUN},
        arguments=_arguments(read.members(symbols.arguments)),
        approvals=frozenset(read.members(symbols.approvals)),
        preview_error="The preview failed" if found(symbols.preview_failed) else "",
    )


class ModelReader:
    """Reads values of any type."""

    def __init__(self, words: Words, found: Found) -> None:
        self._words, self.found = words, found

    def value(self, value: SymbolicValue) -> Any:
        if isinstance(value, TextTerm):
            return self._words.all[self.found(value.term)]
        if isinstance(value, SetTerm):
            return [w for n, w in enumerate(self._words.all) if self.found(value.has(str(n)))]
        if isinstance(value, BoolTerm):
            return bool(self.found(value.term))
        assert isinstance(value, LongTerm)  # noqa: S101 - there are no others
        return self.found(value.term)

    def members(self, function: str) -> list[str]:
        found = enumerate(self._words.all)
        return [word for n, word in found if self.found(f"({function} {n})")]


def _facts(facts: Mapping[str, FactSymbol], read: ModelReader) -> dict[str, Any]:
    known = {}
    for name, fact in facts.items():
        if read.found(fact.known):
            known[name] = read.value(fact.value)
        elif read.found(fact.odd):
            known[name] = ODD
    return known


def argument_of(line: str) -> tuple[str, Any] | None:
    """The argument that rules see as this line; None where no argument looks like that."""
    name, equals, written = line.partition("=")
    if not equals:
        return None
    for value in (written, *_scalars(written)):
        if scalar_arguments({name: value}) == [line]:
            return name, value
    return None


def _scalars(written: str) -> Iterable[Any]:
    try:
        value = json.loads(written)
    except ValueError:
        return ()
    return () if isinstance(value, dict | list) else (value,)


def _arguments(lines: Iterable[str]) -> dict[str, Any]:
    return dict(pair for line in lines if (pair := argument_of(line)) is not None)


def possible_arguments(symbols: Symbols, words: Words) -> list[str]:
    """What has to hold of the arguments' lines: each can be one, and no argument has two values."""
    required, by_name = [], dict[str, list[str]]()
    for n, word in enumerate(words.all):
        pair, line = argument_of(word), f"({symbols.arguments} {n})"
        if pair is None:
            required.append(f"(not {line})")
        else:
            by_name.setdefault(pair[0], []).append(line)
    for lines in by_name.values():
        required += [
            f"(not (and {one} {other}))" for n, one in enumerate(lines) for other in lines[n + 1 :]
        ]
    return required
