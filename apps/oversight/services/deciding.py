"""Take people's answers. One settles a question; whoever comes too late is told who and when."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from apps.accounts.models import User
from apps.audit import services as audit
from apps.audit.domain.actors import GATE
from apps.kernel.errors import ConflictError, InvalidInputError, NotPermittedError, TowerError
from apps.kernel.statements import database_now
from apps.kernel.transactions import command
from apps.oversight.domain import rules
from apps.oversight.domain.signed import SignedDecision
from apps.oversight.models import Approval, Vote
from apps.oversight.services.parties import parties_for
from apps.oversight.services.proving import sign_decision, sign_vote, vote_of, why_no_vote
from apps.oversight.services.rows import ClockTimestamp, State, fact, in_time, locked

# How long an answer given in time may wait for a worker before it has to be asked again.
GRACE = timedelta(minutes=15)


def decide(
    *,
    approval_id: UUID,
    user: User,
    approve: bool,
    reason: str,
    digest: str,
    nonce: str,
    dwell_ms: int | None = None,
) -> Approval:
    """Record one person's answer. The same nonce again gives the same answer. Whoever comes too
    late gets a ConflictError with who and when; a missing reason is an InvalidInputError."""
    approval = _decide(approval_id, user, approve, reason, digest, nonce, dwell_ms)
    approval.refresh_from_db()  # once the run has been told: it waits for nobody's reading
    return approval


@command
def _decide(
    approval_id: UUID,
    user: User,
    approve: bool,
    reason: str,
    digest: str,
    nonce: str,
    dwell_ms: int | None,
) -> Approval:
    # The row lock makes those who answer at once take turns, so that votes are counted exactly.
    require_able(user)
    approval = locked(approval_id)
    votes = _proved_votes(approval)
    mine = next((v for v in votes if v.user_id == user.pk and v.nonce == nonce), None)
    if mine is not None and mine.approve == approve:
        return approval
    now = database_now()
    answer = rules.ProposedVote(user.pk, user.role, approve, reason, digest)
    standing = standing_of(approval, votes, parties_for(approval, user, votes))
    if refused := rules.refusal(standing, answer, now):
        raise error_of(refused, approval, digest)
    votes.append(_vote(approval, user, answer, nonce=nonce, dwell_ms=dwell_ms, now=now))
    state = rules.outcome(standing, answer)
    if state == State.PENDING:
        Approval.objects.filter(pk=approval.pk).update(claimed_by=None, claimed_until=None)
        audit.record_many([fact("voted", approval, user.actor, **_said(answer, dwell_ms))])
    else:
        _settle(approval, user, answer, state=state, now=now, votes=votes)
        audit.record_many([fact(state, approval, user.actor, **_said(answer, dwell_ms))])
    return approval


def require_able(user: User) -> None:
    """Refuse whoever can't act yet, or any more, whatever their role: a new or reset account, a
    disabled one, an admin's that nobody confirmed."""
    if why := user.hindrance:
        raise NotPermittedError(why)


def _proved_votes(approval: Approval) -> list[Vote]:
    """The votes so far that their people signed. Any other is nobody's: it is taken out and
    reported, so that whose name it bears can still vote."""
    votes = list(approval.votes.select_related("user").order_by("at"))
    if approval.state != State.PENDING:
        return votes
    refused = {v.pk: why for v in votes if (why := why_no_vote(approval, v))}
    if refused:
        Vote.objects.filter(pk__in=refused).delete()
        audit.record_many([fact("vote_refused", approval, GATE, why=w) for w in refused.values()])
    return [vote for vote in votes if vote.pk not in refused]


def _settle(
    approval: Approval,
    user: User,
    answer: rules.ProposedVote,
    *,
    state: str,
    now: datetime,
    votes: Sequence[Vote],
) -> None:
    settled = SignedDecision(state, user.username, answer.reason, now)
    signature, key_id = sign_decision(approval, settled, votes)
    expires = max(approval.expires_at, now + GRACE) if state == "approved" else approval.expires_at
    # Guarded though the row is locked: whatever path may lead here, one answer settles a question.
    moved = Approval.objects.filter(
        in_time(ClockTimestamp()), pk=approval.pk, state=State.PENDING, digest=answer.digest
    ).update(
        state=state,
        decided_by=user,
        decided_at=now,
        reason=answer.reason,
        signature=signature,
        key_id=key_id,
        expires_at=expires,
        claimed_by=None,
        claimed_until=None,
    )
    if moved != 1:
        raise ConflictError("The time to decide has run out.", code="expired")


def _vote(
    approval: Approval,
    user: User,
    answer: rules.ProposedVote,
    *,
    nonce: str,
    dwell_ms: int | None,
    now: datetime,
) -> Vote:
    vote = Vote(
        approval=approval,
        user=user,
        approve=answer.approve,
        reason=answer.reason,
        digest=answer.digest,
        nonce=nonce,
        dwell_ms=dwell_ms,
        at=now,
    )
    vote.signature, vote.key_id = sign_vote(approval, vote_of(vote))
    vote.save(force_insert=True)
    return vote


def standing_of(
    approval: Approval, votes: Sequence[Vote], parties: Mapping[int, str] | None = None
) -> rules.ApprovalStatus:
    return rules.ApprovalStatus(
        state=approval.state,
        digest=approval.digest,
        risk=approval.risk,
        roles=approval.asked_roles,
        votes_required=approval.votes_required,
        expires_at=approval.expires_at,
        ends_at=approval.ends_at,
        claimed_by=approval.claimed_by_id,
        claimed_until=approval.claimed_until,
        approved_by=tuple(v.user_id for v in votes if v.approve),
        parties=parties or {},
    )


def error_of(refused: rules.Refusal, approval: Approval, digest: str) -> TowerError:
    who = {"decided": approval.decided_by, "claimed": approval.claimed_by}.get(refused.code)
    when = {"decided": approval.decided_at, "expired": approval.until}.get(refused.code)
    if refused.code == "reason":
        return InvalidInputError(refused.sentence, code="reason", field="reason")
    if refused.code in ("role", "party"):
        return NotPermittedError(refused.sentence)
    detail: dict[str, Any] = {"who": who.display_name if who else "", "when": when}
    if refused.code == "digest":
        detail |= {"seen": digest, "asked": approval.digest}
    return ConflictError(refused.sentence, code=refused.code, **detail)


def _said(answer: rules.ProposedVote, dwell_ms: int | None) -> dict[str, Any]:
    return {"approve": answer.approve, "reason": answer.reason, "dwell_ms": dwell_ms}
