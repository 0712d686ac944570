"""People in a browser: from the link that an admin hands over to somebody who is logged in."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from apps.accounts.models import User
from tests.e2e.conftest import PageAs
from tests.factories.accounts import PASSWORD

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
Check = Callable[[Page], None]


@pytest.mark.parametrize(("phone", "theme"), [(False, "light"), (True, "dark")])
def test_an_admin_hands_a_link_over_and_its_person_enrols(
    page_as: PageAs,
    site_people: dict[str, User],
    no_serious_violations: Check,
    phone: bool,
    theme: str,
) -> None:
    admin = page_as("admin", phone=phone, theme=theme)
    admin.goto("/accounts/users/")
    admin.get_by_label("User name").fill("nora")
    admin.get_by_label("Name", exact=True).fill("Nora Beck")
    admin.locator("#id_role").select_option("operator")
    admin.get_by_role("button", name="Make the account").click()
    link = admin.locator("#new-link").inner_text()
    expect(admin.get_by_role("alert")).to_contain_text("It works once, within 24 hours")
    no_serious_violations(admin)
    wide = "document.documentElement.scrollWidth <= document.documentElement.clientWidth"
    assert admin.evaluate(wide)

    nora = page_as(None, phone=phone, theme=theme)
    nora.goto(link)
    expect(nora.get_by_label("Enrolment code")).to_have_value(link.partition("#")[2])
    assert "#" not in nora.url
    no_serious_violations(nora)
    nora.get_by_label("New password").fill(PASSWORD)
    nora.get_by_label("The same password again").fill(PASSWORD)
    nora.get_by_role("button", name="Set password").click()
    expect(nora.get_by_role("status").first).to_contain_text("Log in as nora")
    nora.get_by_label("User name").fill("nora")
    nora.get_by_label("Password").fill(PASSWORD)
    nora.get_by_role("button", name="Log in").click()
    expect(nora.get_by_role("heading", level=1).first).to_be_visible()
    expect(nora.get_by_role("button", name="You: Nora Beck")).to_be_visible()
