"""The catalog and the editor of contracts, as people use them."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, Route, expect

from apps.catalog.models import ContractDraft, ContractVersion, Job
from tests.factories.catalog import CONTRACT, policy_text, toys_job

PageAs = Callable[..., Page]
pytestmark = pytest.mark.browser
DRAFT = "/catalog/jobs/toys-refund/draft/"


@pytest.fixture
def job(live_site: str, tmp_path: Path) -> Job:
    return toys_job(tmp_path)


def shot(page: Page, name: str) -> None:
    if folder := os.environ.get("TOWER_SHOTS"):
        page.screenshot(path=f"{folder}/{name}.png", full_page=True)


def write(page: Page, text: str) -> None:
    """Put the whole text into the editor, as a paste does."""
    page.evaluate("text => window.ace.edit('ace').setValue(text, -1)", text)


PAGES = {
    "index": "/catalog/",
    "job": "/catalog/jobs/toys-refund/",
    "version": "/catalog/jobs/toys-refund/versions/1/",
    "tools": "/catalog/tools/",
    "tool": "/catalog/tools/toys/refund/",
    "draft": DRAFT,
    "new-job": "/catalog/new/job/",
    "policies": "/policies/",
    "policy": "/policies/toys/",
    "policy-draft": "/policies/toys/draft/",
}


@pytest.mark.parametrize(("phone", "theme"), [(False, "light"), (True, "dark")])
def test_pages_are_accessible(
    job: Job,
    page_as: PageAs,
    no_serious_violations: Callable[[Page], None],
    phone: bool,
    theme: str,
) -> None:
    page = page_as("admin", phone=phone, theme=theme)
    page.set_default_timeout(30_000)  # the first request of a site imports everything
    for name, path in PAGES.items():
        page.goto(path)
        expect(page.locator("main [aria-busy=true]")).to_have_count(0)
        shot(page, f"catalog-{name}-{theme}{'-phone' if phone else ''}")
        no_serious_violations(page)
        width = page.evaluate("document.documentElement.scrollWidth - innerWidth")
        assert width <= 0, f"{path} is {width} px too wide"


def test_an_edit_is_checked_saved_and_submitted(
    job: Job, page_as: PageAs, no_serious_violations: Callable[[Page], None]
) -> None:
    page = page_as("admin")
    page.goto(DRAFT)

    write(page, CONTRACT.replace("votes: 2", "vots: 2"))

    problem = page.locator("#findings .problems li")
    expect(problem).to_contain_text("Did you mean “votes”?")
    expect(page.locator("#save-state")).to_contain_text(re.compile(r"Saved \d\d:\d\d"))
    shot(page, "catalog-draft-problem")
    no_serious_violations(page)
    page.keyboard.press("Alt+ArrowDown")
    assert page.evaluate("window.ace.edit('ace').getCursorPosition().row") == 20

    write(page, CONTRACT.replace("votes: 2", "votes: 1"))

    expect(page.locator("#findings")).to_contain_text("Votes needed to approve: 2 → 1")
    expect(page.get_by_label("Votes to approve")).to_have_value("1")
    page.keyboard.press("Alt+d")
    expect(page.locator("#text-diff")).to_have_attribute("open", "")
    shot(page, "catalog-draft-weaker")
    page.get_by_label("Note for the reviewer").fill("cheaper")
    page.keyboard.press("Control+Enter")
    expect(page.get_by_text("A second admin publishes it")).to_be_visible()
    shot(page, "catalog-draft-review")

    first = page_as("admin3")
    first.goto(DRAFT)
    expect(first.get_by_text("2 people besides its author approve it")).to_be_visible()
    first.get_by_label("Why this is right").fill("Fine with me")
    first.get_by_role("button", name="Approve v2").click()
    expect(first.get_by_text("Somebody else has to as well")).to_be_visible()

    second = page_as("admin2")
    second.goto(DRAFT)
    second.get_by_label("Why this is right").fill("Agreed with Ida")
    shot(second, "catalog-draft-publish")
    no_serious_violations(second)
    second.get_by_role("button", name="Publish as v2").click()
    expect(second.locator("h1")).to_have_text("Refund a toy")
    assert ContractVersion.objects.get(job=job, number=2).note == "Agreed with Ida"


def test_the_form_writes_the_text_and_keeps_its_comments(job: Job, page_as: PageAs) -> None:
    page = page_as("admin")
    page.goto(DRAFT)

    votes = page.get_by_label("Votes to approve")
    votes.fill("3")
    votes.press("Tab")

    expect(page.locator("#findings")).to_contain_text("Votes needed to approve: 2 → 3")
    expect(page.locator("#save-state")).to_contain_text("Saved")
    text = page.evaluate("window.ace.edit('ace').getValue()")
    assert text == CONTRACT.replace("votes: 2", "votes: 3")
    assert ContractDraft.objects.get().text == text


def test_a_conflict_keeps_the_text_and_offers_both_ways(job: Job, page_as: PageAs) -> None:
    first, second = page_as("admin"), page_as("admin2")
    first.goto(DRAFT)
    second.goto(DRAFT)
    write(first, CONTRACT.replace("votes: 2", "votes: 1"))
    expect(first.locator("#save-state")).to_contain_text("Saved")

    mine = CONTRACT.replace("votes: 2", "votes: 3")
    write(second, mine)

    expect(second.locator("#conflict")).to_contain_text("admin saved this draft meanwhile")
    shot(second, "catalog-draft-conflict")
    assert second.evaluate("window.ace.edit('ace').getValue()") == mine
    second.get_by_role("button", name="Save mine over it").click()
    expect(second.locator("#conflict")).to_be_hidden()
    assert ContractDraft.objects.get().text == mine


def test_a_policy_is_checked_as_it_is_typed(job: Job, page_as: PageAs) -> None:
    page = page_as("admin")
    page.goto("/policies/toys/draft/")

    write(page, policy_text().replace("amount_cents >", "amount_cent >"))

    expect(page.locator("#findings .problems li").first).to_contain_text("amount_cent")
    shot(page, "policy-draft-problem")
    limit = page.get_by_label("refund cents")
    write(page, policy_text())
    expect(page.locator("#findings")).to_contain_text("No problems")
    limit.fill("100000")
    limit.press("Tab")
    expect(page.locator("#findings")).to_contain_text("Limit refund_cents: 5,000 → 100,000")
    shot(page, "policy-draft-weaker")


def test_a_save_that_overtakes_a_check_leaves_nothing_unchecked(job: Job, page_as: PageAs) -> None:
    held: list[Route] = []
    free = False

    def check(route: Route) -> None:
        if free:
            route.continue_()
        else:
            held.append(route)

    page = page_as("admin")
    page.goto("/policies/toys/draft/")
    write(page, policy_text())
    expect(page.locator("#findings")).not_to_have_attribute("aria-busy", "true")
    page.route("**/draft/check/", check)

    limit = page.get_by_label("refund cents")
    limit.fill("100000")
    with page.expect_response("**/draft/save/"):
        limit.press("Tab")
        page.keyboard.press("Control+s")
    expect(page.locator("#ace")).to_contain_text("100000")
    free = True
    for route in held:
        route.continue_()

    expect(page.locator("#findings")).to_contain_text("Limit refund_cents: 5,000 → 100,000")


def test_a_phone_edits_in_a_plain_field(job: Job, page_as: PageAs) -> None:
    page = page_as("admin", phone=True)
    page.goto(DRAFT)

    page.locator("#text").fill(CONTRACT.replace("votes: 2", "votes: 1"))

    expect(page.locator("#findings")).to_contain_text("Votes needed to approve: 2 → 1")
    expect(page.locator("#save-state")).to_contain_text("Saved")
