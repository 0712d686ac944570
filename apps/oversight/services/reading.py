"""What a person was shown of a question before answering it, by the database's clock."""

from __future__ import annotations

from collections.abc import Collection
from uuid import UUID

from apps.accounts.models import User
from apps.kernel.errors import ConflictError
from apps.kernel.transactions import command
from apps.oversight.domain import reading
from apps.oversight.models import Approval, Reading
from apps.oversight.services.rows import ClockTimestamp


@command
def open_sheet(approval: Approval, user: User) -> Reading:
    """Note that this person is given the sheet now, unless they were before; when it was first."""
    # The unique constraint decides between two pages that are drawn at once.
    Reading.objects.bulk_create([_row(approval, user)], ignore_conflicts=True)
    return Reading.objects.get(approval=approval, user=user, digest=approval.digest)


def _row(approval: Approval, user: User) -> Reading:
    return Reading(approval=approval, user=user, digest=approval.digest)


@command
def see(*, approval_id: UUID, user: User, digest: str, parts: Collection[str]) -> frozenset[str]:
    """Note which parts have been on this person's screen; returns all that have. ConflictError for
    a sheet that they were not given, or of which something changed since."""
    rows = Reading.objects.filter(approval=approval_id, user=user, digest=digest)
    for part in reading.PARTS.keys() & set(parts):
        column = f"{part}_at"
        rows.filter(**{f"{column}__isnull": True}).update(**{column: ClockTimestamp()})
    found = rows.first()
    if found is None:
        raise ConflictError("This is not the request that you opened: load it anew.", code="digest")
    return read_of(found).seen


def sheet_read(approval: Approval, user: User) -> reading.SheetRead | None:
    """What this person has seen of the question as it is asked now."""
    rows = Reading.objects.filter(approval=approval, user=user, digest=approval.digest)
    found = rows.first()
    return read_of(found) if found else None


def read_of(row: Reading) -> reading.SheetRead:
    """A stored reading as it is judged by."""
    seen = frozenset(part for part in reading.PARTS if getattr(row, f"{part}_at"))
    looked = row.looked if isinstance(row.looked, list) else ()
    return reading.SheetRead(row.opened_at, seen, frozenset(map(str, looked)))
