"""A held step that nobody decides: from the contract's words to the end of its run."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db.models import F

from apps.audit.services import sweep
from apps.oversight.models import Approval
from apps.runs.models import Run, Step
from tests.engine import shop
from tests.engine.conftest import Tower
from tests.engine.test_drain import answer, drain, held, ledger
from tests.factories.accounts import UserFactory

LADDER = [{"at": 0.5, "to": "operators"}, {"at": 0.8, "to": "lead"}]


@pytest.fixture(autouse=True)
def patient_shop(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its questions outlive their window."""
    terms: dict[str, Any] = {**shop.CONTRACT["decisions"], "escalation": LADDER}
    monkeypatch.setitem(shop.CONTRACT, "decisions", {**terms, "on_timeout": "escalate"})


def pass_time(approval: Approval, by: timedelta) -> None:
    """As if everything had begun that much earlier."""
    moments = ("created_at", "expires_at", "ends_at", "rung_at")
    Approval.objects.filter(pk=approval.pk).update(**{name: F(name) - by for name in moments})
    Run.objects.update(deadline_at=F("deadline_at") - by)


def test_it_is_escalated_stays_open_and_ends_with_its_run(tower: Tower) -> None:
    UserFactory.create()  # who could decide it, and doesn't
    approval, run = held(tower), Run.objects.get()
    window = approval.expires_at - approval.created_at

    assert approval.ladder == LADDER
    assert approval.ends_at == run.deadline_at
    assert approval.rung_at == approval.created_at + window / 2

    pass_time(approval, timedelta(seconds=550))
    sweep()
    assert [e.to for e in approval.escalations.all()] == ["operators", "lead"]
    pass_time(approval, timedelta(seconds=100))
    sweep()
    drain()
    sweep()
    assert [e.share for e in approval.escalations.all()] == [0.5, 0.8, 1.0]
    assert Run.objects.get().state == "waiting_approval"

    pass_time(approval, timedelta(hours=1))
    sweep()
    drain()
    approval.refresh_from_db()
    run.refresh_from_db()
    assert (approval.state, approval.decided_by) == ("expired", None)
    assert (run.state, run.outcome) == ("failed", "timed_out")
    assert Step.objects.get().disposition == "failed"
    assert ledger(tower, run) == []


def test_an_answer_beyond_the_window_is_carried_out_once(tower: Tower) -> None:
    approval = held(tower)
    pass_time(approval, timedelta(seconds=700))
    sweep()

    answer(approval, approve=True)
    drain()

    approval.refresh_from_db()
    assert approval.consumed_at is not None
    assert len(ledger(tower, Run.objects.get())) == 1
