"""What teams let people decide, for any teams and any request."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.accounts.domain.teams import Matter, TeamScope, may_decide, scope_of, widens

SLUGS = st.sampled_from(["airline", "retail", "bank"])
JOBS = st.sampled_from(["refund", "rebook", "close"])
CENTS = st.integers(-100_000, 100_000)
SCOPES = st.builds(
    TeamScope,
    domains=st.frozensets(SLUGS),
    jobs=st.frozensets(JOBS),
    most_cents=st.none() | st.integers(0, 100_000),
    highest_risk=st.none() | st.integers(1, 4),
)
MATTERS = st.builds(
    Matter, domain=SLUGS, job=JOBS, amount_cents=st.none() | CENTS, risk=st.integers(1, 4)
)


@given(st.lists(SCOPES, max_size=4), MATTERS)
def test_several_teams_let_through_what_a_single_one_does_and_never_a_mixture(
    scopes: list[TeamScope], matter: Matter
) -> None:
    assert may_decide(scopes, matter) == any(may_decide([one], matter) for one in scopes)


def test_the_domain_of_one_never_goes_with_the_amount_of_another() -> None:
    retail = TeamScope(domains=frozenset({"retail"}), most_cents=1_000)
    airline = TeamScope(domains=frozenset({"airline"}), most_cents=100_000)

    assert may_decide([retail, airline], Matter("airline", "refund", 90_000, 2))
    assert not may_decide([retail, airline], Matter("retail", "refund", 90_000, 2))


@given(SCOPES, MATTERS)
def test_each_bound_holds_by_itself(scope: TeamScope, matter: Matter) -> None:
    if not scope.covers(matter):
        return
    assert not scope.domains or matter.domain in scope.domains
    assert not scope.jobs or matter.job in scope.jobs
    assert scope.highest_risk is None or matter.risk <= scope.highest_risk
    if scope.most_cents is not None:
        assert matter.amount_cents is not None
        assert -scope.most_cents <= matter.amount_cents <= scope.most_cents


@given(st.lists(st.builds(TeamScope, most_cents=st.integers(0, 2**63 - 1)), max_size=4), SLUGS)
def test_an_amount_that_is_not_known_is_beyond_every_bound(
    scopes: list[TeamScope], domain: str
) -> None:
    assert not may_decide(scopes, Matter(domain, "refund", None, 1))


@given(MATTERS)
def test_without_a_team_nothing_and_without_bounds_everything(matter: Matter) -> None:
    assert not may_decide([], matter)
    assert may_decide([TeamScope()], matter)


@given(SCOPES, SCOPES, MATTERS)
def test_what_is_not_called_wider_lets_nothing_more_through(
    old: TeamScope, new: TeamScope, matter: Matter
) -> None:
    if not widens(old, new) and new.covers(matter):
        assert old.covers(matter)


@given(MATTERS)
@pytest.mark.parametrize("stored", [None, {}, "airline", ["airline", 7], [""], [None], 1, [[]]])
def test_a_stored_list_that_is_none_lets_nothing_through(stored: object, matter: Matter) -> None:
    assert not scope_of(stored, [], None, None).covers(matter)
    assert not scope_of([], stored, None, None).covers(matter)
