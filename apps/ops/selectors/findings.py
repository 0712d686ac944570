"""What was found out about steps of which nobody knows whether they happened."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from apps.calls.domain.lookup import LOOKED_WORDS
from apps.kernel.errors import NotFoundError
from apps.runs.models import PARKED_UNTIL, Finding, LookUp, Step


def step_id_of(run_id: UUID, seq: int) -> UUID:
    """The id of a run's step, or ``NotFoundError``."""
    found = Step.objects.filter(run_id=run_id, seq=seq).values_list("pk", flat=True).first()
    if found is None:
        raise NotFoundError("This run has no such step.")
    return found


@dataclass(frozen=True, slots=True)
class OwnLookUps:
    """How often the tower itself has asked about a lost call, what came of it last, and when it
    asks again: ``None`` when it has asked often enough."""

    tries: int
    words: str
    said: str
    at: datetime
    next_at: datetime | None


def own_look_ups(step: Step) -> OwnLookUps | None:
    """The tower's own look-ups of an unknown step; ``None`` before the first."""
    row = LookUp.objects.filter(step_id=step.pk, round=step.attempts_made).first()
    if row is None:
        return None
    known = {looked.value: words for looked, words in LOOKED_WORDS.items()}
    words = known.get(row.word, row.word) or "under way"
    next_at = step.not_before if step.not_before < PARKED_UNTIL else None
    return OwnLookUps(row.tries, words, row.said, row.at, next_at)


def findings_of(step_ids: Sequence[UUID]) -> list[Finding]:
    """What was found out about these steps, oldest first."""
    rows = Finding.objects.select_related("person").filter(step_id__in=step_ids)
    return list(rows.order_by("at", "id"))
