"""Take people's answers. One settles a question; whoever comes too late is told who and when."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from apps.accounts.models import User
from apps.accounts.services.factors import ShownPasskey
from apps.audit import services as audit
from apps.audit.domain.actors import GATE
from apps.kernel.errors import ConflictError, InvalidInputError, NotPermittedError, TowerError
from apps.kernel.statements import database_now
from apps.kernel.transactions import command, participant
from apps.oversight.domain import confirming, reading, rules
from apps.oversight.domain.signed import SignedDecision
from apps.oversight.models import Approval, Vote
from apps.oversight.selectors import away, edits
from apps.oversight.selectors.cooling import votes_wanted_of
from apps.oversight.services.parties import parties_for
from apps.oversight.services.passkeys import signed_with_passkey
from apps.oversight.services.proving import sign_decision, sign_vote, vote_of, why_no_vote
from apps.oversight.services.reading import sheet_read
from apps.oversight.services.rows import (
    ClockTimestamp,
    State,
    end_delegation,
    fact,
    in_time,
    locked,
)
from apps.oversight.services.scopes import why_outside
from apps.oversight.services.second_look import require_second_look, take_turns

# How long an answer given in time may wait for a worker before it has to be asked again.
GRACE = timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class PageAnswer:
    """What an answer from a page brings beside itself: ``confirm``, typed to confirm a critical
    one, and the passkey that was shown."""

    confirm: str = ""
    passkey: ShownPasskey | None = None


def decide(
    *,
    approval_id: UUID,
    user: User,
    approve: bool,
    reason: str,
    digest: str,
    nonce: str,
    dwell_ms: int | None = None,
    page: PageAnswer | None = None,
) -> Approval:
    """Record one person's answer. The same nonce again gives the same answer. Whoever comes too
    late gets a ConflictError with who and when; a missing reason is an InvalidInputError, and so is
    an approval from a ``page`` that has not shown enough, that repeats what was asked before unless
    its person has looked at that, or that was not confirmed, or signed with the passkey that the
    policy asks for. Without a page it is a scripted reviewer's, to whom nothing is shown."""
    answer = rules.ProposedVote(user.pk, user.role, approve, reason, digest)
    approval = _decide(approval_id, user, answer, Sent(nonce, dwell_ms, page))
    approval.refresh_from_db()  # once the run has been told: it waits for nobody's reading
    return approval


@dataclass(frozen=True, slots=True)
class Sent:
    """How an answer came."""

    nonce: str
    dwell_ms: int | None
    page: PageAnswer | None


@command
def _decide(approval_id: UUID, user: User, answer: rules.ProposedVote, sent: Sent) -> Approval:
    return take(approval_id, user, answer, sent)


@participant
def take(approval_id: UUID, user: User, answer: rules.ProposedVote, sent: Sent) -> Approval:
    """Record one answer within the transaction of whoever records several; see ``decide``."""
    # The row lock makes those who answer at once take turns, so that votes are counted exactly.
    require_able(user)
    approval = locked(approval_id)
    votes = _proved_votes(approval)
    mine = next((v for v in votes if v.user_id == user.pk and v.nonce == sent.nonce), None)
    if mine is not None and mine.approve == answer.approve:
        return approval
    _refuse_late_copy(approval, sent.nonce)
    # Of two people who answer requests for the same at once, the second sees the first's answer:
    # an approval is counted after every rejection that came before it.
    take_turns(approval)
    now = database_now()
    standing = replace(
        standing_of(approval, votes, parties_for(approval, user, votes), by=user),
        votes_required=votes_wanted_of(approval),
    )
    if refused := rules.refusal(standing, answer, now):
        raise error_of(refused, approval, answer.digest)
    read = sheet_read(approval, user) if sent.page else None
    if sent.page and answer.approve:
        _check_page(approval, read, sent.page, now)
    signed = _signed(approval, user, sent) if answer.approve else None
    vote = _vote(approval, user, answer, sent, read=read, now=now, signed=signed)
    votes.append(vote)
    state = rules.outcome(standing, answer)
    if state == State.APPROVED and sent.page and approval.undo_s:
        state = State.GRANTED.value  # it counts once it can't be taken back any more
    if state == State.PENDING:
        Approval.objects.filter(pk=approval.pk).update(claimed_by=None, claimed_until=None)
        end_delegation(approval, to=user)  # it waits for others now
        audit.record_many([fact("voted", approval, user.actor, **_said(vote))])
    else:
        _settle(approval, user, answer, state=state, now=now, votes=votes)
        audit.record_many([fact(state, approval, user.actor, **_said(vote))])
    return approval


def _refuse_late_copy(approval: Approval, nonce: str) -> None:
    """A form that was sent twice must not give an answer again that was taken back in between."""
    if approval.reversals.filter(votes__contains=[{"nonce": nonce}]).exists():
        raise ConflictError("This answer was taken back. Look again, then decide.", code="undone")


