"""The frame of every page, in a browser."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from apps.accounts.models import User
from tests.e2e.conftest import PageAs
from tests.factories.accounts import PASSWORD, with_password

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
Check = Callable[[Page], None]


def test_logging_in(page_as: PageAs, site_people: dict[str, User]) -> None:
    with_password("nora", first_name="Nora", last_name="Beck")
    page = page_as(None)
    page.goto("/approvals/")

    page.get_by_label("User name").fill("nora")
    page.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")

    expect(page.get_by_role("heading", name="Approvals")).to_be_visible()
    expect(page.get_by_role("button", name="You: Nora Beck")).to_be_visible()


def test_a_wrong_password_says_so(page_as: PageAs, no_serious_violations: Check) -> None:
    page = page_as(None)
    page.goto("/accounts/login/")
    page.get_by_label("User name").fill("operator")
    page.get_by_label("Password").fill("wrong")
    page.keyboard.press("Enter")

    expect(page.get_by_role("alert")).to_contain_text("Wrong user name or password")
    no_serious_violations(page)


def test_g_and_a_letter_open_a_page(page_as: PageAs) -> None:
    page = page_as("operator")
    page.goto("/accounts/settings/")

    page.keyboard.press("g")
    page.keyboard.press("a")

    expect(page.get_by_role("heading", name="Approvals")).to_be_visible()


def test_the_palette_finds_pages_and_searches(page_as: PageAs) -> None:
    page = page_as("operator")
    page.goto("/accounts/settings/")

    page.keyboard.press("Control+k")
    page.keyboard.type("appr")
    expect(page.locator("#palette-list li").first).to_contain_text("Approvals")
    page.keyboard.press("Enter")

    expect(page).to_have_url(re.compile("/approvals/$"))


def test_help_opens_is_searchable_and_closes(page_as: PageAs) -> None:
    page = page_as("operator")
    page.goto("/approvals/")

    page.keyboard.press("?")
    every = page.locator("#help-keys > div")
    page.keyboard.type("reject")
    expect(every.filter(visible=True)).to_have_count(every.filter(has_text="reject").count())
    assert 0 < every.filter(visible=True).count() < every.count()
    page.keyboard.press("Escape")

    expect(page.locator("#help")).to_be_hidden()


def test_theme_and_density_are_remembered(page_as: PageAs) -> None:
    page = page_as("operator")
    page.goto("/accounts/settings/")

    page.get_by_role("button", name="Theme: auto").click()
    page.get_by_role("button", name="Theme: light").click()
    page.get_by_role("button", name="Density: default").click()
    page.reload()

    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    expect(page.locator("html")).to_have_attribute("data-density", "comfortable")


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("phone", [False, True], ids=["desk", "phone"])
def test_the_pages_of_people_have_no_serious_violation(
    page_as: PageAs, no_serious_violations: Check, phone: bool, theme: str
) -> None:
    page = page_as("admin", phone=phone, theme=theme)
    for path in ("/accounts/users/", "/accounts/settings/", "/no-such-page/"):
        page.goto(path)
        no_serious_violations(page)
        assert page.evaluate("document.documentElement.scrollWidth") <= page.evaluate("innerWidth")


def test_a_phone_reaches_every_page_through_more(page_as: PageAs) -> None:
    page = page_as("admin", phone=True)
    page.goto("/accounts/settings/")

    page.get_by_role("button", name="More").click()
    page.locator("#more-menu").get_by_role("link", name="Users").click()

    expect(page.get_by_role("heading", name="Users", exact=True)).to_be_visible()


def test_the_skip_link_comes_first(page_as: PageAs) -> None:
    page = page_as("operator")
    page.goto("/accounts/settings/")

    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")

    expect(page.locator("#main")).to_be_focused()


@pytest.mark.parametrize("address", ["/approvals/", "/runs/", "/audit/", "/catalog/"])
def test_on_a_phone_filters_are_shown_when_asked_for(page_as: PageAs, address: str) -> None:
    page = page_as("auditor", phone=True)
    page.goto(address)
    form = page.locator("form.filters").first
    submit = form.locator("> button")
    expect(submit).to_be_hidden()

    form.get_by_label("Filters", exact=True).check()

    expect(submit).to_be_visible()
    page = page_as("auditor")
    page.goto(address)
    expect(page.locator("form.filters > button").first).to_be_visible()
    expect(page.get_by_label("Filters", exact=True)).to_be_hidden()
