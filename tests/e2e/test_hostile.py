"""Hostile values in a browser: no script breaks on them, and no page is wider than its window."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Page, expect

from apps.catalog.models import Tool, ToolServer, ToolVersion
from apps.oversight.models import Approval
from apps.runs.models import LookUp, Run, Step
from tests.e2e.conftest import PageAs
from tests.fuzz import stored
from tests.fuzz.test_stored import a_run

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
WIDTHS = (1280, 375)
# Long words and deep, odd and wide values, each with its neighbours in the other places.
VARIANTS = [
    next(n for n, text in enumerate(stored.JSON) if text.startswith(start))
    for start in ('"xxxxxxxxxx', '{"items":0', '{"kkkkkkkkkk')
]
PARTS = {
    "content": "y" * 30_000,
    "parts": [
        {
            "kind": "k" * 300,
            "sha256": "d" * 64,
            "size": 7,
            "media_type": "m" * 300,
            "name": "n" * 300,
            "annotations": "a" * 2_000,
            "kept": True,
        },
        {"kind": "text", "sha256": "<script>alert(1)</script>", "size": "7", "name": {"a": 1}},
    ],
    "notes": ["w" * 3_000, "\u202enote"],
}


def a_hostile_run(number: int) -> Run:
    """A run full of hostile values, with parts of an answer and look-ups of a lost call."""
    run = a_run()
    server = ToolServer.objects.create(slug="airline")
    domain = run.contract_version.job.domain
    tool = Tool.objects.create(domain=domain, server=server, name="book", current_number=1)
    version = ToolVersion.objects.create(
        tool=tool, number=1, fingerprint="f", effect="write", idempotency="lookup",
        document={"name": "book", "lookup": "look_" + "l" * 70, "input_schema": {}},
    )  # fmt: skip
    lost = run.steps.get(seq=6)
    stored.fill(number, stored.OF_RUNS)
    LookUp.objects.create(
        step_id=lost.id, round=lost.attempts_made, tries=3, word="silent", said="s" * 500
    )
    Step.objects.filter(pk=lost.pk).update(tool_version=version)
    Step.objects.filter(run=run, seq=4).update(result=PARTS)
    return run


def overflow(page: Page) -> list[Any]:
    """What sticks out of the window; empty where nothing does."""
    return page.evaluate(
        """() => document.documentElement.scrollWidth <= innerWidth ? [] :
        [...document.querySelectorAll("main *")]
          .filter(e => e.getBoundingClientRect().right > innerWidth + 1 && !e.closest(".scroll")
            && ![...e.children].some(c => c.getBoundingClientRect().right > innerWidth + 1))
          .slice(0, 8).map(e => `${e.parentElement.className} > ${e.tagName}.${e.className}`)"""
    )


def addresses(run: Run, other: Run) -> list[str]:
    question = Approval.objects.get(run_id=run.id, state="pending").pk
    here = f"/runs/{run.id}"
    return [
        *(f"{here}/?step={seq}" for seq in (3, 4, 6, 7)),
        *(f"{here}/?tab={tab}" for tab in ("conversation", "steps", "decisions", "receipts")),
        *(f"{here}/?tab={tab}" for tab in ("approvals", "audit", "raw")),
        *(f"{here}/fork/", f"{here}/undo/", f"/runs/compare/?a={run.id}&b={other.id}"),
        *(f"/approvals/{question}/", f"/approvals/?open={question}", "/approvals/?tab=decided"),
        *("/runs/", "/", "/outcomes/", "/load/", "/stops/", "/catalog/tools/airline/book/"),
    ]


@pytest.mark.parametrize("number", VARIANTS[::2])
def test_hostile_values_break_no_script_and_no_width(page_as: PageAs, number: int) -> None:
    other, run = a_run(), a_hostile_run(number)
    page = page_as("operator")

    wide = {}
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 700})
        for address in addresses(run, other):
            answer = page.goto(address)
            assert answer is not None
            assert answer.status == 200, address
            if found := overflow(page):
                wide[f"{width} {address}"] = found
    assert wide == {}


@pytest.mark.parametrize("width", WIDTHS)
def test_the_parts_of_an_answer_and_the_look_ups_fit(page_as: PageAs, width: int) -> None:
    run = a_hostile_run(VARIANTS[0])
    page = page_as("operator")
    page.set_viewport_size({"width": width, "height": 700})

    page.goto(f"/runs/{run.id}/?step=4")
    expect(page.get_by_role("region", name="Parts of the answer")).to_be_visible()
    expect(page.get_by_role("cell", name="<script>alert(1)</script>")).to_be_visible()
    assert overflow(page) == []

    page.goto(f"/runs/{run.id}/?step=6")
    expect(page.locator("#own-look-ups")).to_contain_text("Control Tower has asked 3 times")
    assert overflow(page) == []

    page.goto("/outcomes/")
    expect(page.get_by_text("Shown", exact=True).locator("..")).to_be_visible()
    assert overflow(page) == []


def test_a_question_full_of_hostile_values_is_decided(page_as: PageAs) -> None:
    run = a_hostile_run(VARIANTS[1])
    question = Approval.objects.get(run_id=run.id, state="pending").pk
    page = page_as("operator")

    page.goto(f"/approvals/{question}/")
    page.locator("#reason").fill("Nobody can want this")
    page.get_by_role("button", name="Reject").click()

    expect(page.locator("#panel")).to_have_attribute("data-state", "rejected")
