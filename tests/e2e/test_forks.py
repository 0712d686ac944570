"""An operator forks a run in the browser, and lays the branch beside its parent."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from apps.audit.domain.actors import Actor
from apps.runs.models import Run, RunScript, Step
from apps.runs.services import fork_run
from tests.e2e.conftest import PageAs
from tests.factories.runs import ARGUMENTS, DecisionFactory
from tests.runs.test_forking import CALLS, parent_run, script

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
Check = Callable[[Page], None]


def two_that_part() -> tuple[Run, Run]:
    """A run and its branch, which proposed another reason and was held."""
    parent = parent_run()
    branch = Run.objects.get(
        pk=fork_run(parent.id, 2, None, actor=Actor.user("x"), reason="y", label="another reason")
    )
    arguments = {**ARGUMENTS, "reason": "cancelled by the airline"}
    mine = Step.objects.filter(run=branch, seq=3)
    mine.update(arguments=arguments, arguments_digest="other", gate="hold")
    rules = [{"id": "reason-unproved", "reason": "The airline has no such cancellation"}]
    DecisionFactory.create(run_id=branch.id, step_id=mine.get().id, answer="hold", rules=rules)
    return parent, branch


def patient(page: Page) -> Page:
    """The first page of a site that has just started takes long on a busy machine."""
    page.set_default_timeout(60_000)
    return page


def settle(page: Page, check: Check) -> None:
    check(page)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.parametrize(("phone", "theme"), [(False, "light"), (True, "dark")])
def test_the_pages_are_accessible_and_fit(
    page_as: PageAs, no_serious_violations: Check, phone: bool, theme: str
) -> None:
    parent, branch = two_that_part()
    page = patient(page_as("operator", phone=phone, theme=theme))

    for address in (
        f"/runs/{parent.id}/fork/?after=2",
        f"/runs/compare/?a={parent.id}&b={branch.id}",
        f"/runs/compare/?a={parent.id}",
        f"/runs/{branch.id}/?step=2",
    ):
        page.goto(address)
        expect(page.locator("main")).to_be_visible()
        settle(page, no_serious_violations)


def test_a_run_is_forked_from_a_step_and_compared(page_as: PageAs) -> None:
    parent = parent_run()
    page = patient(page_as("operator"))
    page.goto(f"/runs/{parent.id}/?step=3")

    page.get_by_role("link", name="Fork from here").click()
    expect(page.locator("#fork-plan")).to_contain_text("Nothing: its script is at its end")
    page.get_by_label("Go on after").select_option("1")
    expect(page.locator("#fork-plan")).to_contain_text("1 step with their results")
    expect(page.locator("#fork-plan")).to_contain_text("cancel_reservation")
    page.get_by_label("Contract version").select_option(label_of(page, "v8"))
    page.get_by_label("Name of the branch").fill("under v8")
    page.get_by_label("Reason, for the audit log").fill("v8 words the policy anew")
    page.get_by_role("button", name="Fork the run").click()

    expect(page.locator("#run-head")).to_contain_text("under v8")
    branch = Run.objects.get(parent_id=parent.id)
    assert (branch.contract_number, branch.forked_after) == (8, 1)

    page.keyboard.press("m")
    expect(page.get_by_role("heading", name="With one of these?")).to_be_visible()
    page.go_back()
    page.get_by_role("link", name="Compare with the run it was forked from").click()
    expect(page.locator("h1")).to_have_text("Compare two runs")
    expect(page.get_by_text("B is a branch of A, forked after step 1.")).to_be_visible()


def label_of(page: Page, start: str) -> str:
    options = page.locator("#fork-contract option").all_inner_texts()
    return next(text for text in options if text.startswith(start))


def test_keys_walk_through_the_differences(page_as: PageAs) -> None:
    parent, branch = two_that_part()
    more = CALLS[0][0], {"user_id": "mia_li_3668"}
    RunScript.objects.filter(run=parent).update(items=script(more))
    Step.objects.filter(run=branch, seq=2).update(gate="hold")
    page = patient(page_as("operator"))
    page.goto(f"/runs/compare/?a={parent.id}&b={branch.id}")
    differences = page.locator("[data-difference]")
    expect(differences).to_have_count(2)

    page.keyboard.press("n")
    expect(differences.nth(0)).to_be_focused()
    page.keyboard.press("n")
    expect(differences.nth(1)).to_be_focused()
    page.keyboard.press("p")
    expect(differences.nth(0)).to_be_focused()
    page.get_by_role("button", name="Next difference").click()
    expect(differences.nth(0)).to_be_focused()
