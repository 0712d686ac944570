"""Everybody can see how tool servers stand and what they changed, on a phone too."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connections
from playwright.sync_api import Page, expect

from apps.catalog.services import watch_servers
from tests.catalog.serving import Toys, serving, tool
from tests.factories.catalog import apply_toys

PageAs = Callable[..., Page]
Check = Callable[[Page], None]
pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def _changed(toys: Toys, folder: Path) -> None:
    try:
        apply_toys(folder)
        toys.tools[1] = tool("refund", "order_id", description="x" * 400)
        toys.tools += [tool(f"another-tool-{i}") for i in range(30)]
        watch_servers(every=timedelta(0))
    finally:
        connections.close_all()


def _refresh(page: Page) -> None:
    """As the page does every few seconds by itself."""
    page.evaluate("document.getElementById('system').dataset.old = 'yes'")
    page.evaluate("htmx.trigger('body', 'tick:tower')")
    expect(page.locator("#system:not([data-old])")).to_be_visible()


@pytest.mark.parametrize(("phone", "theme"), [(False, "light"), (True, "dark")])
def test_servers_and_what_they_changed_are_seen(
    page_as: PageAs,
    no_serious_violations: Check,
    tmp_path: Path,
    settings: Any,
    phone: bool,
    theme: str,
) -> None:
    with serving(tool("find_order", "order_id"), tool("refund", "order_id")) as toys:
        settings.TOOL_SERVERS = {"toys": toys.url}
        with ThreadPoolExecutor(1) as thread:
            thread.submit(_changed, toys, tmp_path).result()
    page = page_as("operator", phone=phone, theme=theme)
    page.goto("/system/")

    servers = page.locator("section", has=page.locator("#tool-servers"))
    expect(servers.get_by_text("changed since v1")).to_be_visible()
    servers.get_by_text("30 more that no pack uses").click()
    no_serious_violations(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= page.evaluate("innerWidth")
    _refresh(page)
    expect(servers.get_by_text("another-tool-29")).to_be_visible()
    assert page.evaluate("document.activeElement.textContent") == "30 more that no pack uses"
    servers.get_by_text("30 more that no pack uses").click()
    _refresh(page)
    expect(servers.get_by_text("another-tool-29")).to_be_hidden()

    servers.get_by_role("link", name="refund").click()
    expect(page.get_by_text("Its description changed.")).to_be_visible()
    no_serious_violations(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= page.evaluate("innerWidth")
