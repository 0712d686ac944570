"""Answers of people and of policy over a cohort, and what the home page reads."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from apps.catalog.models import ContractVersion, Job
from apps.dashboards import selectors
from apps.dashboards.selectors import RuleCount
from apps.documents import selectors as documents
from apps.outcomes.kpis import EditedField, Human
from apps.outcomes.selectors.outcomes import RunsInScope
from apps.oversight.models import Approval, Edit
from tests.dashboards.rows import NOON, Shop, contract_document

pytestmark = pytest.mark.django_db
HOUR = timedelta(hours=1)
HOLD_RULE = {"id": "large", "reason": "Large", "roles": ["operator"], "votes": 1, "risk": 3}
HARD_RULE = {"id": "no-cash", "reason": "No cash", "roles": [], "votes": 0, "risk": 1}


@pytest.fixture
def refunds(shop: Shop) -> Shop:
    shop.job("refund")
    return shop


def scope(**more: Any) -> RunsInScope:
    return RunsInScope(NOON - HOUR, NOON + HOUR, **more)


def test_human_counts_the_cohorts_questions(refunds: Shop, people: dict[str, Any]) -> None:
    runs = refunds.runs(6, "refund")
    later = refunds.runs(1, "refund", at=NOON + 2 * HOUR)
    operator = people["operator"]
    refunds.ask(runs[0], "approved", waited_s=10, dwell_ms=4000, user=operator)
    refunds.ask(runs[1], "approved", waited_s=20, dwell_ms=6000, user=operator)
    refunds.ask(runs[2], "rejected", waited_s=30, user=operator)
    refunds.ask(runs[3], "expired")
    refunds.ask(runs[4], "pending")
    refunds.ask(later[0], "approved", waited_s=9999, dwell_ms=1, user=operator)

    assert selectors.human(scope()) == Human(
        asked=5,
        approved=2,
        rejected=1,
        expired=1,
        void=0,
        pending=1,
        wait_p50_s=20.0,
        wait_p95_s=pytest.approx(29.0),
        dwell_p50_s=5.0,
        dwell_total_s=10.0,
        dwell_n=2,
        held=5,
    )


def test_edits_are_counted_by_argument_once_a_call(refunds: Shop, people: dict[str, Any]) -> None:
    runs = refunds.runs(3, "refund")
    for run in runs:
        refunds.ask(run, "void")
    first, second, _ = Approval.objects.order_by("pk")

    def edit(approval: Approval, number: int, before: Any, after: Any) -> None:
        Edit.objects.create(
            approval=approval,
            run_id=approval.run_id,
            step_id=first.step_id if number == 2 else approval.step_id,
            number=number,
            by=people["operator"],
            reason="x",
            before=before,
            after=after,
        )

    edit(first, 1, {"cents": 5, "note": "a", "to": 1}, {"cents": 4, "note": "a", "to": 2})
    edit(second, 2, {"cents": 4, "note": "a", "to": 2}, {"cents": 4, "note": "b", "to": 1})

    found = selectors.human(scope())

    assert (found.held, found.edited) == (3, 1)
    tool = first.tool_name
    assert found.edited_fields == (
        EditedField(tool, "cents", 1, 3),
        EditedField(tool, "note", 1, 3),
    ), "what was put back is not edited"


def test_human_of_nothing_is_zero(db: None) -> None:
    assert selectors.human(scope()) == Human()


def test_rules_count_runs_and_steps_by_answer(refunds: Shop) -> None:
    runs = refunds.runs(4, "refund")
    refunds.decide(runs[:3], "hold", [HOLD_RULE])
    refunds.decide(runs[:1], "hold", [HOLD_RULE])
    refunds.decide(runs[3:], "deny", [HARD_RULE, HOLD_RULE])
    refunds.decide(runs[2:3], "deny", [])
    refunds.decide(runs, "permit", [HOLD_RULE])
    refunds.decide(refunds.runs(5, "refund", at=NOON + 2 * HOUR), "hold", [HOLD_RULE])

    assert selectors.rules(scope()) == [
        RuleCount("large", "Large", "hold", 4, 3),
        RuleCount("", "", "deny", 1, 1),
        RuleCount("no-cash", "No cash", "deny", 1, 1),
    ]


def test_publications_are_those_of_the_scope(refunds: Shop) -> None:
    job = Job.objects.get(slug="refund")
    ContractVersion.objects.create(
        job=job,
        number=2,
        text="",
        digest="d",
        note="Stricter",
        document=contract_document("refund", target=0.9),
        published_at=NOON,
    )

    found = selectors.publications(scope())

    assert [(p.at, p.what, p.name, p.number, p.note) for p in found] == [
        (NOON, "contract", "refund", 2, "Stricter")
    ]
    assert selectors.publications(scope(domain="airline")) == []


def test_waiting_tells_risk_and_overdue(refunds: Shop) -> None:
    now = timezone.now()
    fresh = refunds.runs(3, "refund", at=now, state="waiting_approval")
    stale = refunds.runs(1, "refund", at=now - 2 * HOUR, state="waiting_approval")
    for run in fresh:
        refunds.ask(run, "pending")
    refunds.ask(stale[0], "pending", risk=4)

    found = selectors.waiting_approvals()

    assert (found.total, found.by_risk, found.overdue) == (4, {4: 1, 2: 3}, 1)
    assert found.oldest == stale[0].created_at + timedelta(seconds=1)


def test_last_hour_counts_by_the_moment_of_the_end(refunds: Shop) -> None:
    now = timezone.now()
    refunds.runs(2, "refund", at=now - 2 * HOUR, took_s=3600 * 1.5)
    refunds.runs(1, "refund", at=now - timedelta(minutes=9), state="failed")
    refunds.runs(5, "refund", at=now - 3 * HOUR)

    found = selectors.last_hour()

    assert (found.finished, found.succeeded, found.failed) == (3, 2, 1)


def test_drafts_of_every_kind_of_document_are_read() -> None:
    kinds = {kind.name for kind in documents.all_kinds()}

    assert set(selectors._DRAFTS) == kinds
