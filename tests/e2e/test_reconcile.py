"""Two people find out, in the browser, what became of a call whose answer was lost."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from apps.runs.models import Finding, Run, Step
from tests.e2e.conftest import PageAs
from tests.factories.runs import DecisionFactory, eventful_run

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
Check = Callable[[Page], None]


def lost_at_high_risk() -> Run:
    run = eventful_run()
    step = Step.objects.get(run=run, seq=6)
    DecisionFactory.create(run_id=run.id, step_id=step.id, risk=3)
    return run


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("phone", [False, True], ids=["desk", "phone"])
def test_the_panel_is_accessible_and_fits(
    page_as: PageAs, no_serious_violations: Check, phone: bool, theme: str
) -> None:
    run = lost_at_high_risk()
    page = page_as("operator", phone=phone, theme=theme)

    page.goto(f"/runs/{run.id}/?step=6")

    expect(page.get_by_role("heading", name="Did it happen?")).to_be_visible()
    no_serious_violations(page)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_two_people_agree_and_the_step_is_resolved(page_as: PageAs) -> None:
    run = lost_at_high_risk()
    first, second = page_as("operator"), page_as("operator2")
    first.goto(f"/runs/{run.id}/")
    first.get_by_role("link", name="Find out and say what happened").click()
    expect(first.get_by_text("2 people have to say the same")).to_be_visible()

    first.get_by_label("It happened.").check()
    first.get_by_label("How you know").fill("Booking JX4 is in the airline's system")
    first.get_by_role("button", name="Record what I found out").click()

    expect(first.locator("#toasts")).to_contain_text("a second person has to say the same")
    assert Step.objects.get(run=run, seq=6).state == "confirmation_unknown"

    second.goto(f"/runs/{run.id}/?step=6")
    expect(second.locator(".findings")).to_contain_text("Booking JX4")
    second.get_by_label("It happened.").check()
    second.get_by_label("How you know").fill("I see it as well")
    second.get_by_role("button", name="Record what I found out").click()

    expect(second.get_by_role("heading", name="How it was found out")).to_be_visible()
    expect(second.locator(".findings")).to_contain_text("resolved by this")
    assert Step.objects.get(run=run, seq=6).disposition == "executed"
    assert Finding.objects.filter(settled=True).count() == 1


def test_what_somebody_writes_survives_a_change_of_the_run(page_as: PageAs) -> None:
    run = lost_at_high_risk()
    first, second = page_as("operator"), page_as("operator2")
    first.goto(f"/runs/{run.id}/?step=6")
    expect(first.locator("#conn-text")).to_have_text("Live")
    first.get_by_label("How you know").fill("I am still on the phone with")
    second.goto(f"/runs/{run.id}/?step=6")

    second.get_by_label("leave it undone").check()
    second.get_by_label("How you know").fill("No booking there")
    second.get_by_role("button", name="Record what I found out").click()
    expect(second.locator(".findings")).to_contain_text("No booking there")
    first.wait_for_timeout(1500)

    expect(first.get_by_label("How you know")).to_have_value("I am still on the phone with")
