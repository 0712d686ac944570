"""Steps of which nobody knows whether they happened: whom to ask, and what was said so far."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from apps.calls.domain.context import told
from apps.calls.services import hiding
from apps.catalog.selectors import pinned as catalog
from apps.redaction.domain.hidden import Hidden
from apps.runs.domain.finding import FindingVerdict
from apps.runs.models import Finding, Step


@dataclass(frozen=True, slots=True)
class Target:
    """A step that can be looked up at its tool's server."""

    step_id: UUID
    run_id: UUID
    round: int
    server: str
    look_up: str
    tool: str
    arguments: dict[str, Any]
    key: str
    context: Mapping[str, str]
    hidden: Hidden | None


def targets(step_ids: Iterable[UUID]) -> list[Target]:
    """Those of these steps that are still unknown and can be looked up."""
    steps = Step.objects.select_related("run").filter(
        pk__in=list(step_ids), state="confirmation_unknown"
    )
    return [
        _target(s) for s in steps if s.idempotency_key and catalog.look_up_tool(s.tool_version_id)
    ]


def _target(step: Step) -> Target:
    version_id = step.tool_version_id or 0
    return Target(
        step_id=step.pk,
        run_id=step.run_id,
        round=step.attempts_made,
        server=catalog.tool_server(version_id),
        look_up=catalog.look_up_tool(version_id),
        tool=step.tool_name,
        arguments=step.arguments,
        key=step.idempotency_key,
        context=told(step.run.context),
        hidden=hiding.of_run(step.run),
    )


def versions_to_look_up() -> list[int]:
    """Tool versions with a look-up that have unknown steps at this moment."""
    found = Step.objects.filter(state="confirmation_unknown", tool_version_id__isnull=False)
    ids = found.order_by().values_list("tool_version_id", flat=True).distinct()
    return [pk for pk in ids if pk and catalog.look_up_tool(pk)]


def votes_of(step_id: UUID, round_number: int) -> list[tuple[int, str]]:
    """What people said about a step in this round, oldest first."""
    rows = Finding.objects.filter(
        step_id=step_id, round=round_number, person__isnull=False, word__in=list(FindingVerdict)
    )
    return list(rows.order_by("at", "id").values_list("person_id", "word"))  # type: ignore[arg-type]  # not null by the filter


def settled_by(step_id: UUID) -> Finding | None:
    """What resolved a step last, if anything did."""
    rows = Finding.objects.select_related("person").filter(step_id=step_id, settled=True)
    return rows.order_by("-at").first()
