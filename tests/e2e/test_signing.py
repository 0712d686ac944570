"""An approval that is signed with a passkey, in a browser with a virtual device."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from apps.accounts.models import Passkey, User
from apps.oversight.models import Approval, Vote
from apps.oversight.services.passkeys import without_passkey
from tests.e2e.answering import approve_by_key, show_all
from tests.e2e.conftest import PageAs
from tests.e2e.test_people import device, logs_in
from tests.e2e.test_table import shot
from tests.factories.accounts import with_password
from tests.factories.approvals import ApprovalFactory

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
Check = Callable[[Page], None]
SHOWS_NOTHING = """() => {
  navigator.credentials.get = () => Promise.reject(new DOMException('', 'NotAllowedError'));
}"""
RULES = [{"id": "bank", "reason": "Transfers are signed", "observed": [], "passkey": True}]


@pytest.mark.parametrize(("phone", "theme"), [(False, "light"), (True, "dark")])
def test_an_approval_is_signed_by_the_persons_own_device(
    page_as: PageAs,
    live_site: str,
    no_serious_violations: Check,
    site_people: dict[str, User],
    phone: bool,
    theme: str,
) -> None:
    asked = ApprovalFactory.create(rules=RULES)
    nora = with_password("nora", role="operator")
    home = live_site.replace("127.0.0.1", "localhost")
    page = page_as(None, phone=phone, theme=theme)
    logs_in(page, home)
    device(page)
    page.goto(f"{home}/approvals/{asked.pk}/")
    expect(page.locator("#not-approve")).to_contain_text("you have none for this address")
    no_serious_violations(page)

    page.goto(f"{home}/accounts/security/")
    page.get_by_label("Name of the device").fill("Laptop")
    page.get_by_role("button", name="Add a passkey").click()
    page.get_by_role("link", name="I have them").click()
    page.goto(f"{home}/approvals/{asked.pk}/")
    expect(page.locator("#passkey-rule")).to_contain_text("Approving asks for your passkey")
    no_serious_violations(page)
    shot(page, f"signing-{theme}-{'phone' if phone else 'desk'}")
    if phone:
        show_all(page)
        approve = page.locator("[data-answer=approve]")
        expect(approve).to_have_attribute("aria-disabled", "false", timeout=15_000)
        approve.click()
    else:
        page.keyboard.press("a")
        approve_by_key(page)

    expect(page.locator("#panel")).to_contain_text("signed with a passkey")
    vote = Vote.objects.get(user=nora)
    assert without_passkey(Approval.objects.get(), [vote]) == set()
    kept = Passkey.objects.get()
    assert kept.sign_count > 0
    assert kept.last_used_at is not None


def test_a_device_that_shows_nothing_leaves_everything_as_it_was(
    page_as: PageAs, live_site: str, site_people: dict[str, User]
) -> None:
    asked = ApprovalFactory.create(rules=RULES, risk=1)
    with_password("nora", role="operator")
    home = live_site.replace("127.0.0.1", "localhost")
    page = page_as(None)
    logs_in(page, home)
    device(page)
    page.get_by_role("button", name="Add a passkey").click()
    expect(page.get_by_role("heading", name="Recovery codes")).to_be_visible()
    page.goto(f"{home}/approvals/{asked.pk}/")
    page.evaluate(SHOWS_NOTHING)
    page.locator("#reason").fill("the bank said yes")
    show_all(page)
    page.locator("[data-answer=approve]").click()

    expect(page.locator("#decide-hint")).to_contain_text("Nothing was shown, or it took too long")
    expect(page.locator("#reason")).to_have_value("the bank said yes")
    assert not Vote.objects.exists()
    assert Approval.objects.get().state == "pending"
