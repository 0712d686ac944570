"""A session ends while somebody types: what was typed is still there after the next log-in."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from django.contrib.sessions.models import Session
from playwright.sync_api import Page, expect

from apps.accounts.models import ServiceAccount, User
from apps.catalog.models import ContractDraft
from apps.runs.models import Run
from tests.e2e.conftest import PageAs
from tests.e2e.test_catalog import DRAFT, write
from tests.factories.catalog import CONTRACT, toys_job
from tests.factories.runs import RunFactory, StepFactory

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
SERVICES = "/accounts/users/services/"
PASSWORD = "a long enough password"


@pytest.fixture(autouse=True)
def passwords(site_people: dict[str, User]) -> None:
    for user in site_people.values():
        user.set_password(PASSWORD)
        user.save()


def end_sessions() -> None:
    Session.objects.all().delete()


def log_in(page: Page, name: str) -> None:
    page.get_by_label("User name").fill(name)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()


def shot(page: Page, name: str) -> None:
    if folder := os.environ.get("TOWER_SHOTS"):
        page.screenshot(path=f"{folder}/{name}.png", full_page=True)


@pytest.mark.parametrize(("theme", "phone"), [("light", False), ("dark", True)])
def test_a_typed_reason_is_back_in_its_form(
    page_as: PageAs, no_serious_violations: Callable[[Page], None], theme: str, phone: bool
) -> None:
    page = page_as("admin", theme=theme, phone=phone)
    page.goto(SERVICES)
    page.get_by_label("Name").fill("order-system")
    page.get_by_label("What it is for").fill("Starts runs for <b>late</b> orders")
    end_sessions()

    page.get_by_label("What it is for").press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("what you typed is kept")
    shot(page, f"logged-out-{theme}")
    no_serious_violations(page)
    log_in(page, "admin")

    expect(page).to_have_url(re.compile(SERVICES))
    expect(page.locator("#kept-banner")).to_contain_text("is back in its form")
    expect(page.get_by_label("Name")).to_have_value("order-system")
    field = page.get_by_label("What it is for")
    expect(field).to_have_value("Starts runs for <b>late</b> orders")
    shot(page, f"back-on-the-form-{theme}")
    no_serious_violations(page)
    field.press("Enter")
    expect(page.locator("#kept-banner")).to_have_count(0)
    assert ServiceAccount.objects.get().purpose == "Starts runs for <b>late</b> orders"


def test_what_is_kept_can_be_looked_at_and_sent(
    page_as: PageAs, no_serious_violations: Callable[[Page], None]
) -> None:
    page = page_as("admin")
    page.goto(SERVICES)
    page.get_by_label("Name").fill("order-system")
    end_sessions()
    page.get_by_label("Name").press("Enter")
    log_in(page, "admin")

    page.get_by_role("link", name="See it").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("was not sent")
    shot(page, "kept")
    no_serious_violations(page)
    page.get_by_role("button", name="Send it now").click()

    expect(page.get_by_text("order-system").first).to_be_visible()
    assert ServiceAccount.objects.get().name == "order-system"


def test_the_editors_text_outlives_the_session(
    page_as: PageAs, tmp_path: Path, site_people: dict[str, User]
) -> None:
    toys_job(tmp_path)
    page = page_as("admin")
    page.goto(DRAFT)
    end_sessions()

    write(page, CONTRACT.replace("votes: 2", "votes: 3"))
    expect(page.locator("#save-state")).to_contain_text("you are logged out")
    with page.context.expect_page() as opened:
        page.get_by_role("link", name="Log in (new tab)").click()
    log_in(opened.value, "admin")
    expect(opened.value.get_by_role("heading")).to_contain_text("You are logged in again")
    opened.value.close()
    page.bring_to_front()
    page.evaluate("dispatchEvent(new Event('focus'))")

    expect(page.locator("#save-state")).to_contain_text("Saved")
    assert "votes: 3" in ContractDraft.objects.get().text


def test_a_live_page_keeps_a_typed_reason(page_as: PageAs) -> None:
    run: Run = RunFactory.create()
    StepFactory.create(run=run, seq=1, state="queued")
    page = page_as("operator")
    page.goto(f"/runs/{run.id}/")
    page.get_by_role("button", name="Pause…").click()
    page.get_by_label("Reason, shown on the page").fill("The warehouse is being counted")
    end_sessions()

    page.get_by_role("button", name="Pause the run").click()
    expect(page.get_by_text("what you typed is kept").first).to_be_visible()
    if page.get_by_label("Password").count():
        log_in(page, "operator")
        expect(page).to_have_url(f"/runs/{run.id}/")
    field = page.get_by_label("Reason, shown on the page")

    expect(field).to_have_value("The warehouse is being counted")


def test_two_tabs_that_log_in(page_as: PageAs) -> None:
    first = page_as(None)
    first.goto("/accounts/login/")
    second = first.context.new_page()
    second.goto("/accounts/login/")
    log_in(first, "operator")
    expect(first.get_by_role("heading", level=1)).to_be_visible()

    log_in(second, "operator")

    expect(second.get_by_text("You were logged in already, as")).to_be_visible()


def test_a_page_of_another_person_does_nothing(page_as: PageAs) -> None:
    page = page_as(None)
    page.goto("/accounts/login/?next=/accounts/settings/")
    log_in(page, "operator")
    expect(page).to_have_url("/accounts/settings/")
    other = page.context.new_page()
    other.goto("/")
    other.locator("#user-menu form").evaluate("form => form.submit()")
    expect(other.get_by_label("User name")).to_be_visible()
    log_in(other, "operator2")
    expect(other.get_by_role("heading", level=1)).to_be_visible()

    page.get_by_role("button", name="Save").click()

    expect(page.get_by_text("this page was opened by another person")).to_be_visible()
