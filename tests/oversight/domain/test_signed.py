"""Whatever is changed of an answer, its votes or its question, it is no longer what was signed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.kernel.canonical import canonical_bytes
from apps.oversight.domain.signed import (
    SHOWN,
    SignedDecision,
    SignedQuestion,
    SignedVote,
    decision_payload,
    vote_payload,
    why_not_signed,
)

AT = datetime(2026, 11, 2, 9, 30, tzinfo=UTC)
ASKED = SignedQuestion(
    *("a1", "d1", "r1", "s1", "digest", "refund@3", "p1"),
    votes_required=2,
    shown={column: f"{column} as it was shown" for column in SHOWN},
)


def signature_of(payload: Mapping[str, Any]) -> str:
    return canonical_bytes(dict(payload)).hex()


def check(payload: Mapping[str, Any], signature: str, key_id: str) -> bool:
    return key_id == "k1" and signature == signature_of(payload)


def vote(user: str, user_id: int, asked: SignedQuestion = ASKED) -> SignedVote:
    bare = SignedVote(user, user_id, True, "looked", asked.digest, f"n-{user}", AT, key_id="k1")
    return replace(bare, signature=signature_of(vote_payload(asked, bare)))


VOTES = [vote("ana", 1), vote("ben", 2)]


def settled(votes: list[SignedVote]) -> SignedDecision:
    bare = SignedDecision("approved", "ben", "looked", AT, key_id="k1")
    return replace(bare, signature=signature_of(decision_payload(ASKED, bare, votes)))


def other(value: Any) -> Any:
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + 1
    if isinstance(value, datetime):
        return value + timedelta(microseconds=1)
    return f"{value}x"


def test_what_was_signed_is_what_was_signed() -> None:
    assert why_not_signed(ASKED, settled(VOTES), VOTES, check) == ""
    assert why_not_signed(ASKED, settled(VOTES), VOTES[::-1], check) == ""


@pytest.mark.parametrize("name", [f.name for f in fields(SignedQuestion) if f.name != "shown"])
def test_another_question_is_not_what_was_answered(name: str) -> None:
    changed = replace(ASKED, **{name: other(getattr(ASKED, name))})

    assert "does not fit the answer" in why_not_signed(changed, settled(VOTES), VOTES, check)


@pytest.mark.parametrize("column", SHOWN)
def test_something_else_shown_is_not_what_was_answered(column: str) -> None:
    changed = replace(ASKED, shown={**ASKED.shown, column: ["something", "else"]})

    assert why_not_signed(changed, settled(VOTES), VOTES, check)


@pytest.mark.parametrize("name", [f.name for f in fields(SignedDecision)])
def test_a_changed_decision_is_not_what_was_signed(name: str) -> None:
    was = settled(VOTES)

    assert why_not_signed(ASKED, replace(was, **{name: other(getattr(was, name))}), VOTES, check)


@pytest.mark.parametrize("name", [f.name for f in fields(SignedVote)])
def test_a_changed_vote_is_not_what_was_signed(name: str) -> None:
    changed = [replace(VOTES[0], **{name: other(getattr(VOTES[0], name))}), VOTES[1]]

    assert why_not_signed(ASKED, settled(VOTES), changed, check)
    # Nor when whoever can have decisions signed lets this one be signed over the changed vote.
    assert "the vote of ana" in why_not_signed(ASKED, settled(changed), changed, check)


def test_votes_cannot_be_added_taken_away_or_brought_from_another_question() -> None:
    third = vote("eve", 3)
    elsewhere = vote("eve", 3, replace(ASKED, approval_id="a2"))

    assert why_not_signed(ASKED, settled(VOTES), [*VOTES, third], check)
    assert why_not_signed(ASKED, settled(VOTES), VOTES[:1], check)
    assert why_not_signed(ASKED, settled([*VOTES, elsewhere]), [*VOTES, elsewhere], check)


def test_nothing_signed_is_nothing_said() -> None:
    unsigned = replace(VOTES[0], signature="")

    assert "no signature" in why_not_signed(ASKED, replace(settled([]), signature=""), [], check)
    assert "vote of ana has no" in why_not_signed(ASKED, settled([unsigned]), [unsigned], check)


@given(st.lists(st.sampled_from([*VOTES, vote("eve", 3)]), max_size=4))
def test_only_the_very_votes_fit_a_decision(votes: list[SignedVote]) -> None:
    is_same = sorted(v.user for v in votes) == ["ana", "ben"]

    assert (why_not_signed(ASKED, settled(VOTES), votes, check) == "") is is_same
