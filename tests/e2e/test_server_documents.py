"""From nothing to a tool that a run calls, in the browser: a tool server by its address, reviewed
and published, its tools read from it, and a run that calls one. No operator says where it is."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from apps.accounts.models import User
from apps.catalog.models import ToolServer, ToolServerDraft, ToolServerVersion
from tests.docs.test_tool_server import TOKEN, Shop
from tests.docs.test_tool_server import shop as shop  # a fixture of its name
from tests.e2e.conftest import PageAs
from tests.e2e.test_from_nothing import build_job, carry_out, publish, submit
from tests.e2e.test_from_nothing import live_site as live_site
from tests.e2e.test_from_nothing import worker as worker

Check = Callable[[Page], None]
pytestmark = [pytest.mark.browser, pytest.mark.slow]
DRAFT = "/catalog/servers/shop/draft/"


@pytest.fixture
def environment(shop: Shop) -> dict[str, str]:
    """What every process of this tower is told: the key, and that this machine may be called."""
    return {"TOWER_SERVER_KEY_SHOP": TOKEN, "TOWER_CATALOG_HOSTS": "127.0.0.1"}


def fits(page: Page) -> None:
    width = page.evaluate("document.documentElement.scrollWidth")
    assert width <= page.evaluate("innerWidth"), page.url


def begin_server(page: Page, url: str) -> None:
    page.goto("/catalog/servers/")
    expect(page.locator("main")).to_contain_text("No tool servers")
    page.get_by_role("link", name="New tool server").click()
    page.get_by_label("Domain", exact=True).fill("shop")
    page.get_by_label("Name of the domain").fill("Shop desk")
    page.get_by_label("Slug").fill("shop")
    page.get_by_label("Name", exact=True).fill("Shop")
    page.get_by_label("Address").fill("gopher://nowhere")
    page.get_by_label("Variable that holds its key").fill("TOWER_SERVER_KEY_SHOP")
    page.get_by_role("button", name="Begin").click()
    expect(page.locator("h1")).to_contain_text("first version")
    expect(page.locator("#findings")).to_contain_text("must begin with https:// or http://")
    page.get_by_label("Address").fill(url)
    page.get_by_label("Address").blur()
    expect(page.locator("#findings")).to_contain_text("No problems.")
    end = time.monotonic() + 30
    while url not in ToolServerDraft.objects.get().text and time.monotonic() < end:
        time.sleep(0.1)  # it saves by itself
    assert url in ToolServerDraft.objects.get().text


def read_tools(page: Page) -> None:
    page.goto("/catalog/servers/shop/")
    expect(page.locator("main")).to_contain_text("key found")
    page.get_by_role("link", name="Read its tools").click()
    expect(page.get_by_label("Tool server")).to_have_value("shop")
    expect(page.get_by_label("Domain", exact=True)).to_have_value("shop")
    page.get_by_role("button", name="Ask the server for its tools").click()
    find = page.locator(".offers li", has=page.get_by_text("find_order", exact=True))
    refund = page.locator(".offers li", has=page.get_by_text("refund_order", exact=True))
    find.get_by_label("find_order").check()
    find.get_by_label("A call").select_option("read")
    refund.get_by_label("refund_order").check()
    refund.get_by_label("A call").select_option("irreversible")
    refund.get_by_label("If its answer is lost").select_option("keyed")
    refund.get_by_label("Tried first with").select_option("tower_preview")
    refund.get_by_label("Looked up with").select_option("tower_lookup")
    page.get_by_label("Note for the reviewer").fill("a beginning")
    page.get_by_role("button", name="Begin the drafts").click()
    expect(page.locator("main")).to_contain_text("Not published yet")


def test_from_an_address_to_a_call(
    page_as: PageAs,
    live_site: str,
    site_people: dict[str, User],
    worker: None,
    shop: Shop,
    no_serious_violations: Check,
) -> None:
    first, second = page_as("admin"), page_as("admin2", phone=True, theme="dark")
    first.goto("/catalog/new/server/")
    no_serious_violations(first)
    begin_server(first, shop.url)
    no_serious_violations(first)
    first.goto("/catalog/new/tools/?server=shop&domain=shop")
    first.get_by_role("button", name="Ask the server for its tools").click()
    expect(first.get_by_role("alert")).to_contain_text("begun and not published")
    first.goto(DRAFT)
    submit(first)
    second.goto(DRAFT)
    no_serious_violations(second)
    fits(second)
    publish(second, DRAFT)
    assert ToolServer.objects.get().current_number == 1
    assert "key" in ToolServerVersion.objects.get().document
    for address in ("/catalog/servers/", "/catalog/servers/shop/"):
        for page in (first, second):
            page.goto(address)
            expect(page.locator("main")).to_contain_text("its document, v1")
            no_serious_violations(page)
            fits(page)

    read_tools(first)
    for name in ("find_order", "refund_order"):
        publish(second, f"/catalog/tools/shop/{name}/draft/")
    build_job(first, second)
    carry_out(page_as, live_site, site_people["admin"], shop)
