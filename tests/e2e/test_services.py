"""An administrator gives a system its token; the page is fit for everybody."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.test import Client
from playwright.sync_api import Page, expect

PageAs = Callable[..., Page]
Check = Callable[[Page], None]
PAGE = "/accounts/users/services/"
pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.mark.parametrize(("phone", "theme"), [(False, "light"), (True, "dark")])
def test_a_system_gets_its_token(
    page_as: PageAs, no_serious_violations: Check, phone: bool, theme: str
) -> None:
    page = page_as("admin", phone=phone, theme=theme)
    page.goto(PAGE)
    expect(page.get_by_text("No system uses the API yet")).to_be_visible()
    page.get_by_label("Name", exact=True).fill("order-system")
    page.get_by_label("What it is for").fill("Starts refunds when parcels come back")
    page.get_by_role("button", name="Add", exact=True).click()

    page.get_by_label("Start runs").check()
    page.get_by_label("Read its account").check()
    no_serious_violations(page)
    page.get_by_role("button", name="Make a token").click()

    token = page.locator("#new-token").inner_text()
    no_serious_violations(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= page.evaluate("innerWidth")
    page.goto(PAGE)
    assert token not in page.content()
    headers = {"Authorization": f"Bearer {token}"}
    assert Client().get("/api/v1/runs", headers=headers).status_code == 200

    page.on("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Revoke").click()

    expect(page.get_by_text("revoked by")).to_be_visible()
    assert Client().get("/api/v1/runs", headers=headers).status_code == 401
