"""Three answers from a language that knows two: permit, hold for people, deny.

An approval is one more fact in the request. A ``forbid`` that names the role it waits for, and is
the only kind standing in the way, makes the answer *hold*; everything else that is not allowed,
an error included, is *deny*.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from apps.policy.domain.rules import Rule

if TYPE_CHECKING:
    from apps.policy.domain.unknown import Gap


class Answer(StrEnum):
    """What policy, and with it the gate, says about a step."""

    PERMIT = "permit"  # it may be carried out
    HOLD = "hold"  # a person has to approve it
    DENY = "deny"  # it may not


@dataclass(frozen=True, slots=True)
class PolicyOutcome:
    """What the policy language itself said: allowed or not, which rules determined it, errors."""

    allowed: bool
    rules: tuple[Rule, ...] = ()
    errors: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PolicyDecision:
    """The decision point's answer. ``rules`` are the determining ones with what they looked at;
    ``roles`` and ``votes`` say who must approve a hold; ``risk`` is 1 (low) to 4 (critical);
    ``unknown`` is what had to be known and isn't."""

    answer: Answer
    rules: tuple[dict[str, Any], ...] = ()
    roles: tuple[str, ...] = ()
    votes: int = 0
    risk: int = 1
    errors: tuple[str, ...] = ()
    unknown: tuple[Gap, ...] = ()


def roles_to_ask(outcome: PolicyOutcome) -> tuple[str, ...]:
    """The roles whose approval could turn this into a permit; empty when nobody's could."""
    if outcome.allowed or outcome.errors or not outcome.rules:
        return ()
    if not all(rule.is_hold for rule in outcome.rules):
        return ()
    return tuple(sorted({rule.role for rule in outcome.rules}))


def combine(
    first: PolicyOutcome, approved: PolicyOutcome | None, observed: Sequence[dict[str, Any]] = ()
) -> PolicyDecision:
    """Make one verdict of the answer as asked and the answer with ``roles_to_ask`` added.

    Hold needs both: every determining rule waits for a role, and adding those roles allows.
    """
    rules = tuple(observed) or tuple(rule.shown() for rule in first.rules)
    risk = max((rule.risk for rule in first.rules), default=1)
    if first.errors:
        return PolicyDecision(Answer.DENY, rules, risk=max(risk, 3), errors=first.errors)
    if first.allowed:
        return PolicyDecision(Answer.PERMIT, rules, risk=risk)
    roles = roles_to_ask(first)
    if not roles or approved is None or not approved.allowed or approved.errors:
        errors = approved.errors if approved is not None else ()
        return PolicyDecision(Answer.DENY, rules, risk=risk, errors=errors)
    votes = max(rule.votes for rule in first.rules)
    return PolicyDecision(Answer.HOLD, rules, roles=roles, votes=votes, risk=risk)
