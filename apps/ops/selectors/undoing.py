"""Undoings as pages show them: whom one reaches, and each step beside what undoes it."""

from __future__ import annotations

from collections import defaultdict
from uuid import UUID

from django.db.models import Q

from apps.policy.domain.effects import Effect
from apps.runs.domain.results import Disposition
from apps.runs.models import Run, Step


def heirs(run: Run) -> list[UUID]:
    """Branches that inherited something that this run changed: undoing takes it from them too."""
    if run.root_id is None:
        return []
    changed = Step.objects.filter(run_id=run.pk, disposition=Disposition.EXECUTED).exclude(
        effect=Effect.READ
    )
    rows = Step.objects.filter(inherited_from__in=changed.values("pk"))
    return list(rows.order_by("run_id").values_list("run_id", flat=True).distinct())


def nested(steps: list[Step]) -> list[Step]:
    """Steps in their order, each undoing right under the step that it undoes."""
    known = {s.pk for s in steps}
    under: defaultdict[UUID, list[Step]] = defaultdict(list)
    for step in steps:
        if step.compensates_id in known:
            under[step.compensates_id].append(step)
    tops = [s for s in steps if s.compensates_id not in known]
    return [each for top in tops for each in (top, *under[top.pk])]


def kin_of(step: Step) -> list[Step]:
    """The step that this one undoes, and those that undo it."""
    found = Q(compensates_id=step.pk)
    if step.compensates_id:
        found |= Q(pk=step.compensates_id)
    return list(Step.objects.filter(found, run_id=step.run_id).order_by("seq"))
