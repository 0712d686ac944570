"""What a solver is asked about one tool: is there a request that breaks this sentence?"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from apps.policy.domain.proofs import defaults
from apps.policy.domain.proofs.answers import (
    Answers,
    Policy,
    answers_of,
    bolder,
    concerns,
    easier,
    named_in,
    patterns_in,
    rule_applies,
    sets_compared,
)
from apps.policy.domain.proofs.expressions import Expressions
from apps.policy.domain.proofs.formulas import TRUE, both, either, no
from apps.policy.domain.proofs.requests import possible_arguments
from apps.policy.domain.proofs.sentences import NOBODY, NOT_BY, Sentence
from apps.policy.domain.proofs.symbols import (
    AGENT,
    Script,
    Symbols,
    ToolShape,
    symbols_of,
    variables,
    with_fact,
    without_facts,
)
from apps.policy.domain.proofs.values import LongTerm, TextTerm
from apps.policy.domain.proofs.words import Words, words_for
from apps.policy.domain.request import EVERYTHING
from apps.policy.domain.rules import names_read
from apps.policy.domain.schema import NOTES, PREVIEW, FactDeclaration, declared_facts
from apps.policy.domain.unknown import ROLE

AMOUNT = "amount_cents"
GROUPS = {
    "reads": ("read",),
    "changes": ("write", "irreversible"),
    "irreversible": ("irreversible",),
}


@dataclass(frozen=True, slots=True)
class ProofQuestion:
    """``broken``: when a request, or a pair of them, breaks the sentence. ``met``: when it speaks
    of the request at all. ``hidden``: the unknown that says whether the second lacks a fact."""

    broken: str
    met: str = TRUE
    second: Symbols | None = None
    hidden: Mapping[str, str] | None = None


class About:
    """Everything there is to ask about one tool. ``before`` is another policy, asked the same.
    ``conditions`` are those of sentences, each as a rule of the JSON form."""

    def __init__(
        self,
        tool: ToolShape,
        policy: Policy,
        *,
        before: Policy | None = None,
        conditions: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        self.tool, self.policy, self.before = tool, policy, before
        self._conditions = dict(conditions or {})
        self.words = self._vocabulary()
        self.script = Script()
        self.symbols = symbols_of(tool, self.words, self.script)
        for required in possible_arguments(self.symbols, self.words):
            self.script.require(required)
        self.answers = self._answers(policy, self.symbols)
        self.answers_before = self._answers(before, self.symbols) if before else None

    def _vocabulary(self) -> Words:
        policies = [p for p in (self.policy, self.before) if p is not None]
        stored = [p for policy in policies for p in policy.stored.values()]
        nodes: list[Any] = [
            *(p for p in stored if concerns(p, self.tool)),
            *self._conditions.values(),
        ]
        roles = {rule.role for policy in policies for rule in policy.rules.values()}
        tool = self.tool
        own = {tool.name, tool.effect, tool.domain, f"{tool.domain}/{tool.name}"}
        texts = sum(fact.kind == "string" for fact in tool.facts.values())
        spare = 8 + texts + 2 * sum(map(sets_compared, nodes))
        named = {*own, *roles, ROLE, *(w for node in nodes for w in named_in(node))}
        return words_for(named - {""}, (p for n in nodes for p in patterns_in(n)), spare)

    def _answers(self, policy: Policy, symbols: Symbols) -> Answers:
        return answers_of(policy, symbols, self.words, self.script)

    @property
    def paths(self) -> frozenset[str]:
        """What rules and sentences can look at."""
        policies = [p for p in (self.policy, self.before) if p is not None]
        found = {f"facts.{name}" for policy in policies for name in policy.mentioned}
        for policy in policies:
            found |= {f"conversation.{name}" for name in policy.reads.conversation}
            found |= {f"run.{name}" for name in policy.reads.run}
        for stored in self._conditions.values():
            for group in ("facts", "conversation", "run"):
                found |= {f"{group}.{name}" for name in names_read(stored, group)}
        return frozenset(found)

    def approved(self, role: str) -> str:
        return f"({self.symbols.approvals} {self.words.number(role)})"

    @property
    def nobody(self) -> str:
        """Nobody has approved."""
        given = (f"({self.symbols.approvals} {n})" for n in range(len(self.words.all)))
        return no(either(*given))

    # --- sentences ----------------------------------------------------------------------------

    def speaks_of(self, sentence: Sentence) -> bool:
        """Whether a sentence could concern this tool."""
        if not all(self._has(need) for need in sentence.needs):
            return False
        if isinstance(sentence.tools, tuple):
            return self.tool.name in sentence.tools
        return self.tool.effect in GROUPS.get(sentence.tools, (self.tool.effect,))

    def _has(self, need: str) -> bool:
        if need.startswith("limits."):
            return need.removeprefix("limits.") in self.policy.limits
        return need in self.tool.facts

    def question(self, sentence: Sentence) -> ProofQuestion | None:
        """None where there is nothing to ask."""
        if sentence.twin:
            return self._twins().get(sentence.twin, lambda: None)()
        answer = {
            "permit": self.answers.permit,
            "hold": self.answers.hold,
            "deny": self.answers.deny,
        }
        said = answer[sentence.answer]
        met = both(self._condition(sentence), self._approval(sentence))
        return ProofQuestion(both(met, no(said) if sentence.always else said), met)

    def _condition(self, sentence: Sentence) -> str:
        stored = self._conditions.get(sentence.id)
        if stored is None:
            return TRUE
        names = frozenset(self.tool.facts)
        seen = variables(self.symbols, self.policy.limits, self.words, names, EVERYTHING)
        found = rule_applies(stored, Expressions(seen, self.words, self.script))
        return both(found.term, no(found.fails))

    def _approval(self, sentence: Sentence) -> str:
        if sentence.approved == NOBODY:
            return self.nobody
        if sentence.approved.startswith(NOT_BY):
            role = sentence.approved.removeprefix(NOT_BY)
            return no(self.approved(role)) if role in self.words.all else TRUE
        return TRUE

    def _twins(self) -> dict[str, Any]:
        return {
            defaults.MORE_MONEY: self._more_money,
            defaults.OTHER_AGENT: self._other_agent,
            defaults.FEWER_FACTS: self._fewer_facts,
            defaults.FEWER_APPROVALS: self._fewer_approvals,
            defaults.UNASKED_APPROVALS: self._unasked_approvals,
            defaults.FAILS: lambda: ProofQuestion(self.answers.fails),
        }

    def _more_money(self) -> ProofQuestion | None:
        fact = self.symbols.facts[AMOUNT]
        if fact.declared.kind != "long" or AMOUNT not in self.policy.mentioned:
            return None
        assert isinstance(fact.value, LongTerm)  # noqa: S101 - declared as one
        more = self.script.fresh("Int")
        self.script.require(f"(<= {more} 9223372036854775807)")
        larger = both(fact.known, f"(> {more} {fact.value.term})", f"(>= {fact.value.term} 0)")
        second = with_fact(self.symbols, AMOUNT, replace(fact, value=LongTerm(more)))
        return self._compared(second, larger, second_easier=True)

    def _other_agent(self) -> ProofQuestion | None:
        fresh = {}
        for path in AGENT:
            term = self.script.fresh("Int")
            self.script.require(f"(<= 0 {term} {len(self.words.all) - 1})")
            fresh[path] = TextTerm(term)
        second = replace(self.symbols, others={**self.symbols.others, **fresh})
        return self._compared(second, TRUE, second_easier=True)

    def _fewer_facts(self) -> ProofQuestion | None:
        read = [name for name in self.symbols.facts if name in self.policy.mentioned]
        if not read or self.tool.name in self.policy.exempt:
            return None
        hidden = {name: self.script.fresh("Bool") for name in read}
        second = without_facts(self.symbols, hidden)
        other = self._answers(self.policy, second)
        broken = both(self.nobody, other.permit, no(self.answers.permit))
        return ProofQuestion(broken, TRUE, second, hidden)

    def _fewer_approvals(self) -> ProofQuestion | None:
        given = self.script.fresh("Bool", "Int")
        less = both(
            *(
                either(f"(not ({given} {n}))", f"({self.symbols.approvals} {n})")
                for n in range(len(self.words.all))
            )
        )
        second = replace(self.symbols, approvals=given)
        return self._compared(second, less, second_easier=True)

    def _unasked_approvals(self) -> ProofQuestion | None:
        """The second has only the approvals of roles that rules ask for, and no more."""
        asked = {r.role for r in self.policy.rules.values() if r.role} | {ROLE}
        given = self.script.fresh("Bool", "Int")
        numbers = {self.words.number(role) for role in asked}
        alike = (
            f"(= ({given} {n}) ({self.symbols.approvals} {n}))"
            if n in numbers
            else f"(not ({given} {n}))"
            for n in range(len(self.words.all))
        )
        second = replace(self.symbols, approvals=given)
        return self._compared(second, both(*alike), second_easier=False)

    def _compared(self, second: Symbols, differs: str, *, second_easier: bool) -> ProofQuestion:
        other = self._answers(self.policy, second)
        worse = bolder(other, self.answers) if second_easier else bolder(self.answers, other)
        return ProofQuestion(both(differs, worse), TRUE, second)

    # --- rules and versions -------------------------------------------------------------------

    def rules(self) -> Iterator[tuple[str, str]]:
        """For each rule that concerns the tool, when it applies."""
        yield from self.answers.rules.items()

    @property
    def differs(self) -> bool:
        """Whether the two policies could answer otherwise about this tool."""
        return self.before is not None and self._part(self.policy) != self._part(self.before)

    def _part(self, policy: Policy) -> Any:
        """All that an answer about this tool depends on."""
        rules = sorted(
            json.dumps(
                [{**stored, "annotations": None}, rule.effect, rule.role, rule.votes],
                sort_keys=True,
            )
            for key, stored in policy.stored.items()
            if concerns(stored, self.tool)
            for rule in [policy.rules[key]]
        )
        asks = {rule.role for rule in policy.rules.values()}
        exempt = self.tool.name in policy.exempt
        return rules, policy.limits, policy.mentioned, policy.reads, asks, exempt

    def weaker(self) -> ProofQuestion:
        """Where the policy asks less than the one before."""
        assert self.answers_before is not None  # noqa: S101 - there is something to compare with
        return ProofQuestion(easier(self.answers, self.answers_before))

    def stricter(self) -> ProofQuestion:
        assert self.answers_before is not None  # noqa: S101 - there is something to compare with
        return ProofQuestion(easier(self.answers_before, self.answers))


def tools_of(schema: Mapping[str, Any], domain: str) -> list[ToolShape]:
    """The tools of a schema."""
    found = [
        ToolShape(
            name=tool,
            effect=schema[""]["actions"][tool]["memberOf"][0]["id"],
            domain=domain,
            facts={name: FactDeclaration.of(written) for name, written in facts.items()},
            previewed=PREVIEW in schema[""]["actions"][tool].get(NOTES, ()),
        )
        for tool, facts in declared_facts(schema).items()
    ]
    return sorted(found, key=lambda tool: tool.name)
