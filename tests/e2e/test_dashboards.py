"""The home page and the outcome page in a browser. The ``page_as`` fixture fails each test on any
script error and any violation of the Content-Security-Policy."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from apps.accounts.models import User
from controltower.practice.models import Desk
from tests.dashboards.rows import Shop
from tests.dashboards.week import HOSTILE, busy_day
from tests.e2e.conftest import PageAs

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
Check = Callable[[Page], None]
CHARTS = 7
SLOW = 30_000  # the first page of a cold site, beside other tests


@pytest.fixture
def shop(site_people: dict[str, User]) -> Shop:
    shop = Shop()
    busy_day(shop, site_people["operator"])
    return shop


def drawn(page: Page, address: str = "/outcomes/") -> None:
    page.goto(address, timeout=SLOW)
    expect(page.locator("[data-chart][data-ready]")).to_have_count(CHARTS, timeout=SLOW)


def fits(page: Page) -> bool:
    return page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("phone", [False, True], ids=["desk", "phone"])
def test_pages_are_accessible_and_fit(
    shop: Shop, page_as: PageAs, no_serious_violations: Check, phone: bool, theme: str
) -> None:
    page = page_as("operator", phone=phone, theme=theme)

    page.goto("/", timeout=SLOW)
    expect(page.get_by_role("heading", name="Needs you now")).to_be_visible()
    no_serious_violations(page)
    assert fits(page)

    drawn(page, "/outcomes/?compare=1")
    no_serious_violations(page)
    assert fits(page)


def test_a_mark_opens_its_runs_by_keyboard(shop: Shop, page_as: PageAs) -> None:
    page = page_as("product_manager")
    drawn(page)
    chart = page.locator("[data-chart=success]")
    chart.focus()

    page.keyboard.press("ArrowDown")
    said = page.locator("#spoken-success")
    expect(said).to_contain_text(re.compile(r"%, target \d+ %, \d+ of \d+ runs\. 1 of 6"))
    counted = re.search(r"of (\d+) runs", said.inner_text())
    page.keyboard.press("Enter")

    page.wait_for_url(re.compile(r"/runs/\?.*job="))
    assert counted
    expect(page.locator("main")).to_contain_text(counted[1])


def test_a_click_on_a_bar_opens_its_bucket(shop: Shop, page_as: PageAs) -> None:
    page = page_as("product_manager")
    drawn(page)
    bar = page.locator("#panel-states .trace.bars").first.locator(".point path")
    heights = bar.evaluate_all("all => all.map(e => e.getBoundingClientRect().height)")
    highest = bar.nth(heights.index(max(heights)))
    highest.scroll_into_view_if_needed()
    box = highest.bounding_box()
    assert box

    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)

    page.wait_for_url(re.compile(r"/runs/\?from=.*state=succeeded"))


def test_hostile_labels_stay_text(shop: Shop, page_as: PageAs) -> None:
    page = page_as("auditor")
    page.on("dialog", lambda dialog: pytest.fail("a label ran as script"))
    drawn(page, "/outcomes/?by=agent&range=1h")

    labels = page.locator("#panel-latency .ytick")
    expect(labels.filter(has_text="<img src=x")).to_have_count(1)
    assert page.locator("[data-chart] a").count() == page.locator("[data-chart] .modebar a").count()
    assert page.locator("[data-chart] img").count() == 0
    page.locator("[data-chart=latency]").focus()
    page.keyboard.press("End")
    page.keyboard.press("Home")
    page.locator("#panel-latency summary").last.click()
    expect(page.locator("#panel-latency table")).to_contain_text(HOSTILE)


def test_colours_follow_the_theme(shop: Shop, page_as: PageAs) -> None:
    page = page_as("auditor")
    drawn(page)
    fill = "#panel-errors .trace.bars .point path"
    before = page.locator(fill).first.evaluate("e => getComputedStyle(e).fill")

    for _ in range(2):  # auto → light → dark
        page.locator("button[data-cycle=theme]").click()

    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    expect(page.locator(fill).first).not_to_have_css("fill", before)


def test_without_script_every_number_is_a_table(
    shop: Shop, page_as: PageAs, chromium: Any, live_site: str
) -> None:
    cookies = page_as("auditor").context.cookies()
    context = chromium.new_context(base_url=live_site, java_script_enabled=False)
    context.add_cookies(cookies)
    page = context.new_page()
    page.goto("/outcomes/")

    page.locator("#panel-errors .as-table summary").click()

    expect(page.locator("#panel-errors table a").first).to_be_visible()
    page.goto("/")
    expect(page.get_by_role("heading", name="Jobs against their targets")).to_be_visible()
    context.close()


def test_how_it_is_measured_opens_by_keyboard(shop: Shop, page_as: PageAs) -> None:
    page = page_as("product_manager")
    drawn(page)

    page.get_by_role("button", name="How success share is measured").press("Enter")

    expect(page.locator("#how-kpi-success")).to_contain_text("Wilson 1927")


def test_the_page_refreshes_itself_and_keeps_what_is_open(shop: Shop, page_as: PageAs) -> None:
    page = page_as("auditor")
    drawn(page, "/outcomes/?refresh=30")
    page.locator("#panel-errors .as-table summary").click()

    page.evaluate("htmx.ajax('GET', location.pathname + location.search, '#outcomes')")

    expect(page.locator("[data-chart][data-ready]")).to_have_count(CHARTS)
    expect(page.locator("#panel-errors table")).to_be_visible()


def test_the_desk_is_closed_with_a_switch(shop: Shop, page_as: PageAs) -> None:
    page = page_as("operator")
    page.goto("/")
    expect(page.locator("#desk")).to_contain_text("2 cases a minute, next in")

    page.get_by_role("button", name="Close the desk of Shop desk").click()

    expect(page.locator("#toasts")).to_contain_text("no new case arrives")
    assert not Desk.objects.get(domain_slug="shop").is_open
