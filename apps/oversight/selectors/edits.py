"""How people edited held calls: for the gate, the agent and the pages."""

from __future__ import annotations

from collections.abc import Collection
from uuid import UUID

from apps.oversight.domain import editing
from apps.oversight.domain.editing import EditedCall
from apps.oversight.models import Approval, Edit


def edited_calls(step_ids: Collection[UUID]) -> dict[UUID, EditedCall]:
    """Of these steps those that people edited, as the gate has to know it. One query."""
    found: dict[UUID, list[Edit]] = {}
    rows = Edit.objects.filter(step_id__in=step_ids).select_related("by").order_by("number")
    for edit in rows if step_ids else ():
        found.setdefault(edit.step_id, []).append(edit)
    return {
        step_id: EditedCall(
            number=edits[-1].number,
            by=tuple(edit.by.username for edit in edits),
            last_by=edits[-1].by.display_name,
            reason=edits[-1].reason,
            replaced=edits[-1].approval_id,
            proposed=editing.arguments_digest(edits[0].before),
        )
        for step_id, edits in found.items()
    }


def edited_from(step_id: UUID) -> UUID | None:
    """The question that the last edit of a step ended, by which the gate knows the step as edited;
    nothing for one that nobody edited."""
    rows = Edit.objects.filter(step_id=step_id).order_by("-number")
    return rows.values_list("approval_id", flat=True).first()


def edits_told(step_ids: Collection[UUID]) -> dict[UUID, str]:
    """What the agents of these steps are told of how people edited them; nothing of the others. A
    query where there are steps."""
    found: dict[UUID, list[Edit]] = {}
    rows = Edit.objects.filter(step_id__in=step_ids).select_related("approval")
    for edit in rows if step_ids else ():
        found.setdefault(edit.step_id, []).append(edit)
    return {
        step_id: editing.told(
            edits[0].approval.tool_name,
            edits[0].before,
            edits[-1].after,
            [edit.reason for edit in edits],
        )
        for step_id, edits in found.items()
    }


def edits_of(approval: Approval) -> list[Edit]:
    """The edits that led to this question, in order; the one that ended it is none of them."""
    rows = Edit.objects.filter(step_id=approval.step_id, at__lte=approval.created_at)
    return list(rows.exclude(approval=approval.pk).select_related("by", "approval"))


def edits_of_step(step_id: UUID) -> list[Edit]:
    """All edits of a step, in order."""
    return list(Edit.objects.filter(step_id=step_id).select_related("by", "approval"))


def edit_that_ended(approval: Approval) -> Edit | None:
    """The edit that took this question's place, if one did."""
    return Edit.objects.filter(approval=approval.pk).select_related("by").first()


def asked_after(approval: Approval) -> Approval | None:
    """The question that was asked about the same step next, if one was."""
    rows = Approval.objects.filter(step_id=approval.step_id, created_at__gt=approval.created_at)
    return rows.order_by("created_at").first()
