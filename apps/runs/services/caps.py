"""Set and lift caps."""

from __future__ import annotations

from functools import partial

from django.db.models.functions import Now

from apps.audit.domain.actors import Actor
from apps.audit.services import record
from apps.kernel.errors import InvalidInputError, NotFoundError
from apps.kernel.transactions import after_commit, command
from apps.runs import dispatch
from apps.runs.journal import pressure
from apps.runs.models import Cap


@command
def set_cap(
    scope: str,
    key: str,
    *,
    max_in_flight: int | None,
    per_minute: int | None,
    reason: str,
    actor: Actor,
) -> None:
    """Allow one tool, job, agent or tenant so much in all workers together, from the next claim
    on; what is under way goes on. A cap that is there already is replaced."""
    if max_in_flight is None and per_minute is None:
        raise InvalidInputError(
            "Say how many at once, how many a minute, or both.", field="max_in_flight"
        )
    bounds = {"max_in_flight": max_in_flight, "per_minute": per_minute}
    Cap.objects.update_or_create(
        scope=scope,
        key=key,
        defaults={**bounds, "reason": reason, "changed_by": actor.text, "changed_at": Now()},
    )
    payload = {**bounds, "reason": reason}
    record(kind="cap.set", actor=actor, subject_type=scope, subject_id=key, payload=payload)
    after_commit(pressure.forget_caps)


@command
def remove_cap(scope: str, key: str, *, actor: Actor) -> None:
    """Lift a cap: what it held back is looked at again within seconds."""
    gone, _ = Cap.objects.filter(scope=scope, key=key).delete()
    if not gone:
        raise NotFoundError("There is no such cap; somebody may have lifted it meanwhile.")
    record(kind="cap.removed", actor=actor, subject_type=scope, subject_id=key)
    after_commit(pressure.forget_caps)
    for lane in pressure.look_again(scope, key):
        after_commit(partial(dispatch.ring, lane))
