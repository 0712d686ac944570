"""Delegating, in a browser: by key, with a note, to whom it is shown at once."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from apps.accounts.models import User
from apps.oversight import services
from apps.oversight.models import Approval, Delegation
from tests.e2e.conftest import PageAs
from tests.factories.approvals import ApprovalFactory

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
Check = Callable[[Page], None]


@pytest.fixture
def approval(site_people: dict[str, User]) -> Approval:
    return ApprovalFactory.create()


def test_it_goes_by_key_to_a_colleague_whose_queue_says_so_at_once(
    page_as: PageAs, approval: Approval, site_people: dict[str, User]
) -> None:
    theirs = page_as("operator2")
    theirs.goto("/approvals/")
    expect(theirs.locator("body")).to_have_attribute("data-conn", "live")
    page = page_as("operator")
    page.goto("/approvals/")
    expect(page.locator("#grid tbody tr").first).to_be_focused()

    page.keyboard.press("d")
    expect(page.locator("#delegate-to")).to_be_focused()
    page.keyboard.type("operator2")
    page.keyboard.press("Tab")
    expect(page.locator("#delegate-note")).to_be_focused()
    page.keyboard.type("You know the family")
    page.keyboard.press("Control+Enter")

    expect(page.locator("#delegated")).to_contain_text("Delegated to operator2 by you")
    expect(page.locator("#grid tbody tr").first).to_be_focused()
    expect(theirs.locator("#counts")).to_contain_text("1 delegated to you")
    row = theirs.locator("#grid tbody tr").first
    expect(row.locator("[data-delegated]")).to_have_text("Delegated to you by operator")
    expect(theirs.locator("#delegated")).to_contain_text("You know the family")

    theirs.get_by_role("button", name="Give it back").click()

    expect(theirs.locator("#panel")).not_to_contain_text("Delegated to you")
    expect(page.locator("#counts")).not_to_contain_text("delegated")
    assert Delegation.objects.get().over_at is not None


def test_escape_leaves_the_form_and_letters_typed_into_it_do_nothing(
    page_as: PageAs, approval: Approval
) -> None:
    page = page_as("operator")
    page.goto(f"/approvals/{approval.pk}/")
    expect(page.locator("#panel-title")).to_be_focused()
    page.keyboard.press("d")
    page.locator("#delegate-note").focus()
    page.keyboard.type("reject all dac")
    expect(page.locator("#delegate-note")).to_have_value("reject all dac")

    page.keyboard.press("Escape")

    expect(page.locator("details.delegate summary")).to_be_focused()
    expect(page.locator("#delegate-note")).not_to_be_visible()
    assert Approval.objects.get().state == "pending"


def test_a_refusal_is_said_and_the_note_is_kept(
    page_as: PageAs, approval: Approval, site_people: dict[str, User]
) -> None:
    page = page_as("operator")
    page.goto(f"/approvals/{approval.pk}/")
    page.keyboard.press("d")
    page.locator("#delegate-to").select_option(label="operator2")
    page.locator("#delegate-note").fill("Kept words")
    User.objects.filter(username="operator2").update(is_active=False)
    page.get_by_role("button", name="Delegate it").click()

    expect(page.locator("#delegate-error")).to_contain_text("operator2 may not decide it")
    expect(page.locator("#delegate-note")).to_have_value("Kept words")


@pytest.mark.parametrize("phone", [False, True])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_everybody_can_read_it(
    page_as: PageAs,
    approval: Approval,
    site_people: dict[str, User],
    no_serious_violations: Check,
    phone: bool,
    theme: str,
) -> None:
    to, by = site_people["operator2"], site_people["operator"]
    note = "You spoke with the family last week, and they asked for you"
    services.delegate(approval_id=approval.pk, user=by, to_id=to.pk, note=note, seen=0)
    for name, address in (("queue", "/approvals/"), ("sheet", f"/approvals/{approval.pk}/")):
        page = page_as("operator2", phone=phone, theme=theme)
        page.goto(address)
        page.wait_for_load_state("networkidle")
        if name == "sheet":
            page.locator("details.delegate summary").click()
        if folder := os.environ.get("TOWER_SHOTS"):
            page.screenshot(path=f"{folder}/delegated-{name}-{phone}-{theme}.png", full_page=True)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), name
        no_serious_violations(page)
