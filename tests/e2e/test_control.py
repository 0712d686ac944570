"""An operator pauses and resumes a run, and an administrator drains the workers."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect

from apps.audit.domain.actors import Actor
from apps.audit.models import Event
from apps.runs import services
from apps.runs.models import Run, Worker
from apps.runs.services import workers
from tests.e2e.conftest import PageAs
from tests.factories.runs import RunFactory, StepFactory

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
Check = Callable[[Page], None]


def poisoned_run() -> Run:
    run = RunFactory.create(
        state="failed", outcome="error", error_class="poison", finished_at=timezone.now()
    )
    step = StepFactory.create(
        run=run, state="failed", disposition="failed", error_class="poison", lease_losses=5
    )
    for losses in range(1, 6):
        Event.objects.create(
            kind="step.lease_lost" if losses < 5 else "step.failed",
            actor="sweeper",
            subject_type="step",
            subject_id=str(step.id),
            run_id=run.id,
            payload={"losses": losses, "worker": f"tower-1:{4000 + losses}:5{losses}"},
        )
    return run


def test_a_run_is_paused_and_resumed(page_as: PageAs, no_serious_violations: Check) -> None:
    run = RunFactory.create()
    StepFactory.create(run=run, seq=1, state="queued")
    page = page_as("operator")
    page.goto(f"/runs/{run.id}/")

    page.get_by_role("button", name="Pause…").click()
    expect(page.get_by_text("The deadline goes on counting")).to_be_visible()
    page.get_by_label("Reason, shown on the page").fill("The warehouse is being counted")
    page.get_by_role("button", name="Pause the run").click()

    expect(page.get_by_text("Paused by operator since")).to_be_visible()
    expect(page.get_by_text("The warehouse is being counted")).to_be_visible()
    no_serious_violations(page)
    page.get_by_role("button", name="Resume the run").click()
    expect(page.get_by_text("Paused by operator since")).to_be_hidden()
    run.refresh_from_db()
    assert run.paused_at is None


@pytest.mark.parametrize(("theme", "phone"), [("light", False), ("dark", True)])
def test_paused_poisoned_and_drained_pages_are_accessible_and_fit(
    page_as: PageAs, no_serious_violations: Check, theme: str, phone: bool
) -> None:
    paused, poisoned = RunFactory.create(), poisoned_run()
    services.pause_run(paused.id, actor=Actor.user("ida"), reason="the warehouse is being counted")
    for number in range(3):
        workers.beat(f"tower-1-{number}", "worker", "normal", 1 - number % 2, 0)
    workers.drain_workers(Actor.user("ida"), names=["tower-1-0", "tower-1-1"])
    Worker.objects.filter(name="tower-1-2").update(seen_at=timezone.now() - timedelta(minutes=5))
    page = page_as("admin", phone=phone, theme=theme)

    for url in (f"/runs/{paused.id}/", f"/runs/{poisoned.id}/", "/system/", "/", "/runs/"):
        page.goto(url)
        no_serious_violations(page)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), url


def test_workers_are_drained_and_let_work_again(page_as: PageAs) -> None:
    workers.beat("tower-1-1", "worker", "normal", 0, 0)
    page = page_as("admin")
    page.goto("/system/")

    page.get_by_role("button", name="Drain for a deploy…").click()
    page.get_by_role("button", name="Drain all workers").click()

    expect(page.get_by_text("Drained", exact=True)).to_be_visible()
    expect(page.get_by_text("Every worker is drained")).to_be_visible()
    page.get_by_role("button", name="Resume: tower-1-1").click()
    expect(page.get_by_text("Idle", exact=True)).to_be_visible()
    assert Worker.objects.get().draining_at is None
