"""What the engine does when something happens downstairs."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from apps.audit.services import Fact
from apps.runs.services.waking import queue_decided

DECIDED = ("approval.approved", "approval.rejected", "approval.expired", "approval.void")


def approval_changed(facts: Sequence[Fact]) -> None:
    """A person (or the clock) decided: the steps that waited go on."""
    if approvals := [UUID(f.subject_id) for f in facts]:
        queue_decided(approvals)
