"""What becomes of a step whose worker went silent.

The product decides this in SQL, not in its domain: ``apps.runs.journal.lost.expire_leases``, the
two ``CASE`` of its ``dead`` and its ``UPDATE``. This is the same table in Python; a test carries
out every row of it on a real database.
"""

from __future__ import annotations

from apps.runs.domain.states import State
from apps.runs.domain.suspicion import MOST_LOSSES


def after_loss(*, idempotency: str, intent_open: bool, losses: int) -> tuple[State, str, str]:
    """State, disposition and error class of a step after its lease ran out; ``losses`` before."""
    poison = losses + 1 >= MOST_LOSSES
    if intent_open and (idempotency != "keyed" or poison):
        return State.CONFIRMATION_UNKNOWN, "unknown", "poison" if poison else "worker_lost"
    if poison:
        return State.FAILED, "failed", "poison"
    return State.QUEUED, "", "lease_lost"
