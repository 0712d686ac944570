"""Alike requests in one table: read, decided and taken back, by keys and on a phone."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from apps.oversight.models import Approval, Vote
from tests.e2e.conftest import PageAs
from tests.factories.approvals import ApprovalFactory

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
SHOTS = os.environ.get("TOWER_SHOTS")


def shot(page: Page, name: str) -> None:
    if SHOTS:
        page.screenshot(path=f"{SHOTS}/{name}.png", full_page=True)


def asked(number: int) -> list[Approval]:
    made = [
        ApprovalFactory.create(
            sentence=f"Cancel reservation Q{n:05} of Sofia Kim and refund ${100 + n}.00",
            arguments={"reservation_id": f"Q{n:05}", "reason": "change of plan"},
            amount_cents=10_000 + 100 * n,
            undo_s=60,
            preview={
                "changes": [
                    {"path": f"/reservations/Q{n:05}/status", "before": None, "after": "cancelled"}
                ],
                "refusal": None,
            },
        )
        for n in range(number)
    ]
    ApprovalFactory.create(
        sentence="Cancel reservation QFAR00 of Aarav Garcia and refund $9,000.00",
        arguments={"reservation_id": "QFAR00", "reason": "change of plan"},
        amount_cents=900_000,
    )
    return made


# The button goes away by itself once all was seen: a click that waits for it may come too late.
SHOW_THE_NEXT = """() => {
  const next = document.querySelector('#table-unseen');
  next.hidden || next.click();
}"""


def test_by_keys_from_the_queue_to_the_answers_and_back(
    page_as: PageAs, no_serious_violations: Callable[[Page], None]
) -> None:
    asked(6)
    page = page_as("operator")
    page.goto("/approvals/")
    expect(page.locator("#together")).to_be_visible()
    page.locator("#grid tbody tr").first.focus()
    page.keyboard.press("b")

    expect(page.get_by_role("heading", level=1)).to_have_text("6 requests in one table")
    approve = page.locator("#approve-table")
    expect(page.locator(".singly")).to_contain_text("the amount is $9,000.00")
    expect(approve).to_have_text("Approve 6 requests ($615.00)")
    expect(approve).to_have_attribute("aria-disabled", "true")
    no_serious_violations(page)
    shot(page, "table-light-desk")
    approve.focus()
    page.keyboard.press("Enter")  # too early: nothing is sent
    expect(page.locator("#table-hint")).not_to_be_empty()
    while page.locator("[data-row]:not([data-seen])").count():
        page.evaluate(SHOW_THE_NEXT)
        page.wait_for_timeout(500)
    page.get_by_label("Choose Cancel reservation Q00002").focus()
    page.keyboard.press("Space")
    expect(approve).to_have_text("Approve 5 requests ($513.00)")
    expect(approve).to_have_attribute("aria-disabled", "false")
    assert not Vote.objects.exists()
    approve.focus()
    page.keyboard.press("Enter")

    expect(page.locator('[data-s="granted"]')).to_have_count(5)
    expect(page.get_by_text("not chosen")).to_have_count(1)
    expect(page.locator("#done")).to_contain_text("can be taken back for")
    no_serious_violations(page)
    shot(page, "table-done-light-desk")
    page.locator("#undo-table").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_text("taken back", exact=True)).to_have_count(5)
    assert set(Approval.objects.values_list("state", flat=True)) == {"pending"}


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_on_a_phone_all_of_it_is_there_and_rejected_with_a_reason(
    page_as: PageAs, no_serious_violations: Callable[[Page], None], theme: str
) -> None:
    rows = asked(3)
    page = page_as("operator", phone=True, theme=theme)
    page.goto(f"/approvals/{rows[0].pk}/")
    page.locator("#together").click()

    expect(page.locator("[data-row]")).to_have_count(3)
    assert page.evaluate("document.documentElement.scrollWidth") <= 375
    no_serious_violations(page)
    shot(page, f"table-{theme}-phone")
    page.locator("#reject-table").click()
    expect(page.locator("#table-reason")).to_be_focused()
    page.keyboard.type("Not asked for by the customer")
    page.locator("#reject-table").click()

    expect(page.locator('[data-s="rejected"]')).to_have_count(3)
    assert Approval.objects.filter(state="rejected").count() == 3
    shot(page, f"table-done-{theme}-phone")


def test_without_script_a_button_says_what_was_read(page_as: PageAs) -> None:
    rows = asked(2)
    page = page_as("operator")
    page.goto(f"/approvals/{rows[0].pk}/")
    context = page.context.browser.new_context(  # type: ignore[union-attr]
        java_script_enabled=False, base_url=page.url, storage_state=page.context.storage_state()
    )
    plain = context.new_page()
    plain.goto(f"/approvals/{rows[0].pk}/")
    plain.locator("#together").click()
    plain.get_by_role("button", name="I have read the rows").click()
    plain.wait_for_timeout(6000)  # as long as the sheets of these rows
    plain.get_by_role("button", name="Approve the chosen").click()

    expect(plain.locator('[data-s="granted"]')).to_have_count(2)
    assert Vote.objects.count() == 2
    context.close()
