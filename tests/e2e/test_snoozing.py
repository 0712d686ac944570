"""Snoozing, in a browser: by key, out of the way, counted, and back by itself."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect

from apps.accounts.models import User
from apps.oversight.models import Approval, Snooze
from tests.e2e.conftest import PageAs
from tests.factories.approvals import ApprovalFactory

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
Check = Callable[[Page], None]


@pytest.fixture
def two(site_people: dict[str, User]) -> list[Approval]:
    now = timezone.now()
    return [
        ApprovalFactory.create(sentence=name, expires_at=now + timedelta(hours=hours))
        for name, hours in (("First", 4), ("Second", 5))
    ]


def test_it_goes_by_key_and_comes_back_by_itself(page_as: PageAs, two: list[Approval]) -> None:
    page = page_as("operator")
    page.goto("/approvals/")
    rows = page.locator("#grid tbody tr")
    expect(rows.first).to_be_focused()
    page.keyboard.press("s")
    expect(page.get_by_role("button", name="15 min")).to_be_focused()
    page.keyboard.press("Enter")

    expect(rows.first).to_contain_text("snoozed until")
    expect(rows.nth(1)).to_be_focused()
    expect(page.locator("#counts")).to_contain_text("1 snoozed")
    assert Snooze.objects.get().approval_id == two[0].pk
    # Its time is nearly over, and nothing else happens meanwhile.
    Snooze.objects.update(until=timezone.now() + timedelta(seconds=4))
    page.goto("/approvals/")
    expect(rows).to_have_count(1)

    expect(page.locator("#news")).to_contain_text("1 new")
    page.keyboard.press(".")
    expect(rows).to_have_count(2)


def test_it_is_found_and_shown_again(page_as: PageAs, two: list[Approval]) -> None:
    page = page_as("operator")
    page.goto(f"/approvals/{two[0].pk}/")
    expect(page.locator("#panel-title")).to_be_focused()
    page.get_by_role("button", name="1 h", exact=True).click()
    expect(page.locator("#snoozed")).to_contain_text("Hidden from your queue until")
    page.goto("/approvals/")
    expect(page.locator("#grid tbody tr")).to_have_count(1)
    page.get_by_role("link", name="1 snoozed").click()
    expect(page.locator("#grid tbody tr")).to_contain_text(["First"])
    page.locator("#grid tbody tr").first.click()
    page.get_by_role("button", name="Show it again").click()

    expect(page.locator("#snooze")).to_be_visible()
    assert not Snooze.objects.exists()


@pytest.mark.parametrize("phone", [False, True])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_everybody_can_read_it(
    page_as: PageAs,
    two: list[Approval],
    site_people: dict[str, User],
    no_serious_violations: Check,
    phone: bool,
    theme: str,
) -> None:
    until = timezone.now() + timedelta(minutes=15)
    Snooze.objects.create(approval=two[0], user=site_people["operator"], until=until)
    sheets = [f"/approvals/{one.pk}/" for one in two]
    for n, address in enumerate(("/approvals/", *sheets)):
        page = page_as("operator", phone=phone, theme=theme)
        page.goto(address)
        page.wait_for_load_state("networkidle")
        if folder := os.environ.get("TOWER_SHOTS"):
            page.screenshot(path=f"{folder}/snoozed-{n}-{phone}-{theme}.png", full_page=True)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), address
        no_serious_violations(page)
