"""What was asked before, in a browser: said at the top, looked at, and only then approved."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect

from apps.accounts.models import User
from apps.oversight.models import Approval, Vote
from tests.e2e.answering import approve_by_key, show_all
from tests.e2e.conftest import PageAs
from tests.factories.approvals import ApprovalFactory, same_again

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
Check = Callable[[Page], None]


@pytest.fixture
def repeated(site_people: dict[str, User]) -> Approval:
    """A request of which the same was approved before and waits, beside five others."""
    by = {"decided_by": site_people["operator2"], "decided_at": timezone.now()}
    same_again(state="approved", reason="The fare allows it", **by)
    same_again()
    for n in range(5):
        changes = {"arguments": {"n": n}, "amount_cents": 10_000 * n, "customer": ""}
        ApprovalFactory.create(state="rejected", reason=f"No ground ({n})", **by, **changes)
    return same_again(risk=3)


def test_it_is_approved_by_keys_only_after_the_second_look(
    page_as: PageAs, repeated: Approval
) -> None:
    page = page_as("operator")
    page.goto(f"/approvals/{repeated.pk}/")
    expect(page.locator("#same-before")).to_have_text(
        "The same was approved once and waits in another request: look"
    )
    page.keyboard.press("a")
    page.keyboard.type("The customer booked it anew")
    show_all(page)
    expect(page.locator("#decide-hint")).to_contain_text("The same was asked before")
    page.keyboard.press("Control+Enter")
    expect(page.locator("[data-look-again]")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#same")).to_contain_text("said that it is meant once more")
    expect(page.locator("#reason")).to_be_focused()
    expect(page.locator("#reason")).to_have_value("The customer booked it anew")
    assert Vote.objects.count() == 0

    approve_by_key(page)

    expect(page.locator("#panel")).to_contain_text("Approved by you")
    assert Vote.objects.count() == 1


@pytest.mark.parametrize("phone", [False, True])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_it_can_be_read_by_everybody(
    page_as: PageAs, repeated: Approval, no_serious_violations: Check, phone: bool, theme: str
) -> None:
    page = page_as("operator", phone=phone, theme=theme)
    page.goto(f"/approvals/{repeated.pk}/")
    page.wait_for_load_state("networkidle")
    page.locator("#same").scroll_into_view_if_needed()
    if folder := os.environ.get("TOWER_SHOTS"):
        page.screenshot(path=f"{folder}/same-{phone}-{theme}.png", full_page=True)

    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    expect(page.locator("#similar li")).to_have_count(5)
    no_serious_violations(page)


@pytest.mark.parametrize("phone", [False, True])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_what_was_just_rejected_is_said_first_in_the_queue_and_on_the_sheet(
    page_as: PageAs, repeated: Approval, no_serious_violations: Check, phone: bool, theme: str
) -> None:
    """And one yes to it is not enough."""
    no = Approval.objects.filter(state="approved").values("decided_by")
    at = timezone.now() - timedelta(minutes=12)
    words = "This trip is another customer's: " + "the name in the letter differs. " * 3
    same_again(state="rejected", reason=words, decided_by_id=no[0]["decided_by"], decided_at=at)
    page = page_as("operator", phone=phone, theme=theme)
    page.goto("/approvals/")
    expect(page.locator("#grid .rejected")).to_have_count(2)  # the one, and the other that waits
    expect(page.locator("#grid .rejected").first).to_contain_text("rejected 12 min ago by")
    _shoot(page, f"rejected-queue-{phone}-{theme}")
    page.goto(f"/approvals/{repeated.pk}/")
    expect(page.locator("#rejected-before")).to_contain_text("takes 2 people")
    expect(page.locator("#rejected-before #same-before")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    no_serious_violations(page)
    _shoot(page, f"rejected-sheet-{phone}-{theme}")


def _shoot(page: Page, name: str) -> None:
    if folder := os.environ.get("TOWER_SHOTS"):
        page.screenshot(path=f"{folder}/{name}.png")
