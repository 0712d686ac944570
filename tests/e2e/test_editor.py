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
    typed = page.get_by_label("The text as JSON")
    expect(typed).to_have_value(re.compile('"refund_cents": 5000'))
    limit = page.get_by_label("refund cents")
    limit.fill("4000")
    limit.press("Tab")

    expect(typed).to_have_value(re.compile('"refund_cents": 4000'))
    expect(page.locator("#save-state")).to_contain_text("Saved")
    page.get_by_role("button", name="YAML", exact=True).click()
    assert "refund_cents: 4000" in text_on(page)
    assert "refund_cents: 4000" in PolicyDraft.objects.get().text


FIELD = '[name="f:decisions.votes"]'
SIZES = {"desktop": {"width": 1280, "height": 800}, "phone": {"width": 375, "height": 700}}


def kept() -> tuple[str, str]:
    draft = ContractDraft.objects.get()
    return draft.text, draft.unread_json


@pytest.mark.parametrize("size", SIZES)
def test_json_is_typed_and_comes_into_the_text(job: Job, page_as: PageAs, size: str) -> None:
    text = f"# of the desk\n{CONTRACT}"
    save_draft(job, text=text, revision=0, author=UserFactory.create(role="admin"))
    page = page_as("admin")
    page.set_viewport_size(SIZES[size])
    page.goto(DRAFT)

    page.get_by_role("button", name="JSON", exact=True).click()
    typed = page.get_by_label("The text as JSON")
    typed.fill(typed.input_value().replace('"votes": 2', '"votes": 3'))

    expect(page.locator("#save-state")).to_contain_text(re.compile(r"Saved \d\d:\d\d"))
    assert kept() == (text.replace("votes: 2", "votes: 3"), "")
    expect(page.locator(FIELD)).to_have_value("3")
    if folder := os.environ.get("TOWER_SHOTS"):
        page.screenshot(path=f"{folder}/json-{size}.png", full_page=True)
    wider = page.evaluate("document.documentElement.scrollWidth - innerWidth")
    assert wider <= 0
    page.get_by_role("button", name="YAML", exact=True).click()
    shown = page.locator("#ace:visible, #text:visible")
    expect(shown).to_have_count(1)
    source = text_on(page) if size == "desktop" else page.locator("#text").input_value()
    assert source == text.replace("votes: 2", "votes: 3")


def test_broken_json_is_kept_by_keys_alone(job: Job, page_as: PageAs) -> None:
    page = page_as("admin")
    page.goto(DRAFT)
    page.get_by_role("button", name="JSON", exact=True).focus()
    page.keyboard.press("Enter")
    typed = page.get_by_label("The text as JSON")
    expect(typed).to_have_value(re.compile('"votes": 2'))
    typed.focus()
    page.keyboard.press("Control+Home")
    page.keyboard.type("x")

    expect(page.locator("#unread")).to_contain_text("line 1, column 1")
    expect(page.locator("#save-state")).to_contain_text(re.compile(r"Saved \d\d:\d\d"))
    page.keyboard.press("Control+Enter")
    expect(page.locator("#refused")).to_contain_text("What was typed as JSON is not in the text")
    assert kept()[1].startswith("x{")
    page.reload()
    expect(typed).to_have_value(re.compile("^x{"))
    expect(page.locator(FIELD)).to_be_disabled()
    page.get_by_role("button", name="YAML", exact=True).focus()
    page.keyboard.press("Enter")
    expect(page.locator("#ace")).to_be_visible()
    page.locator("#ace textarea").focus()
    page.keyboard.type("lost")
    assert text_on(page) == CONTRACT
    page.get_by_role("button", name="Go to that place").focus()
    page.keyboard.press("Enter")
    expect(typed).to_be_focused()
    page.keyboard.press("Delete")

    expect(page.locator("#unread")).to_be_hidden()
    expect(page.locator(FIELD)).to_be_enabled()
    expect(page.locator("#save-state")).to_contain_text(re.compile(r"Saved \d\d:\d\d"))
    assert kept() == (CONTRACT, "")


def test_json_survives_offline_a_conflict_and_being_dropped(job: Job, page_as: PageAs) -> None:
    page = page_as("admin")
    page.goto(DRAFT)
    page.get_by_role("button", name="JSON", exact=True).click()
    typed = page.get_by_label("The text as JSON")
    expect(typed).to_have_value(re.compile('"votes": 2'))
    page.context.set_offline(True)
    typed.fill('{"mine": 1')
    expect(page.locator("#save-state")).to_contain_text("Not saved yet", timeout=15_000)
    page.get_by_role("button", name="YAML", exact=True).click()
    expect(page.locator("#save-state")).to_contain_text("when the server can be reached")
    expect(typed).to_have_value('{"mine": 1')
    other = UserFactory.create(username="ida", role="admin")
    save_draft(job, text=STRONGER, revision=0, author=other)
    page.context.set_offline(False)

    conflict = page.locator("#conflict")
    expect(conflict).to_contain_text("ida saved this draft meanwhile", timeout=15_000)
    page.get_by_role("button", name="Save mine over it").click()
    expect(conflict).to_be_hidden()
    assert kept() == (STRONGER, '{"mine": 1')
    page.once("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Drop what was typed as JSON").click()

    expect(page.locator("#unread")).to_be_hidden()
    expect(page.locator("#save-state")).to_contain_text(re.compile(r"Saved \d\d:\d\d"))
    assert ContractDraft.objects.get().unread_json == ""


def test_a_text_that_cant_be_read_says_so_where_its_json_would_be(
    job: Job, page_as: PageAs
) -> None:
    page = page_as("admin")
    page.goto(DRAFT)
    write(page, "a: 1\nb: [\n")
    page.get_by_role("button", name="JSON", exact=True).click()

    expect(page.locator("#no-json")).to_contain_text("can't be shown as JSON")
    expect(page.get_by_label("The text as JSON")).to_be_hidden()
    page.get_by_role("button", name="YAML", exact=True).click()
    assert text_on(page) == "a: 1\nb: [\n"
