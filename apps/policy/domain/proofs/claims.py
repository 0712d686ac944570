"""What a solver's finding has to show when Cedar itself is asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from apps.policy.domain.decision import PolicyDecision
from apps.policy.domain.proofs import defaults
from apps.policy.domain.proofs.examples import Alteration, is_bolder, is_easier
from apps.policy.domain.proofs.requests import Found, request_of
from apps.policy.domain.proofs.sentences import NOBODY, NOT_BY, Sentence
from apps.policy.domain.request import Request

if TYPE_CHECKING:
    from collections.abc import Sequence

    from apps.policy.domain.proofs.questions import About, ProofQuestion


class Answering(Protocol):
    """Who answers: the product's own evaluator."""

    def evaluate_batch(self, requests: Sequence[Request]) -> list[PolicyDecision]: ...

    def allows(self, request: Request) -> bool: ...


@dataclass(frozen=True, slots=True)
class Judge:
    """``policy`` answers now, ``policy_before`` as published; ``conditions`` say of which requests
    each sentence speaks."""

    policy: Answering
    policy_before: Answering | None
    conditions: Mapping[str, Answering]

    def now(self, request: Request) -> PolicyDecision:
        return self.policy.evaluate_batch([request])[0]

    def then(self, request: Request) -> PolicyDecision:
        assert self.policy_before is not None  # noqa: S101 - only asked where there is one
        return self.policy_before.evaluate_batch([request])[0]

    def speaks(self, sentence: Sentence, request: Request) -> bool:
        condition = self.conditions.get(sentence.id)
        if condition is not None and not condition.allows(request):
            return False
        if sentence.approved == NOBODY:
            return not request.approvals
        return sentence.approved.removeprefix(NOT_BY) not in request.approvals


@dataclass(frozen=True, slots=True)
class ProofClaim:
    """``kind``: ``sentence``, or ``weaker`` or ``stricter`` than what is published."""

    kind: str
    judge: Judge
    sentence: Sentence | None = None

    @property
    def named(self) -> dict[str, Any]:
        return {"kind": self.kind, **({"id": self.sentence.id} if self.sentence else {})}


@dataclass(frozen=True, slots=True)
class ProofCase:
    """A finding: the claim, and for one about two requests how the second differs."""

    claim: ProofClaim
    change: Alteration | None = None

    def shows(self, request: Request) -> bool:
        """Whether this request still shows it."""
        judge, sentence = self.claim.judge, self.claim.sentence
        if sentence is None:
            sides = judge.now(request), judge.then(request)
            return is_easier(*(sides if self.claim.kind == "weaker" else sides[::-1]))
        if sentence.twin == defaults.FAILS:
            return bool(judge.now(request).errors)
        if self.change is None:
            answer = judge.now(request).answer.value
            breaks = (answer != sentence.answer) if sentence.always else answer == sentence.answer
            return breaks and judge.speaks(sentence, request)
        return self._compares(sentence, request)

    def _compares(self, sentence: Sentence, request: Request) -> bool:
        assert self.change is not None  # noqa: S101 - asked before
        second = self.change.of(request)
        if second == request:
            return False
        one, other = self.claim.judge.now(request), self.claim.judge.now(second)
        if sentence.twin == defaults.UNASKED_APPROVALS:
            return is_bolder(one, other)
        if sentence.twin == defaults.FEWER_FACTS:
            is_let = other.answer == "permit" and one.answer != "permit"
            return is_let and not request.approvals
        if sentence.twin == defaults.MORE_MONEY and not _is_more(request, second):
            return False
        return is_bolder(other, one)

    def shown(self, request: Request, telling: list[dict[str, Any]]) -> dict[str, Any]:
        """As it is kept and shown. ``request`` can be asked again as it stands."""
        judge = self.claim.judge
        verdict = judge.now(request)
        found: dict[str, Any] = {
            "request": request.to_json(),
            "telling": telling,
            "answer": verdict.answer.value,
            "rules": [{"id": r["id"], "reason": r["reason"]} for r in verdict.rules],
            "errors": list(verdict.errors),
        }
        if self.claim.sentence is None:
            return {**found, "before": _answered(judge.then(request))}
        if self.change is not None:
            second = self.change.of(request)
            return {
                **found,
                "second": _differs(request, second),
                "then": _answered(judge.now(second)),
            }
        return found


def _is_more(one: Request, other: Request) -> bool:
    amounts = (one.facts.get("amount_cents"), other.facts.get("amount_cents"))
    return all(isinstance(a, int) for a in amounts) and 0 <= amounts[0] < amounts[1]  # type: ignore[operator]


def _answered(verdict: PolicyDecision) -> dict[str, Any]:
    return {
        "answer": verdict.answer.value,
        "roles": list(verdict.roles),
        "votes": verdict.votes,
        "rules": [rule["id"] for rule in verdict.rules],
    }


def _differs(one: Request, other: Request) -> list[dict[str, Any]]:
    """In what the second request differs, for people."""
    found = []
    for name in sorted({*one.facts, *other.facts}):
        if one.facts.get(name) != other.facts.get(name):
            value = other.facts.get(name, "missing")
            found.append({"name": f"facts.{name}", "value": value})
    for name in ("agent", "agent_kind", "agent_model"):
        if getattr(one, name) != getattr(other, name):
            found.append({"name": name.replace("_", "."), "value": getattr(other, name)})
    if one.approvals != other.approvals:
        found.append({"name": "approvals", "value": sorted(other.approvals)})
    return found


def case_of(
    claim: ProofClaim, question: ProofQuestion, first: Request, about: About, found: Found
) -> ProofCase:
    """The case of a solver's finding."""
    if question.second is None:
        return ProofCase(claim)
    if question.hidden is not None:
        hidden = frozenset(name for name, term in question.hidden.items() if found(term))
        return ProofCase(claim, Alteration(hidden=hidden & set(first.facts)))
    second = request_of(question.second, about.words, found)
    sentence = claim.sentence
    twin = sentence.twin if sentence else ""
    if twin == defaults.MORE_MONEY:
        amount = second.facts.get("amount_cents")
        return ProofCase(claim, Alteration(facts={"amount_cents": amount}))
    if twin == defaults.OTHER_AGENT:
        return ProofCase(
            claim, Alteration(agent=(second.agent, second.agent_kind, second.agent_model))
        )
    return ProofCase(claim, Alteration(approvals=second.approvals))
