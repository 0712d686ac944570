"""What becomes of a step whose worker went silent.

The evidence is weighed by the product's domain. What follows from it is decided in
``apps.runs.journal.lost.expire_leases``; this is the same table, and a test carries out every row
of it on a real database.
"""

from __future__ import annotations

from apps.runs.domain.states import State
from apps.runs.domain.suspicion import GUILTY


def after_loss(
    *, idempotency: str, intent_open: bool, losses: int, blame: int, most_losses: int
) -> tuple[State, str, str]:
    """State, disposition and error class of a step after its lease ran out, by the losses and the
    evidence against it, this one included."""
    poison = losses >= most_losses or blame >= GUILTY
    if intent_open and (idempotency != "keyed" or poison):
        return State.CONFIRMATION_UNKNOWN, "unknown", "poison" if poison else "worker_lost"
    if poison:
        return State.FAILED, "failed", "poison"
    return State.QUEUED, "", "lease_lost"
