"""What has to be known before policy may permit a change, and what to do when it isn't.

Rules guard themselves with ``context.facts has …``, so a fact that is missing or of another type
would switch them off. That is judged here, once for all rules: a change whose declared facts are
not known is held for a person, whatever the rules say.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from apps.policy.domain.decision import Answer, PolicyDecision
from apps.policy.domain.effects import Effect
from apps.policy.domain.mistyped import described
from apps.policy.domain.request import Request, has_type
from apps.policy.domain.rules import BUILT_IN
from apps.policy.domain.schema import FactDeclaration

RULE, EXEMPTION = BUILT_IN
NAMES = {
    RULE: "What it would change is not known",
    EXEMPTION: "May go without facts, says the policy",
}
SENTENCE = "The system of record could not say what this would change"
ROLE = "operator"
RISK = 3  # high: an approval needs a reason
PREVIEW = "preview"
NAMED = 3  # gaps that the reason names; all of them stand in the list
NOTHING = "nothing"
KINDS = {"bool": "yes or no", "long": "a whole number", "string": "text", "set": "a list of texts"}


@dataclass(frozen=True, slots=True)
class Gap:
    """Something that had to be known and isn't: a fact, what was ``wanted`` of it and what
    ``came`` instead; or the preview as a whole, with what went wrong."""

    name: str
    wanted: str
    came: str

    @property
    def sentence(self) -> str:
        if self.name == PREVIEW:
            return self.came
        if self.came == NOTHING:
            return f"{self.name} is missing"
        return f"{self.name} came as {self.came}, not as {self.wanted}"

    def shown(self) -> dict[str, str]:
        """As a decision and a question keep it."""
        return {"name": self.name, "wanted": self.wanted, "came": self.came}


def gaps(request: Request, declared: Mapping[str, FactDeclaration]) -> tuple[Gap, ...]:
    """What is not known of a change. Reads change nothing, so they have no gaps. A fact that may
    be absent has one only when it came as something else."""
    if request.effect == Effect.READ:
        return ()
    found = [Gap(PREVIEW, "an answer", request.preview_error)] if request.preview_error else []
    for name, fact in declared.items():
        if request.asked_for is not None and name not in request.asked_for:
            continue
        if name not in request.facts:
            if not fact.optional:
                found.append(Gap(name, KINDS[fact.kind], NOTHING))
        elif not has_type(request.facts[name], fact.kind):
            found.append(Gap(name, KINDS[fact.kind], described(request.facts[name])))
    return tuple(found)


def held(
    verdict: PolicyDecision, found: Sequence[Gap], *, exemption: str | None, asked: bool
) -> PolicyDecision:
    """The verdict with what is not known taken into account. A denial stays, and the rules, roles
    and votes of a hold stay; a permit becomes a hold. ``exemption`` is why the policy lets this
    tool go without facts; ``asked``: people have approved exactly this, gaps included."""
    if not found:
        return verdict
    verdict = replace(verdict, unknown=tuple(found))
    if verdict.answer is Answer.DENY or (verdict.answer is Answer.PERMIT and asked):
        return verdict
    if exemption is not None:
        rule = _rule(EXEMPTION, "permit", found, exemption)
        return replace(verdict, rules=(*verdict.rules, rule))
    rule = _rule(RULE, "forbid", found, reason(found))
    is_hold = verdict.answer is Answer.HOLD
    return replace(
        verdict,
        answer=Answer.HOLD,
        rules=(rule, *verdict.rules) if is_hold else (rule,),
        roles=verdict.roles or (ROLE,),
        votes=max(verdict.votes, 1),
        risk=max(verdict.risk, RISK),
    )


def reason(found: Sequence[Gap]) -> str:
    """One sentence for people: the first gaps by name, and how many more there are."""
    if found[0].name == PREVIEW:
        return f"{SENTENCE}: {found[0].sentence}"
    named = "; ".join(gap.sentence for gap in found[:NAMED])
    more = len(found) - NAMED
    return f"{SENTENCE}: {named}{f'; and {more} more' if more > 0 else ''}"


def bound(found: Iterable[Gap]) -> list[dict[str, str]]:
    """The gaps as an approval is bound to them: when another thing is unknown, another value came,
    or it has become known, the answer counts no more. How a preview failed doesn't matter."""
    return [
        {"name": gap.name, "wanted": gap.wanted} if gap.name == PREVIEW else gap.shown()
        for gap in found
    ]


def _rule(name: str, effect: str, found: Sequence[Gap], words: str) -> dict[str, Any]:
    is_hold = effect == "forbid"
    return {
        "id": name,
        "reason": words,
        "effect": effect,
        "roles": [ROLE] if is_hold else [],
        "votes": int(is_hold),
        "risk": RISK if is_hold else 1,
        "observed": [],
        "unknown": [gap.shown() for gap in found],
    }
