"""Being away, in a browser: planned by keyboard, told to the stand-in, and read by everybody."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect

from apps.accounts.models import User
from apps.oversight import services
from apps.oversight.models import Absence
from tests.e2e.conftest import PageAs
from tests.factories.approvals import ApprovalFactory
from tests.factories.away import away
from tests.oversight.test_escalating import waiting

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
Check = Callable[[Page], None]


def test_one_goes_away_by_keyboard_and_the_stand_ins_queue_says_so_at_once(
    page_as: PageAs, site_people: dict[str, User]
) -> None:
    ApprovalFactory.create()
    others = page_as("operator2")
    others.goto("/approvals/")
    expect(others.locator("body")).to_have_attribute("data-conn", "live")
    mine = page_as("operator")
    mine.goto("/approvals/away/")
    until = (timezone.now() + timedelta(days=3)).strftime("%Y-%m-%dT%H:%M")
    mine.get_by_label("Until (UTC)").fill(until)
    mine.get_by_label("Who stands in").select_option(label="operator2 (operator)")
    mine.get_by_label("Why").focus()
    mine.keyboard.type("Walking in the hills")
    mine.keyboard.press("Enter")

    expect(mine.locator("#absences")).to_contain_text("Walking in the hills")
    expect(others.locator("#counts")).to_contain_text("you stand in")
    assert Absence.objects.get().stand_in == site_people["operator2"]

    mine.get_by_role("button", name="End now: operator").click()

    expect(mine.locator("#main")).to_contain_text("Nobody is away")
    expect(others.locator("#counts")).not_to_contain_text("you stand in")


def test_what_is_wrong_is_said_at_its_field(page_as: PageAs) -> None:
    page = page_as("operator")
    page.goto("/approvals/away/")
    page.get_by_label("Until (UTC)").fill("2020-01-01T00:00")
    page.get_by_label("Why").fill("Kept")
    page.get_by_role("button", name="Save the absence").click()

    expect(page.locator("#id_until_error")).to_contain_text("Until has to be after from")
    expect(page.get_by_label("Why")).to_have_value("Kept")


@pytest.mark.parametrize("phone", [False, True])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_everybody_can_read_it(
    page_as: PageAs,
    site_people: dict[str, User],
    no_serious_violations: Check,
    phone: bool,
    theme: str,
) -> None:
    for name, person in site_people.items():  # names as long as people have them
        person.first_name, person.last_name = "Maximiliana-Theodora", f"Featherstonehaugh {name}"
        person.save(update_fields=["first_name", "last_name"])
    away(site_people["operator"], site_people["operator2"], reason="Walking in the hills")
    away(site_people["admin"], site_people["admin2"], reason="Ill")
    away(site_people["operator2"], begins_at=timezone.now() + timedelta(hours=1))
    held = {"claimed_by": site_people["operator"], "claimed_until": timezone.now()}
    held["claimed_until"] += timedelta(minutes=4)  # type: ignore[operator]  # it is a time
    approval = waiting(0.9, **held)
    services.escalate_due()
    for role, name, address in (
        ("admin2", "page", "/approvals/away/"),
        ("operator2", "queue", "/approvals/"),
        ("operator2", "sheet", f"/approvals/{approval.pk}/"),
    ):
        page = page_as(role, phone=phone, theme=theme)
        page.goto(address)
        page.wait_for_load_state("networkidle")
        if folder := os.environ.get("TOWER_SHOTS"):
            page.screenshot(path=f"{folder}/away-{name}-{phone}-{theme}.png", full_page=True)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), name
        no_serious_violations(page)
