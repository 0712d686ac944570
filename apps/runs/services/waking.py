"""Let steps that waited for a person go on."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from apps.kernel.transactions import after_commit, command, participant
from apps.runs import dispatch, journal


@participant
def queue_decided(approval_ids: Sequence[UUID]) -> int:
    """Queue the steps that waited for these approvals, and ring once that is committed. Returns how
    many woke."""
    lanes = journal.wake(approval_ids)
    after_commit(lambda: _ring(set(lanes)))
    return len(lanes)


@command
def wake(approval_ids: Sequence[UUID]) -> int:
    """The same, in a transaction of its own."""
    return queue_decided(approval_ids)


def _ring(lanes: set[str]) -> None:
    for lane in sorted(lanes):
        dispatch.ring(lane)
