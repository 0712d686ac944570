"""Saved views in the browser: saved by keys after filtering in place, chosen, true, deleted."""

from __future__ import annotations

import os
import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.conftest import PageAs
from tests.factories.approvals import ApprovalFactory
from tests.factories.runs import RunFactory


def photograph(page: Page, name: str) -> None:
    if folder := os.environ.get("TOWER_SHOTS"):
        page.screenshot(path=f"{folder}/{name}.png")


@pytest.mark.parametrize(("phone", "theme"), [(False, "light"), (True, "dark")])
def test_a_view_of_the_queue_is_saved_and_chosen(
    page_as: PageAs, no_serious_violations: Callable[[Page], None], *, phone: bool, theme: str
) -> None:
    ApprovalFactory.create(sentence="small", risk=1)
    ApprovalFactory.create(sentence="grave", risk=4)
    page = page_as("operator", phone=phone, theme=theme)
    page.goto("/approvals/")
    if phone:
        page.get_by_text("Filters", exact=True).click()
    page.locator("select[name=risk]").select_option("3")
    expect(page.locator("#counts")).to_contain_text("1 of 2 waiting")

    menu = page.get_by_role("button", name="Views")
    menu.focus()
    page.keyboard.press("Enter")
    name = page.get_by_label("Save these filters as")
    expect(name).to_be_visible()
    no_serious_violations(page)
    photograph(page, f"views-{theme}")
    name.fill("Grave ones")
    page.get_by_label("For everybody who may open this page").check()
    name.press("Enter")

    expect(page.get_by_text("Saved the view “Grave ones”")).to_be_visible()
    expect(page.get_by_role("button", name="Grave ones", exact=True)).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.goto("/approvals/")
    page.get_by_role("button", name="Views").click()
    photograph(page, f"views-listed-{theme}")
    page.get_by_role("link", name="Grave ones").click()
    expect(page.locator("#counts")).to_contain_text("1 of 2 waiting")
    expect(page).to_have_url(re.compile("risk=3"))


def test_the_name_says_what_is_shown_and_nothing_else(page_as: PageAs) -> None:
    ApprovalFactory.create(sentence="small", risk=1)
    page = page_as("operator")
    page.goto("/approvals/?risk=4")
    page.get_by_role("button", name="Views").click()
    page.get_by_label("Save these filters as").fill("Critical")
    page.get_by_role("button", name="Save view").click()
    shown = page.locator("[data-view-name]")
    expect(shown).to_have_text("Critical")

    page.locator("select[name=risk]").select_option("1")
    expect(page.locator("#counts")).to_contain_text("1")
    expect(shown).to_have_text("Views")
    page.locator("select[name=risk]").select_option("4")
    expect(shown).to_have_text("Critical")

    shown.click()
    page.get_by_role("button", name="Delete the view Critical").click()
    expect(page.get_by_text("Deleted the view “Critical”")).to_be_visible()
    expect(shown).to_have_text("Views")


def test_columns_are_left_out_of_the_list_of_runs(page_as: PageAs) -> None:
    RunFactory.create(done=True)
    page = page_as("operator")
    page.goto("/runs/")
    expect(page.get_by_role("columnheader", name="Cost")).to_be_visible()
    page.get_by_text("More filters").click()
    page.get_by_role("group", name="Columns left out").get_by_label("Cost").check()
    page.get_by_role("button", name="Filter", exact=True).click()

    expect(page.get_by_role("columnheader", name="Cost")).to_have_count(0)
    expect(page.get_by_role("columnheader", name="Retries")).to_be_visible()
    expect(page.locator("#runs tbody tr").first.locator("td:visible")).to_have_count(8)
