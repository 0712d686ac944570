"""The load page in a browser: live, drawn, accessible, and honest when nobody answers."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect

from apps.accounts.models import User
from apps.runs.models import Breaker, Budget, Cap, LoadSample, Worker
from tests.e2e.conftest import PageAs
from tests.factories.approvals import ApprovalFactory
from tests.factories.runs import JOB, RunFactory, StepFactory
from tests.ops.test_load import publish

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
Check = Callable[[Page], None]
SLOW = 30_000
CHARTS = 6


@pytest.fixture
def busy(site_people: dict[str, User]) -> None:
    """A quarter of an hour of load, some of it held back."""
    now = timezone.now()
    LoadSample.objects.bulk_create(
        LoadSample(
            at=now - timedelta(seconds=15 * (59 - n)),
            queued={"1": 5 + n % 7, "2": 3 * n},
            deferred=n // 10,
            runs=40 * n,
            leases=300 * n + (n % 5) * 40,
            calls=280 * n + (n % 4) * 30,
            open_approvals=n // 4,
        )
        for n in range(60)
    )
    later = now + timedelta(seconds=40)
    RunFactory.create_batch(4, state="queued", criticality_class=2)
    RunFactory.create_batch(2, state="accepted", deferred_until=later, admission_reason="Later.")
    RunFactory.create_batch(
        3,
        state="shed",
        criticality_class=3,
        deferred_until=later,
        admission_reason="Queue full: 20,312 runs of equal or higher priority (limit 20,000)",
    )
    told = {"limit": 3.6, "ceiling": 16, "in_use": 3, "waiting": 2, "drops": 7}
    name = "airline/cancel_reservation"
    Worker.objects.create(
        name="w", kind="drainer", pid=1, host="h", seen_at=now + timedelta(minutes=5),
        limits={f"{name}@{JOB} v3": told, f"airline/get_user_details@{JOB} v3": {**told,
        "limit": 16, "drops": 0, "waiting": 0}},
    )  # fmt: skip
    Breaker.objects.create(tool_name=name, state="half_open")
    Budget.objects.create(tool_name=name, tokens=4, refused=9)
    Cap.objects.create(scope="job", key=JOB, max_in_flight=5, per_minute=60, reason="slow week")
    run = RunFactory.create(state="running")
    StepFactory.create(run=run, state="running", tool_name="cancel_reservation")
    publish(window_s=1800)
    ApprovalFactory.create_batch(3)


def drawn(page: Page) -> None:
    page.goto("/load/", timeout=SLOW)
    expect(page.locator("[data-chart][data-ready]")).to_have_count(CHARTS, timeout=SLOW)


@pytest.mark.parametrize(
    ("phone", "theme"), [(False, "dark"), (True, "light")], ids=["desk-dark", "phone-light"]
)
def test_the_page_is_accessible_and_fits(
    busy: None, page_as: PageAs, no_serious_violations: Check, phone: bool, theme: str
) -> None:
    page = page_as("admin", phone=phone, theme=theme)
    drawn(page)
    no_serious_violations(page)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_it_lives_without_a_socket_and_says_when_nobody_answers(
    busy: None, page_as: PageAs
) -> None:
    page = page_as("admin")
    page.route_web_socket("**/*", lambda ws: ws.close())
    drawn(page)
    table = page.locator("#multiple-queued details")
    table.locator("summary").click()
    waiting = page.locator("tr[data-class=C1] td").first
    expect(waiting).to_have_text("0")

    RunFactory.create_batch(2, state="queued", criticality_class=1)

    expect(waiting).to_have_text("2", timeout=SLOW)
    expect(table).to_have_attribute("open", "")

    lift = page.get_by_role("button", name=f"Lift the cap of job {JOB}")
    lift.click()
    expect(page.get_by_text("No cap is set")).to_be_visible(timeout=SLOW)

    page.route(re.compile(r"/load/(charts/)?$"), lambda route: None)  # nobody answers
    expect(page.locator("#load-age")).to_contain_text("may be old", timeout=SLOW)
