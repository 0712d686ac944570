"""Everything agents did to one object, in a browser: found by keys, read on a phone."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect

from apps.accounts.models import User
from apps.runs.models import Run
from tests.e2e.conftest import PageAs
from tests.factories.approvals import ApprovalFactory
from tests.factories.objects import noted_at_once as noted_at_once  # a fixture of its name
from tests.factories.runs import RunFactory, StepFactory

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
Check = Callable[[Page], None]


@pytest.fixture
def touched(site_people: dict[str, User], noted_at_once: None) -> Run:
    """A run that read and changed a reservation, which a person was asked about."""
    run = RunFactory.create(customer="aarav_garcia_1177")
    arguments = {"reservation_id": "NQNU5R", "note": "x" * 60}
    StepFactory.create(
        run=run, seq=1, effect="read", tool_name="get_reservation", arguments=arguments, done=True
    )
    step = StepFactory.create(run=run, seq=2, arguments=arguments, state="waiting_approval")
    ApprovalFactory.create(
        run_id=run.pk,
        step_id=step.pk,
        state="rejected",
        reason="The trip was flown, and the fare rules of this cabin give nothing back for it",
        decided_by=site_people["operator2"],
        decided_at=timezone.now(),
    )
    return run


def test_it_is_found_by_keys_from_any_page(page_as: PageAs, touched: Run) -> None:
    page = page_as("operator")
    page.goto("/approvals/")
    page.keyboard.press("Control+k")
    page.keyboard.type("nqnu5r")
    expect(page.locator("#palette-list li").last).to_contain_text("Everything agents did to")
    page.keyboard.press("ArrowUp")  # from the first to the last
    page.keyboard.press("Enter")

    expect(page.locator("h1")).to_contain_text("Everything agents did to nqnu5r")
    expect(page.locator("tbody tr")).to_have_count(2)
    page.locator("tbody tr").first.locator("th a").click()
    expect(page.locator("#step-title")).to_contain_text("cancel_reservation")
    expect(page.locator("#run-head .named")).to_contain_text("NQNU5R")


@pytest.mark.parametrize("phone", [False, True])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_it_can_be_read_by_everybody(
    page_as: PageAs, touched: Run, no_serious_violations: Check, phone: bool, theme: str
) -> None:
    page = page_as("auditor", phone=phone, theme=theme)
    for address in ("/objects/?id=NQNU5R", "/objects/?id=NOWHERE1", "/objects/"):
        page.goto(address)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), address
        if folder := os.environ.get("TOWER_SHOTS"):
            page.screenshot(path=f"{folder}/object-{phone}-{theme}-{len(address)}.png")
        no_serious_violations(page)
