"""What became of steps that people decided about, for the lists of what was decided before."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from uuid import UUID

from apps.runs.domain.states import State
from apps.runs.models import Step


def outcomes_of(step_ids: Collection[UUID]) -> Mapping[UUID, str]:
    """How each of these steps stands; one that was undone is undone. Two queries by index."""
    rows = Step.objects.filter(pk__in=step_ids).values_list("pk", "state", "disposition")
    found = {pk: disposition or state for pk, state, disposition in rows}
    undone = Step.objects.filter(compensates_id__in=list(found), state=State.SUCCEEDED)
    undone_ids = undone.values_list("compensates_id", flat=True)
    return found | dict.fromkeys(undone_ids, State.COMPENSATED.value)
