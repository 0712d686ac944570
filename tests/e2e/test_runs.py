"""Runs in a browser: the list, the timeline by keyboard, the drawer, the look."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect

from apps.runs.models import Run, RunResult
from tests.e2e.conftest import PageAs
from tests.factories.runs import RunFactory, eventful_run

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
Check = Callable[[Page], None]


def fits(page: Page) -> bool:
    """Whether the page needs no sideways scrolling."""
    return page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("phone", [False, True], ids=["desk", "phone"])
def test_pages_are_accessible_and_fit(
    page_as: PageAs, no_serious_violations: Check, phone: bool, theme: str
) -> None:
    run = eventful_run()
    done = RunFactory.create(done=True, created_at=timezone.now() - timedelta(hours=1))
    value = {"answer": "It is on its way.", "total": 10**40, "word" * 30: ["x" * 300, None]}
    RunResult.objects.create(run_id=done.id, value=value)
    page = page_as("auditor", phone=phone, theme=theme)

    for address in [
        "/runs/",
        "/runs/?outcome=nothing",
        f"/runs/{run.id}/?step=6",
        f"/runs/{done.id}/",
        f"/runs/compare/?a={done.id}&b={run.id}",
        f"/runs/{run.id}/?tab=conversation",
        f"/runs/{run.id}/?tab=steps&step=3",
        f"/runs/{run.id}/?tab=decisions",
        "/audit/",
        "/system/",
    ]:
        page.goto(address)
        expect(page.get_by_role("heading", level=1)).to_be_visible()
        no_serious_violations(page)
        assert fits(page), address


def test_u_shows_failed_and_unknown_only(page_as: PageAs) -> None:
    RunFactory.create(done=True)
    RunFactory.create(state="failed", outcome="denied")
    page = page_as("operator")
    page.goto("/runs/")
    expect(page.locator("tr[data-run]")).to_have_count(2)

    page.keyboard.press("u")

    expect(page.locator("tr[data-run]")).to_have_count(1)
    assert "problems=1" in page.url


def test_a_bar_of_the_histogram_opens_its_runs(page_as: PageAs) -> None:
    now = timezone.now()
    for hours in (0, 5, 5):
        RunFactory.create(done=True, created_at=now - timedelta(hours=hours))
    page = page_as("operator")
    page.goto("/runs/")

    page.get_by_role("link", name="2 succeeded").first.click()

    expect(page.locator("tr[data-run]")).to_have_count(2)


def test_timeline_by_keyboard(page_as: PageAs) -> None:
    run = eventful_run()
    page = page_as("operator")
    page.goto(f"/runs/{run.id}/")

    page.keyboard.press("n")
    expect(page.get_by_role("heading", name="2 get_reservation_details")).to_be_visible()
    page.keyboard.press("n")
    expect(page.get_by_role("heading", name="5 send_certificate")).to_be_visible()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowRight")
    expect(page.locator(":focus")).to_have_accessible_name(
        "Step 6 book_reservation, gate said permit"
    )
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="6 book_reservation")).to_be_focused()
    assert "step=6" in page.url

    page.keyboard.press("Escape")

    expect(page.locator("#drawer")).to_be_empty()
    assert "step=" not in page.url


def test_the_address_opens_the_same_step_again(page_as: PageAs) -> None:
    run = eventful_run()
    page = page_as("operator")

    page.goto(f"/runs/{run.id}/?tab=steps&step=4")

    expect(page.get_by_role("link", name="step 3")).to_be_visible()


def test_cancelling_asks_why(page_as: PageAs) -> None:
    run = RunFactory.create()
    page = page_as("operator")
    page.goto(f"/runs/{run.id}/")

    page.get_by_role("button", name="Cancel the run…").click()
    page.get_by_label("Reason, for the audit log").fill("The customer called")
    page.get_by_role("button", name="Cancel the run", exact=True).click()

    expect(page.locator("#run-head")).to_contain_text("The customer called")
    assert Run.objects.get().state == "cancelled"


def test_readers_see_no_cancel_button(page_as: PageAs) -> None:
    run = RunFactory.create()
    page = page_as("auditor")
    page.goto(f"/runs/{run.id}/")

    expect(page.get_by_role("button", name="Cancel the run…")).to_have_count(0)
