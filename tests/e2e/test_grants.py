"""A grant from the sheet to its confirmation, on a desk and on a phone."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest
from django.db import transaction
from playwright.sync_api import Page, expect

from apps.oversight import services
from apps.oversight.models import Approval, Grant
from tests.e2e.conftest import PageAs
from tests.factories.accounts import UserFactory
from tests.factories.grants import WHY, confirmed, coverable, given, plan

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
SHOTS = os.environ.get("TOWER_SHOTS")


def shot(page: Page, name: str) -> None:
    if SHOTS:
        page.screenshot(path=f"{SHOTS}/{name}.png", full_page=True)


def test_proposed_tried_confirmed_used_and_revoked(
    page_as: PageAs, no_serious_violations: Callable[[Page], None]
) -> None:
    source = coverable("Q00001")
    coverable("Q00002", amount_cents=6_000)
    page = page_as("operator")
    page.goto(f"/approvals/{source.pk}/")
    page.get_by_role("link", name="Propose a grant for requests like it").click()
    expect(page.locator("#covers")).to_contain_text("0 of 1")
    page.get_by_label("arguments.reservation_id", exact=False).first.select_option("any")
    page.get_by_label("Amount at most").fill("60.00")
    expect(page.locator("#covers")).to_contain_text("1 of 1")
    page.get_by_label("Why").fill(WHY)
    no_serious_violations(page)
    shot(page, "grant-form")
    page.get_by_role("button", name="Propose it to a second person").click()
    expect(page.get_by_text("another person has to confirm it").first).to_be_visible()
    no_serious_violations(page)
    shot(page, "grant-proposed")

    grant = Grant.objects.get()
    page.goto("/approvals/")
    page.get_by_role("link", name="1 grant to confirm").click()
    confirmed(grant, UserFactory.create(role="operator"))
    page.goto(f"/approvals/grants/{grant.pk}/")
    asked = coverable("Q00003", undo_s=60)
    with transaction.atomic():
        services.cover({asked.pk: asked.tool_name})
    page.goto(f"/approvals/{asked.pk}/")
    expect(page.locator("#by-grant")).to_contain_text("use 1 of 10 of a grant")
    shot(page, "grant-used")
    page.locator("#by-grant a").click()
    page.get_by_label("Why it has to end").fill("the parcels arrived")
    page.get_by_role("button", name="Revoke it now").click()
    expect(page.locator("#grant")).to_contain_text("the parcels arrived")
    asked.refresh_from_db()
    assert asked.state == Approval.State.VOID


def test_on_a_phone_a_second_person_reads_and_confirms(
    page_as: PageAs, no_serious_violations: Callable[[Page], None]
) -> None:
    source = coverable("Q00001")
    first, second = UserFactory.create_batch(2, role="operator")
    given(source, first, second, opened={"arguments.bags": ("range", "1 to 3")})
    page = page_as("operator")
    page.set_viewport_size({"width": 375, "height": 700})
    waiting = services.propose_grant(approval_id=source.pk, user=first, plan=plan(source))
    page.goto("/approvals/grants/")
    no_serious_violations(page)
    shot(page, "grants-phone")
    page.locator(f"[data-grant='{waiting.pk}'] a").click()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.get_by_label("Why it is safe").fill(WHY)
    shot(page, "grant-phone")
    page.get_by_role("button", name="Confirm: cover up to 3 such requests").click()
    expect(page.locator("#grant")).to_have_attribute("data-state", "active")
    no_serious_violations(page)
    page.goto(f"/approvals/{source.pk}/grant/")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    shot(page, "grant-form-phone")
