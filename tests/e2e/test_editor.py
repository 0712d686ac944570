"""The editor of drafts in a real browser: what it loses (nothing) and how it lies on the page."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from apps.catalog.models import ContractDraft, Job
from apps.catalog.services import save_draft
from apps.policy.models import PolicyDraft
from tests.factories.accounts import UserFactory
from tests.factories.catalog import CONTRACT, toys_job

PageAs = Callable[..., Page]
pytestmark = pytest.mark.browser
DRAFT = "/catalog/jobs/toys-refund/draft/"
STRONGER = CONTRACT.replace("votes: 2", "votes: 3")
LONG = "thelongestownerthateverownedajobofthiscompany" * 3
WIDE = CONTRACT.replace("Toy desk, Ida Holm", LONG).replace("name: Refund a toy", f"name: {LONG}")
# Panes that lie over each other, and parts of a pane that reach into another one.
OVERLAPS = """() => {
  const panes = [...document.querySelectorAll('.panes > .pane')];
  const found = [];
  const box = (e) => e.getBoundingClientRect();
  panes.forEach((one, i) => panes.slice(i + 1).forEach((other) => {
    const a = box(one), b = box(other);
    const beside = a.left >= b.right - 1 || b.left >= a.right - 1;
    if (!beside && a.top < b.bottom - 1 && b.top < a.bottom - 1)
      found.push(`${one.className} over ${other.className}`);
  }));
  for (const pane of panes) for (const part of pane.querySelectorAll('*')) {
    const inner = part.parentElement.closest('.ace_editor, .scroll, pre, textarea, .vh');
    const b = box(part), p = box(pane);
    if (inner || !b.width || !b.height || part.matches('.vh, .vh *')) continue;
    if (b.right > p.right + 1 || b.left < p.left - 1)
      found.push(`${part.tagName}.${part.className} ${part.id} out of ${pane.className}`);
  }
  return found;
}"""

NARROWEST = "Math.min(...[...document.querySelectorAll('.pane')].map(e => e.offsetWidth))"


@pytest.fixture
def job(live_site: str, tmp_path: Path) -> Job:
    return toys_job(tmp_path)


def write(page: Page, text: str) -> None:
    page.evaluate("text => window.ace.edit('ace').setValue(text, -1)", text)


def text_on(page: Page) -> str:
    return str(page.evaluate("window.ace.edit('ace').getValue()"))


@pytest.mark.parametrize("path", [DRAFT, "/policies/toys/draft/"])
@pytest.mark.parametrize("state", ["draft", "in_review"])
def test_the_columns_never_overlap(job: Job, page_as: PageAs, path: str, state: str) -> None:
    page = page_as("admin")
    page.set_default_timeout(30_000)
    save_draft(job, text=WIDE, revision=0, author=UserFactory.create(role="admin"))
    ContractDraft.objects.update(state=state)  # under review there is no form beside the text
    for width in (1920, 1440, 1280, 1024, 800, 375):
        page.set_viewport_size({"width": width, "height": 900})
        page.goto(path)
        for section in page.locator("details.fields").all():
            section.evaluate("e => { e.open = true; }")
        if folder := os.environ.get("TOWER_SHOTS"):
            kind = path.split("/")[1]
            page.screenshot(path=f"{folder}/editor-{kind}-{width}.png", full_page=True)

        assert page.evaluate(OVERLAPS) == [], f"{width} px"
        assert page.evaluate(NARROWEST) >= 240, f"{width} px"
        wider = page.evaluate("document.documentElement.scrollWidth - innerWidth")
        assert wider <= 0, f"{path} is {wider} px too wide at {width} px"


def test_submitting_offline_keeps_the_text_and_goes_on_when_online(
    job: Job, page_as: PageAs
) -> None:
    page = page_as("admin")
    page.goto(DRAFT)
    expect(page.locator("#save-state")).to_have_text("Not changed yet")
    page.context.set_offline(True)
    write(page, STRONGER)

    page.get_by_role("button", name="Submit for review").click()

    expect(page.locator("#save-state")).to_contain_text("Your text is kept here")
    assert text_on(page) == STRONGER
    assert not ContractDraft.objects.exists()
    page.context.set_offline(False)
    page.get_by_label("Note for the reviewer").fill("safer")
    page.get_by_role("button", name="Submit for review").click()
    expect(page.get_by_text("A second admin publishes it")).to_be_visible()
    draft = ContractDraft.objects.get()
    assert (draft.text, draft.state, draft.note) == (STRONGER, "in_review", "safer")


def test_submitting_unsaved_and_logged_out_keeps_the_text(job: Job, page_as: PageAs) -> None:
    page = page_as("admin")
    page.goto(DRAFT)
    write(page, STRONGER)
    page.context.clear_cookies()

    page.get_by_role("button", name="Submit for review").click()

    expect(page.locator("#save-state")).to_contain_text("Your text is kept here")
    assert text_on(page) == STRONGER


def test_submitting_over_somebody_shows_both_texts(job: Job, page_as: PageAs) -> None:
    page = page_as("admin")
    page.goto(DRAFT)
    other = UserFactory.create(username="ida", role="admin")
    save_draft(job, text=CONTRACT.replace("votes: 2", "votes: 4"), revision=0, author=other)
    write(page, STRONGER)

    page.keyboard.press("Control+Enter")

    conflict = page.locator("#conflict")
    expect(conflict).to_contain_text("ida saved this draft meanwhile")
    expect(conflict.locator("tr[data-kind=changed]")).to_contain_text(
        re.compile(r"votes: 4.*votes: 3", re.DOTALL)
    )
    assert text_on(page) == STRONGER
    page.get_by_role("button", name="Save mine over it").click()
    expect(conflict).to_be_hidden()
    page.reload()
    expect(page.get_by_text("Texts that somebody wrote over")).to_be_visible()
    assert ContractDraft.objects.get().text == STRONGER


def test_submitting_what_is_wrong_stays_and_goes_to_the_line(job: Job, page_as: PageAs) -> None:
    page = page_as("admin")
    page.goto(DRAFT)
    write(page, CONTRACT.replace("votes: 2", "vots: 2"))

    page.keyboard.press("Control+Enter")

    expect(page.locator("#refused")).to_contain_text("Fix 1 problem first")
    assert page.evaluate("window.ace.edit('ace').getCursorPosition().row") == 20
    expect(page.locator("#save-state")).to_contain_text("Saved")


def test_a_draft_can_be_discarded_from_the_first_save_on(job: Job, page_as: PageAs) -> None:
    page = page_as("admin")
    page.goto(DRAFT)
    discard = page.get_by_role("button", name="Discard the draft")
    expect(discard).to_be_hidden()
    write(page, STRONGER)
    expect(page.locator("#save-state")).to_contain_text(re.compile(r"Saved \d\d:\d\d"))

    page.once("dialog", lambda dialog: dialog.accept())
    discard.click()

    expect(page.locator("h1")).to_have_text("Refund a toy")
    assert not ContractDraft.objects.exists()


def test_yaml_json_and_form_are_one_source(job: Job, page_as: PageAs) -> None:
    page = page_as("admin")
    page.goto("/policies/toys/draft/")

    page.get_by_role("button", name="JSON", exact=True).click()
    expect(page.locator("#json pre")).to_contain_text('"refund_cents": 5000')
    limit = page.get_by_label("refund cents")
    limit.fill("4000")
    limit.press("Tab")

    expect(page.locator("#json pre")).to_contain_text('"refund_cents": 4000')
    expect(page.locator("#save-state")).to_contain_text("Saved")
    page.get_by_role("button", name="YAML", exact=True).click()
    assert "refund_cents: 4000" in text_on(page)
    assert "refund_cents: 4000" in PolicyDraft.objects.get().text
