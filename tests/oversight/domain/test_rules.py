"""Who may answer, when, and what the answers add up to."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.oversight.domain import rules
from apps.oversight.domain.rules import ApprovalStatus, ProposedVote

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
PENDING = ApprovalStatus(
    state="pending",
    digest="d",
    risk=2,
    roles=("operator",),
    votes_required=1,
    expires_at=NOW + timedelta(hours=1),
)
YES = ProposedVote(user_id=1, role="operator", approve=True, reason="", digest="d")
NO = replace(YES, approve=False, reason="fare rules")


def code(standing: ApprovalStatus, answer: ProposedVote, now: datetime = NOW) -> str | None:
    refused = rules.refusal(standing, answer, now)
    return refused.code if refused else None


def test_an_answer_in_time_counts() -> None:
    assert code(PENDING, YES) is None
    assert code(PENDING, NO) is None


@pytest.mark.parametrize(
    ("standing", "answer", "wanted"),
    [
        (replace(PENDING, state="approved"), YES, "decided"),
        (replace(PENDING, state="expired"), YES, "expired"),
        (replace(PENDING, expires_at=NOW), YES, "expired"),
        (PENDING, replace(YES, digest="other"), "digest"),
        (PENDING, replace(YES, role="admin"), "role"),
        (PENDING, replace(YES, role="agent"), "role"),
        (PENDING, replace(YES, role=""), "role"),
        (replace(PENDING, roles=()), replace(YES, role="auditor"), "role"),
        (
            replace(PENDING, claimed_by=2, claimed_until=NOW + timedelta(seconds=1)),
            YES,
            "claimed",
        ),
        (replace(PENDING, claimed_by=2, claimed_until=NOW), YES, None),
        (replace(PENDING, claimed_by=1, claimed_until=NOW + timedelta(minutes=5)), YES, None),
        (replace(PENDING, votes_required=2, approved_by=(1,)), YES, "voted"),
        (replace(PENDING, votes_required=2, approved_by=(2,)), YES, None),
        (replace(PENDING, risk=3), YES, "reason"),
        (replace(PENDING, risk=3), replace(YES, reason="  \n"), "reason"),
        (replace(PENDING, risk=3), replace(YES, reason="checked the fare"), None),
        (PENDING, replace(NO, reason=""), "reason"),
        # Too late comes before everything else that may be wrong.
        (replace(PENDING, state="rejected"), replace(NO, digest="x", role="admin"), "decided"),
    ],
)
def test_what_keeps_an_answer_from_counting(
    standing: ApprovalStatus, answer: ProposedVote, wanted: str | None
) -> None:
    assert code(standing, answer) == wanted


@given(st.integers(1, 3), st.lists(st.integers(1, 5), unique=True, max_size=4))
def test_approval_needs_that_many_different_people(required: int, before: list[int]) -> None:
    standing = replace(PENDING, votes_required=required, approved_by=tuple(before))

    people = {*before, YES.user_id}

    assert rules.outcome(standing, YES) == ("approved" if len(people) >= required else "pending")


@given(st.integers(1, 3), st.lists(st.integers(2, 5), unique=True, max_size=2))
def test_one_rejection_ends_it(required: int, before: list[int]) -> None:
    standing = replace(PENDING, votes_required=required, approved_by=tuple(before))

    assert rules.outcome(standing, NO) == "rejected"


def test_hurry_starts_above_thirty_an_hour() -> None:
    assert [rules.is_hurried(n) for n in (0, 30, 31)] == [False, False, True]


def test_the_button_says_what_happens() -> None:
    label = rules.approve_label("Refund $1,240.00 " * 9, most=40)

    assert label.startswith("Approve: Refund $1,240.00")
    assert label.endswith("…")
    assert len(label) <= len("Approve: ") + 40


EDIT = replace(NO, reason="half of it was used")


@pytest.mark.parametrize(
    ("standing", "answer", "wanted"),
    [
        (PENDING, EDIT, None),
        (replace(PENDING, parties={1: "asked for this run"}), EDIT, None),
        (replace(PENDING, denied=True), EDIT, None),
        (PENDING, replace(EDIT, reason=" "), "reason"),
        (replace(PENDING, risk=3), replace(EDIT, reason="ok"), "reason"),
        (PENDING, replace(EDIT, digest="other"), "digest"),
        (PENDING, replace(EDIT, role="auditor"), "role"),
        (replace(PENDING, state="granted"), EDIT, "decided"),
        (replace(PENDING, expires_at=NOW), EDIT, "expired"),
        (replace(PENDING, claimed_by=2, claimed_until=NOW + timedelta(1)), EDIT, "claimed"),
    ],
)
def test_who_may_edit_and_when(
    standing: ApprovalStatus, answer: ProposedVote, wanted: str | None
) -> None:
    refused = rules.why_no_edit(standing, answer, NOW)
    assert (refused.code if refused else None) == wanted


def test_what_policy_denies_can_be_rejected_and_not_approved() -> None:
    denied = replace(PENDING, denied=True)
    assert code(denied, YES) == "denied"
    assert code(denied, NO) is None


@pytest.mark.parametrize(
    ("risk", "votes", "again"), [(2, 1, False), (1, 2, True), (3, 1, True), (4, 2, True)]
)
def test_who_had_a_part_is_looked_up_again_where_much_hangs_on_it(
    risk: int, votes: int, again: bool
) -> None:
    assert rules.asks_parties_again(risk=risk, votes=votes) == again
