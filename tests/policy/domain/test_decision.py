from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from apps.policy.domain.decision import Answer, PolicyOutcome, combine, roles_to_ask
from apps.policy.domain.rules import Rule


def rule(*, role: str = "", effect: str = "forbid", votes: int = 1, risk: int = 2) -> Rule:
    return Rule("policy0", "r", effect, "why", "", role, votes if role else 0, risk)


rules = st.builds(
    rule,
    role=st.sampled_from(["", "operator", "lead"]),
    effect=st.just("forbid"),
    votes=st.integers(1, 3),
    risk=st.integers(1, 4),
)
outcomes = st.builds(
    PolicyOutcome,
    allowed=st.booleans(),
    rules=st.lists(rules, max_size=4).map(tuple),
    errors=st.lists(st.just("broken"), max_size=1).map(tuple),
)


@given(outcomes, st.none() | outcomes)
def test_permit_only_when_allowed_without_error(
    first: PolicyOutcome, approved: PolicyOutcome | None
) -> None:
    verdict = combine(first, approved)

    assert (verdict.answer is Answer.PERMIT) == (first.allowed and not first.errors)


@given(outcomes, st.none() | outcomes)
def test_hold_only_when_every_rule_waits_and_approval_helps(
    first: PolicyOutcome, approved: PolicyOutcome | None
) -> None:
    verdict = combine(first, approved)

    helps = approved is not None and approved.allowed and not approved.errors
    waits = bool(first.rules) and all(r.role for r in first.rules)
    expected = not first.allowed and not first.errors and waits and helps
    assert (verdict.answer is Answer.HOLD) == expected


@given(outcomes, st.none() | outcomes)
def test_a_hold_asks_every_role_with_the_most_votes(
    first: PolicyOutcome, approved: PolicyOutcome | None
) -> None:
    verdict = combine(first, approved)

    if verdict.answer is Answer.HOLD:
        assert verdict.roles == tuple(sorted({r.role for r in first.rules}))
        assert verdict.votes == max(r.votes for r in first.rules)
    else:
        assert verdict.roles == ()
        assert verdict.votes == 0


@given(outcomes)
def test_nobody_is_asked_about_a_hard_rule_or_an_error(outcome: PolicyOutcome) -> None:
    hard = any(not r.role for r in outcome.rules)

    if hard or outcome.errors or outcome.allowed:
        assert roles_to_ask(outcome) == ()


def test_a_default_deny_has_no_rule() -> None:
    assert combine(PolicyOutcome(allowed=False), None).rules == ()
    assert combine(PolicyOutcome(allowed=False), PolicyOutcome(allowed=True)).answer is Answer.DENY
