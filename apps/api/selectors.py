"""Runs, steps, receipts and events as the API tells them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.urls import reverse

from apps.ops.selectors.answers import result_of
from apps.ops.selectors.runs import of_account
from apps.outcomes.domain.counting import counts_as
from apps.outcomes.domain.tally import Tally

if TYPE_CHECKING:
    from apps.audit.models import Event
    from apps.ops.selectors.detail import StepView
    from apps.runs.models import Receipt, Run


def of_tenant(events: Sequence[Event], tenant: str) -> list[Event]:
    """Those of the events that are about runs of this account."""
    mine = of_account(tenant, {event.run_id for event in events if event.run_id})
    return [event for event in events if event.run_id in mine]


def run_document(run: Run) -> dict[str, Any]:
    """A run. ``url`` is the page for people; ``links`` are for programs, relative to this
    server."""
    of_run = {"run_id": run.pk}
    me = reverse("rest:run", kwargs=of_run)
    return {
        "id": str(run.pk),
        "state": run.state,
        "outcome": run.outcome,
        "counts_as": counts_as(run.state, run.outcome),
        "summary": run.summary,
        "job": run.job_slug,
        "contract": run.contract_number,
        "agent": {"kind": run.agent_kind, "label": run.agent_label},
        "customer": run.customer,
        "reference": run.case_ref,
        "source": run.source,
        "origin": run.origin,
        "steps_total": run.steps_total,
        "deferred_until": _moment(run.deferred_until if run.state == "accepted" else None),
        "reason": run.admission_reason,
        "error_class": run.error_class,
        "degraded": run.degraded,
        "created_at": _moment(run.created_at),
        "started_at": _moment(run.started_at),
        "finished_at": _moment(run.finished_at),
        "deadline_at": _moment(run.deadline_at),
        "url": settings.TOWER_ORIGIN.rstrip("/") + reverse("runs:detail", args=[run.pk]),
        "links": {
            "self": me,
            "steps": reverse("rest:steps", kwargs=of_run),
            "receipts": reverse("rest:receipts", kwargs=of_run),
            "cancel": reverse("rest:cancel", kwargs=of_run),
            "events": f"{reverse('rest:events')}?run={run.pk}",
        },
    }


def with_result(run: Run) -> dict[str, Any]:
    """A run with what it gave back, every number by its value."""
    given = result_of(run.pk)
    return {
        **run_document(run),
        "has_result": given is not None,
        "result": given.value if given else None,
    }


def numbers_document(found: Tally) -> dict[str, Any]:
    """What some runs came to, as the pages count it."""
    share = found.success
    return {
        "runs": found.runs,
        "finished": found.finished,
        "succeeded": found.succeeded,
        "failed": found.failed,
        "handed_over": found.handed_over,
        "cancelled": found.cancelled,
        "open": found.open,
        "success_share": None if share.is_too_few else share.value,
        "interval": None if share.is_too_few else share.interval,
    }


def step_document(view: StepView) -> dict[str, Any]:
    """A step. Arguments and results stay with the run page, where reading them is a person's."""
    step = view.step
    return {
        "id": str(step.pk),
        "seq": step.seq,
        "kind": step.kind,
        "tool": step.tool_name,
        "effect": step.effect,
        "state": step.state,
        "disposition": step.disposition,
        "gate": step.gate,
        "waits_for": step.waits_for,
        "attempts": len(view.attempts),
        "arguments_digest": step.arguments_digest,
        "idempotency_key": step.idempotency_key,
        "error_class": step.error_class,
        "created_at": _moment(step.created_at),
        "finished_at": _moment(step.finished_at),
    }


def receipt_document(receipt: Receipt, view: StepView) -> dict[str, Any]:
    """The evidence that a step's call was answered."""
    return {
        "step": str(receipt.step_id),
        "seq": view.step.seq,
        "tool": view.step.tool_name,
        "idempotency_key": receipt.idempotency_key,
        "provider_ref": receipt.provider_ref,
        "response_digest": receipt.response_digest,
        "evidence": receipt.evidence,
        "note": receipt.note,
        "received_at": _moment(receipt.received_at),
    }


def event_document(row: Event) -> dict[str, Any]:
    """One event, thin: what happened to what. Read the thing itself for its state."""
    return {
        "seq": row.position,
        "at": _moment(row.at),
        "kind": row.kind,
        "subject": {"type": row.subject_type, "id": row.subject_id},
        "run": str(row.run_id) if row.run_id else None,
    }


def _moment(at: datetime | None) -> str | None:
    """RFC 3339 in UTC, to the millisecond: the same wherever the API writes a time."""
    if at is None:
        return None
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
