"""A storm of requests is one row: it is opened by the keys, and no key decides anything on it."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect

from apps.oversight.models import Approval
from tests.e2e.conftest import PageAs
from tests.factories.approvals import ApprovalFactory

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
SHOTS = os.environ.get("TOWER_SHOTS")


def shot(page: Page, name: str) -> None:
    if SHOTS:
        page.screenshot(path=f"{SHOTS}/{name}.png")


def storm(number: int = 31) -> None:
    first = timezone.now() - timedelta(minutes=4)
    for i in range(number):
        ApprovalFactory.create(
            sentence=f"Cancel reservation number {i}",
            created_at=first + timedelta(seconds=i),
            risk=4 if i == 7 else 2,
            expires_at=timezone.now() + timedelta(minutes=9 if i == 7 else 90),
        )


@pytest.mark.parametrize(("theme", "phone"), [("light", False), ("dark", False), ("light", True)])
def test_it_is_one_row_that_opens(
    page_as: PageAs,
    no_serious_violations: Callable[[Page], None],
    theme: str,
    phone: bool,
) -> None:
    storm()
    ApprovalFactory.create(sentence="By itself", job_slug="calm")
    page = page_as("operator", theme=theme, phone=phone)
    page.goto("/approvals/")
    rows = page.locator("#grid tbody tr")

    expect(rows).to_have_count(2)
    expect(rows.first).to_contain_text("31 requests of airline-cancel-reservation since")
    expect(rows.first).to_contain_text("Critical 1")
    expect(rows.first).to_contain_text("1 due within 15 min")
    no_serious_violations(page)
    shot(page, f"storm-{theme}-{'phone' if phone else 'desk'}")
    if phone:
        assert page.evaluate("document.documentElement.scrollWidth") <= 375
        rows.first.get_by_role("link", name="Open them").click()
    else:
        rows.first.focus()
        page.keyboard.press("Enter")

    expect(rows).to_have_count(31)
    expect(page.locator("#storm")).to_contain_text("31 requests of airline-cancel-reservation")
    no_serious_violations(page)
    shot(page, f"storm-opened-{theme}-{'phone' if phone else 'desk'}")
    page.get_by_role("link", name="All requests").click()
    expect(rows).to_have_count(2)


def test_the_keys_decide_nothing_on_it_and_everything_in_it(page_as: PageAs) -> None:
    storm(21)
    ApprovalFactory.create(sentence="By itself", job_slug="calm")
    page = page_as("operator")
    page.goto("/approvals/")
    rows = page.locator("#grid tbody tr")
    expect(rows.first).to_be_focused()
    page.keyboard.press("j")
    expect(page.locator("#panel-title")).to_have_text("By itself")
    page.keyboard.press("k")
    page.keyboard.press("a")

    expect(page.locator("#refusal")).to_contain_text("There is nothing to decide here")
    expect(page.locator("#panel")).to_have_count(0)
    page.wait_for_timeout(1200)  # letters rest after a key that could do nothing
    page.keyboard.press("Enter")
    expect(rows).to_have_count(21)
    rows.first.focus()
    page.keyboard.press("r")
    expect(page.locator("#reason")).to_be_focused()
    page.keyboard.type("Not asked for by the customer")
    page.keyboard.press("Control+Enter")
    expect(rows.first).to_contain_text("rejected by you")
    assert Approval.objects.filter(state="rejected").count() == 1


def test_its_numbers_follow_while_the_page_is_open_and_the_job_can_be_paused(
    page_as: PageAs,
) -> None:
    storm(25)
    page = page_as("operator")
    page.goto("/approvals/")
    figures = page.locator("#grid tbody tr").first.locator(".figures")
    expect(figures).to_contain_text("25 requests")
    Approval.objects.filter(risk=4).update(state="rejected")
    page.evaluate("htmx.trigger(document.body, 'tick:approvals')")

    expect(figures).to_contain_text("24 requests")
    expect(figures).not_to_contain_text("Critical")
    expect(page.locator("#grid tbody tr")).to_have_count(1)
    page.get_by_role("link", name="Pause this job…").click()
    expect(page).to_have_url(re.compile(r"/stops/\?what=job%20airline-cancel-reservation"))
