"""Signatures of answers: given when people answer, checked when an answer is to be used."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Any

from rfc8785 import CanonicalizationError

from apps.oversight import adapters
from apps.oversight.domain.signed import (
    SignedDecision,
    SignedVote,
    decision_payload,
    first_payload,
    vote_payload,
    why_not_signed,
    why_vote_not_signed,
)
from apps.oversight.models import Approval, Vote
from apps.oversight.selectors.grants import use_of
from apps.oversight.services.grant_seals import why_not_a_use
from apps.oversight.services.rows import LIVE, State, asked_of


class Seal(StrEnum):
    """What an answer's signature proves."""

    NONE = "none"  # it has none: nobody answered
    FITS = "fits"  # the answer and each vote is what was signed
    FIRST = "first"  # the answer is; it was given before votes were signed each
    BROKEN = "broken"  # something of the answer was changed since
    UNKNOWN_KEY = "unknown_key"  # signed with a key that the ring here doesn't know
    REVOKED_KEY = "revoked_key"
    UNREAD = "unread"  # the ring can't be read here, so nobody knows


def sign_vote(approval: Approval, vote: SignedVote) -> tuple[str, str]:
    """The vote's signature and the id of the key."""
    return adapters.sign(vote_payload(asked_of(approval), vote))


def sign_decision(
    approval: Approval, decision: SignedDecision, votes: Sequence[Vote]
) -> tuple[str, str]:
    """The signature of what settles a question, over those of its votes, and the id of the key."""
    return adapters.sign(decision_payload(asked_of(approval), decision, [*map(vote_of, votes)]))


def vote_of(vote: Vote) -> SignedVote:
    """A stored vote as it was signed. Its user has to be loaded with it."""
    return SignedVote(
        user=vote.user.username,
        user_id=vote.user_id,
        approve=vote.approve,
        reason=vote.reason,
        digest=vote.digest,
        nonce=vote.nonce,
        at=vote.at,
        signature=vote.signature,
        key_id=vote.key_id,
        passkey=vote.passkey if isinstance(vote.passkey, dict) else None,
    )


def signed_by(approval: Approval, votes: Sequence[Vote]) -> dict[str, Any]:
    """What the signature of this answer covers, as it is stored; nothing where nobody is named as
    having answered."""
    decision = _decision_of(approval)
    if decision is None:
        return {}
    if _is_signed_at_first(approval, votes):
        voters = {vote.user.username for vote in votes}
        return first_payload(asked_of(approval), decision, voters)
    return decision_payload(asked_of(approval), decision, [*map(vote_of, votes)])


def signed_by_vote(approval: Approval, vote: Vote) -> dict[str, Any]:
    """What the signature of this vote covers, as it is stored."""
    return vote_payload(asked_of(approval), vote_of(vote))


def why_not_proved(approval: Approval, votes: Sequence[Vote]) -> str:
    """Why people did not sign this answer as it is stored; nothing if they did. One that was given
    before votes were signed each holds by its own signature, which names its voters."""
    why = _why_not_signed(approval, votes)
    return "" if why and _is_signed_at_first(approval, votes) else why


def waiting_answers() -> tuple[int, list[tuple[Approval, str]]]:
    """How many questions are open or answered and not used, and those whose answer or a vote isn't
    what people signed, each with why. Raises ``KeyFileError`` where nobody can tell."""
    rows = list(Approval.objects.filter(LIVE).select_related("decided_by").order_by("pk"))
    forged = []
    for row in rows:
        votes = list(row.votes.select_related("user").order_by("at"))
        if row.state == State.PENDING:
            why = next((w for vote in votes if (w := why_no_vote(row, vote))), "")
        else:
            why = why_not_proved(row, votes)
        if why:
            forged.append((row, why))
    return len(rows), forged


def why_no_vote(approval: Approval, vote: Vote) -> str:
    """Why this person did not sign this vote as it is stored; nothing if they did."""
    return _read(lambda: why_vote_not_signed(asked_of(approval), vote_of(vote), adapters.verify))


def votes_that_count(approval: Approval, votes: Sequence[Vote]) -> list[Vote]:
    """Those that their people signed, while the question is open: any other is nobody's, and whose
    name it bears can still vote. All of them where nobody can tell, or once it was settled."""
    if approval.state != State.PENDING:
        return [*votes]
    try:
        return [vote for vote in votes if not why_no_vote(approval, vote)]
    except adapters.KeyFileError:
        return [*votes]


def seal_of(approval: Approval) -> Seal:
    """What the signature of this answer proves now."""
    if not approval.signature:
        return Seal.NONE
    try:
        known = adapters.ring().get(approval.key_id)
    except adapters.KeyFileError:
        return Seal.UNREAD
    if known is None:
        return Seal.UNKNOWN_KEY
    if known.revoked:
        return Seal.REVOKED_KEY
    votes = list(approval.votes.select_related("user").order_by("at"))
    if not _why_not_signed(approval, votes):
        return Seal.FITS
    return Seal.FIRST if _is_signed_at_first(approval, votes) else Seal.BROKEN


def is_signed(approval: Approval) -> bool:
    """Whether a decided approval, and each of its votes, still says what its people signed."""
    return seal_of(approval) == Seal.FITS


def _why_not_signed(approval: Approval, votes: Sequence[Vote]) -> str:
    decision = _decision_of(approval)
    if decision is None:
        use = use_of(approval) if approval.is_by_grant else None
        return why_not_a_use(approval, use) if use else "Nobody is named as having answered."
    signed = [*map(vote_of, votes)]
    return _read(lambda: why_not_signed(asked_of(approval), decision, signed, adapters.verify))


def _read(judge: Callable[[], str]) -> str:
    try:
        return judge()
    except CanonicalizationError:  # what stands there can't have been signed
        return "What is stored can't be read any more."


def _decision_of(approval: Approval) -> SignedDecision | None:
    """One that was taken back unused had been approved."""
    if approval.decided_by is None or approval.decided_at is None:
        return None
    return SignedDecision(
        state=State.APPROVED.value
        if approval.state in {State.VOID, State.GRANTED}
        else approval.state,
        user=approval.decided_by.username,
        reason=approval.reason,
        at=approval.decided_at,
        signature=approval.signature,
        key_id=approval.key_id,
    )


def _is_signed_at_first(approval: Approval, votes: Sequence[Vote]) -> bool:
    decision = _decision_of(approval)
    if decision is None:
        return False
    voters = {vote.user.username for vote in votes}
    signed = [vote for vote in votes if vote.signature]  # while two releases ran side by side

    def judge() -> str:
        if why := next((w for vote in signed if (w := why_no_vote(approval, vote))), ""):
            return why
        payload = first_payload(asked_of(approval), decision, voters)
        fits = adapters.verify(payload, approval.signature, approval.key_id)
        return "" if fits else "The signature does not fit."

    return not _read(judge)