def require_able(user: User) -> None:
    """Refuse whoever can't act yet, or any more, whatever their role: a new or reset account, a
    disabled one, an admin's that nobody confirmed."""
    if why := user.hindrance:
        raise NotPermittedError(why)


def _check_page(
    approval: Approval, read: reading.SheetRead | None, page: PageAnswer, now: datetime
) -> None:
    """Refuse an approval from a page that can't have been read, or that was not confirmed."""
    if why := reading.unread(read, approval.risk, now):
        raise InvalidInputError(why, code="unread")
    require_second_look(approval, read)
    asked = challenge_of(approval)
    if asked and (why := asked.why_not(page.confirm)):
        raise InvalidInputError(why, code="confirm", field="confirm")


def _signed(approval: Approval, user: User, sent: Sent) -> dict[str, Any] | None:
    shown = sent.page.passkey if sent.page else None
    return signed_with_passkey(approval, user, nonce=sent.nonce, shown=shown)


def challenge_of(approval: Approval) -> confirming.Challenge | None:
    """What has to be typed to approve it."""
    return confirming.challenge(
        risk=approval.risk,
        amount_cents=approval.amount_cents,
        arguments=approval.arguments,
        digest=approval.digest,
    )


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
    signed = State.APPROVED.value if state == State.GRANTED else state
    settled = SignedDecision(signed, user.username, answer.reason, now)
    signature, key_id = sign_decision(approval, settled, votes)
    expires = max(approval.expires_at, now + GRACE) if state == "approved" else approval.expires_at
    undo = timedelta(seconds=approval.undo_s)
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
        not_before=now + undo if state == State.GRANTED else None,
        claimed_by=None,
        claimed_until=None,
    )
    if moved != 1:
        raise ConflictError("The time to decide has run out.", code="expired")


def _vote(
    approval: Approval,
    user: User,
    answer: rules.ProposedVote,
    sent: Sent,
    *,
    read: reading.SheetRead | None,
    now: datetime,
    signed: dict[str, Any] | None,
) -> Vote:
    vote = Vote(
        approval=approval,
        user=user,
        approve=answer.approve,
        reason=answer.reason,
        digest=answer.digest,
        nonce=sent.nonce,
        dwell_ms=sent.dwell_ms,
        shown_ms=_ms(now - read.opened_at) if read else None,
        at=now,
        passkey=signed,
    )
    vote.signature, vote.key_id = sign_vote(approval, vote_of(vote))
    vote.save(force_insert=True)
    return vote


def standing_of(
    approval: Approval,
    votes: Sequence[Vote],
    parties: Mapping[int, str] | None = None,
    *,
    by: User,
) -> rules.ApprovalStatus:
    """An approval as it stands for somebody who would answer."""
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
        denied=bool(approval.bound_to.get("denied")),
        stood_in_for=_absent_claimer(approval, by),
        outside=why_outside(approval, by),
    )


def _absent_claimer(approval: Approval, user: User) -> frozenset[int]:
    """Who claimed it, where this person is there in their stead."""
    if approval.claimed_by_id in {None, user.pk}:
        return frozenset()
    people = away.roster().stood_in_for(user)
    return frozenset(one.pk for one in people if one.pk == approval.claimed_by_id)


def error_of(refused: rules.Refusal, approval: Approval, digest: str) -> TowerError:
    who = {"decided": approval.decided_by, "claimed": approval.claimed_by}.get(refused.code)
    when = {"decided": approval.decided_at, "expired": approval.until}.get(refused.code)
    if refused.code == "decided" and (edit := edits.edit_that_ended(approval)):
        said = f"{edit.by.display_name} edited it meanwhile, so it is another request now."
        return ConflictError(said, code="edited", who=edit.by.display_name, when=edit.at)
    if refused.code == "reason":
        return InvalidInputError(refused.sentence, code="reason", field="reason")
    if refused.code == "team":
        return NotPermittedError(refused.sentence, code="team")
    if refused.code in ("role", "party", "denied"):
        return NotPermittedError(refused.sentence)
    detail: dict[str, Any] = {"who": who.display_name if who else "", "when": when}
    if refused.code == "digest":
        detail |= {"seen": digest, "asked": approval.digest}
    return ConflictError(refused.sentence, code=refused.code, **detail)


def _ms(shown: timedelta) -> int:
    """In milliseconds, as far as the column reaches: 24 days."""
    return min(max(int(shown / timedelta(milliseconds=1)), 0), 2**31 - 1)


def _said(vote: Vote) -> dict[str, Any]:
    names = ("approve", "reason", "dwell_ms", "shown_ms")
    said = {name: getattr(vote, name) for name in names}
    return said if vote.passkey is None else {**said, "passkey": vote.passkey["credential"]}
