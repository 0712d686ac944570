"""What was asked before is approved once more only by somebody who says that it is meant."""

from __future__ import annotations

from collections.abc import Collection
from uuid import UUID

from apps.accounts.models import User
from apps.audit import services as audit
from apps.kernel.errors import ConflictError, InvalidInputError
from apps.kernel.statements import database_now, execute
from apps.kernel.transactions import command, participant
from apps.oversight.domain import repeats
from apps.oversight.domain.reading import SheetRead
from apps.oversight.models import Approval, Reading
from apps.oversight.selectors import past
from apps.oversight.services.rows import fact

# Whoever answers one of several requests for the same holds this until the answer is committed.
TAKE_TURNS = (
    "SELECT pg_advisory_xact_lock(hashtextextended(key, 60))"
    " FROM (SELECT key FROM unnest(%s::text[]) AS key ORDER BY 1) AS keys"
)


@command
def look_again(
    *, approval_id: UUID, user: User, digest: str, told: Collection[str]
) -> frozenset[str]:
    """Note that this person looked at other requests for the same (``told``: their marks, as the
    page had them) and means it once more. What no longer stands so is not noted. Returns what they
    have looked at; ConflictError for a sheet that they were not given, or of which something
    changed since."""
    rows = Reading.objects.select_for_update(of=["self"]).select_related("approval")
    given = {"approval": approval_id, "user": user, "digest": digest, "approval__digest": digest}
    row = rows.filter(**given).first()
    if row is None:
        raise ConflictError("This is not the request that you opened: load it anew.", code="digest")
    before = set(row.looked) if isinstance(row.looked, list) else set()
    now = past.repeats_of(row.approval).marks
    looked = now & (before | set(told))
    if added := looked - before:
        row.looked, row.looked_at = sorted(looked), database_now()
        row.save(update_fields=["looked", "looked_at"])
        audit.record_many([fact("looked_again", row.approval, user.actor, same=sorted(added))])
    return frozenset(looked)


@participant
def take_turns(approval: Approval) -> None:
    """Wait until nobody else is answering a request for the same, and keep others from it until
    this transaction ends."""
    if keys := past.effect_of(approval).keys:
        execute(TAKE_TURNS, [keys])


@participant
def require_second_look(approval: Approval, read: SheetRead | None) -> None:
    """Refuse an approval by somebody who has not looked at what became of other requests for the
    same. Its turn has to have been taken, so that of two that are approved at once the second is
    told of the first."""
    found = past.repeats_of(approval)
    if repeats.unlooked(found.marks, read.looked if read else ()):
        raise InvalidInputError(repeats.NOT_LOOKED_AT.format(told=found.told), code="same")
