"""Teams in a browser: an admin bounds one, and an operator sees what is theirs to decide."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from apps.accounts.models import Membership, Team, User
from tests.e2e.conftest import PageAs
from tests.factories.accounts import TeamFactory
from tests.factories.approvals import ApprovalFactory

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
Check = Callable[[Page], None]


@pytest.mark.parametrize("phone", [False, True], ids=["desktop", "phone"])
def test_an_admin_bounds_a_team_and_its_operator_is_refused_by_key(
    page_as: PageAs, site_people: dict[str, User], no_serious_violations: Check, phone: bool
) -> None:
    ApprovalFactory.create(sentence="Refund $5.00", amount_cents=500)
    large = ApprovalFactory.create(sentence="Refund $900.00", amount_cents=90_000)
    rest = TeamFactory.create(name="Large refunds")
    Membership.objects.create(team=rest, user=site_people["operator2"])

    admin = page_as("admin", phone=phone)
    admin.goto("/accounts/users/teams/")
    no_serious_violations(admin)
    admin.get_by_role("link", name="Everyone").click()
    no_serious_violations(admin)
    admin.get_by_label("Largest amount ($)").fill("much")
    admin.get_by_role("button", name="Save").press("Enter")
    expect(admin.locator("#id_most_error")).to_have_text("Write an amount such as 500 or 500.00.")
    admin.get_by_label("Largest amount ($)").fill("10")
    admin.get_by_role("button", name="Save").press("Enter")
    expect(admin.get_by_text("Everyone is saved.")).to_be_visible()
    assert Team.objects.get(name="Everyone").most_cents == 1_000
    width = admin.evaluate("document.documentElement.scrollWidth - innerWidth")
    assert width <= 0

    page = page_as("operator", phone=phone)
    page.goto("/approvals/")
    expect(page.locator("#grid tbody tr")).to_have_count(1)
    page.goto("/approvals/?all=1")
    row = page.locator(f"#grid tr[data-id='{large.pk}']")
    expect(row.locator(".outside")).to_have_text("Not yours to decide: Large refunds decides this")
    no_serious_violations(page)
    if not phone:
        expect(page.locator("#grid tbody tr").first).to_be_focused()
        page.keyboard.press("j")
        expect(row).to_be_focused()
        page.keyboard.press("a")
        expect(page.get_by_text("Large refunds decides this.").first).to_be_visible()
    page.goto(f"/approvals/{large.pk}/")
    expect(page.locator("#outside")).to_contain_text("Large refunds decides this.")
    expect(page.locator("#decide")).to_have_count(0)
    no_serious_violations(page)
