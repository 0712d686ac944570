"""Who is on it: a claim for five minutes, and how to take one over."""

from __future__ import annotations

from datetime import datetime
from typing import cast
from uuid import UUID

from apps.accounts.models import User
from apps.audit import services as audit
from apps.kernel.errors import NotPermittedError
from apps.kernel.statements import database_now
from apps.kernel.transactions import command
from apps.oversight.domain import rules
from apps.oversight.models import Approval
from apps.oversight.services.deciding import error_of, require_able, standing_of
from apps.oversight.services.rows import State, fact, locked


@command
def claim(*, approval_id: UUID, user: User, reason: str = "") -> Approval:
    """Take a question for five minutes, or renew. Somebody else's live claim is taken over only
    with a reason; without one, ConflictError says whose it is."""
    require_able(user)
    approval = locked(approval_id)
    now = database_now()
    standing = standing_of(approval, (), by=user)
    if approval.state != State.PENDING or now >= approval.until:
        code = "decided" if approval.state not in {State.PENDING, State.EXPIRED} else "expired"
        raise error_of(rules.Refusal(code, "This is no longer pending."), approval, "")
    if not rules.may_decide(user.role, approval.asked_roles):
        raise NotPermittedError("Only those who may decide can claim.")
    if standing.outside:
        raise NotPermittedError(standing.outside, code="team")
    taken = rules.is_claimed_by_other(standing, user.pk, now)
    if taken and not reason.strip():
        sentence = "Somebody else has claimed it. Give a reason to take over the claim."
        raise error_of(rules.Refusal("claimed", sentence), approval, "")
    is_new = approval.claimed_by_id != user.pk or not approval.claimed_until
    is_new = is_new or cast(datetime, approval.claimed_until) <= now
    previous = approval.claimed_by.username if taken and approval.claimed_by else ""
    # The row is locked since it was judged, so of two who claim at once the second has been told.
    Approval.objects.filter(pk=approval.pk, state=State.PENDING).update(
        claimed_by=user, claimed_until=now + rules.LEASE
    )
    if is_new:  # a renewal changes nothing that others see, so it rings no bell
        more = {"from": previous, "reason": reason} if taken else {}
        kind = "taken_over" if taken else "claimed"
        audit.record_many([fact(kind, approval, user.actor, **more)])
    approval.refresh_from_db()
    return approval


@command
def release(*, approval_id: UUID, user: User) -> Approval:
    """Give a question back. Nothing happens if it is not this person's any more."""
    # Guarded: a claim that somebody took over meanwhile is theirs and stays.
    given_back = Approval.objects.filter(pk=approval_id, claimed_by=user).update(
        claimed_by=None, claimed_until=None
    )
    approval = locked(approval_id)
    if given_back:
        audit.record_many([fact("released", approval, user.actor)])
    return approval
