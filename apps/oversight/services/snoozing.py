"""Put a question out of one's own sight for a while. Others see it, and its clock goes on.

It comes back by itself, and at once when its person is called about it or it is delegated to them.
A question that is edited or asked anew is another one, which nobody has snoozed.
"""

from __future__ import annotations

from collections.abc import Collection
from uuid import UUID

from django.db.models import Q

from apps.accounts.models import User
from apps.audit import services as audit
from apps.kernel.errors import ConflictError, InvalidInputError, NotPermittedError
from apps.kernel.statements import database_now
from apps.kernel.transactions import command, participant
from apps.oversight.domain import rules, snoozing
from apps.oversight.models import Approval, Snooze
from apps.oversight.services.deciding import require_able
from apps.oversight.services.rows import State, fact, locked

TOO_LATE = "Too little of its time is left to snooze it."


@command
def snooze(*, approval_id: UUID, user: User, minutes: int) -> Snooze:
    """Hide a question from this person for so many minutes (0: as long as may be), but never past
    half of what is left of its window. Another time replaces the one before. ConflictError for one
    that is decided or has too little time left."""
    require_able(user)
    if minutes not in {snoozing.HALF, *snoozing.PRESETS}:
        raise InvalidInputError("Choose one of the times.", code="snooze", field="minutes")
    # Whoever calls somebody about it holds the row: a snooze is either gone then, or comes after.
    approval = locked(approval_id)
    if not rules.may_decide(user.role, approval.asked_roles):
        raise NotPermittedError("Only those who may decide can snooze.")
    if approval.state != State.PENDING:
        word = rules.word_of(approval.state)
        raise ConflictError(f"This was {word} meanwhile.", code="decided")
    now = database_now()
    until = snoozing.until(minutes, now, approval.expires_at)
    if until is None:
        raise ConflictError(TOO_LATE, code="late")
    found, _ = Snooze.objects.update_or_create(
        approval=approval, user=user, defaults={"until": until, "at": now}
    )
    audit.record_many([fact("snoozed", approval, user.actor, until=until.isoformat())])
    return found


@command
def wake(*, approval_id: UUID, user: User) -> None:
    """Show it to this person again. Nothing happens if it isn't snoozed."""
    Snooze.objects.filter(approval=approval_id, user=user).delete()


@participant
def wake_called(approval: Approval, role: str, people: Collection[int] = ()) -> None:
    """Show it again to everybody of a role, and to these people, since they are called about it."""
    rows = Snooze.objects.filter(approval=approval)
    rows.filter(Q(user__role=role) | Q(user__in=people)).delete()
