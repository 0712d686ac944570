"""Let steps that waited for a person go on."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from apps.kernel.transactions import command
from apps.runs import dispatch, journal


def wake(approval_ids: Sequence[UUID]) -> int:
    """Queue the steps that waited for these approvals, and ring. Returns how many woke."""
    lanes = _wake(approval_ids)
    for lane in set(lanes):
        dispatch.ring(lane)
    return len(lanes)


@command
def _wake(approval_ids: Sequence[UUID]) -> list[str]:
    return journal.wake(approval_ids)
