"""A held call is edited on the page, by keys and on a phone."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from apps.accounts.models import User
from apps.oversight.models import Approval, Edit
from apps.runs.models import Step
from tests.e2e.conftest import DESK, PHONE, PageAs
from tests.factories.approvals import ApprovalFactory
from tests.ops.test_editing import held_refund

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def shot(page: Page, name: str) -> None:
    if folder := os.environ.get("TOWER_SHOTS"):
        page.screenshot(path=f"{folder}/edit-{name}.png", full_page=True)


def asked_anew(old: Approval) -> Approval:
    """As the gate asks once a worker has taken the step up."""
    step = Step.objects.get()
    return ApprovalFactory.create(
        run_id=old.run_id,
        step_id=old.step_id,
        tool_name="refund",
        arguments=step.arguments,
        rules=[{"id": "edited", "reason": "it was edited", "observed": [], "roles": ["operator"]}],
    )


@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
def test_a_call_is_edited_by_keys_and_what_is_asked_then_comes_by_itself(
    page_as: PageAs,
    site_people: dict[str, User],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    size: Any,
) -> None:
    approval = held_refund(tmp_path, monkeypatch)
    page = page_as("operator")
    page.set_viewport_size(size)
    page.goto(f"/approvals/{approval.pk}/")
    page.wait_for_load_state("networkidle")
    shot(page, f"sheet-{size['width']}")

    page.keyboard.press("e")
    cents = page.get_by_label("cents", exact=True)
    expect(cents).to_have_value("9007199254740993")
    cents.fill("12,50")
    page.get_by_label("Why you change it").fill("half of it was used")
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Ask anew with these arguments")).to_be_focused()
    page.keyboard.press("Enter")

    error = page.get_by_role("alert")
    expect(error).to_contain_text("cents: it is no number")
    expect(cents).to_have_value("12,50")
    expect(page.get_by_label("Why you change it")).to_have_value("half of it was used")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    shot(page, f"error-{size['width']}")

    cents.fill("9007199254740995")
    page.get_by_role("button", name="Ask anew with these arguments").press("Enter")
    expect(page.locator("#edited")).to_contain_text("half of it was used")
    expect(page.get_by_text("are asked about the edited call")).to_be_visible()
    assert Edit.objects.get().after["cents"] == 9007199254740995
    shot(page, f"waits-{size['width']}")

    again = asked_anew(approval)
    page.wait_for_url(f"**/approvals/{again.pk}/")
    expect(page.locator("#edits")).to_contain_text("9007199254740993")
    expect(page.locator("#edits")).to_contain_text("9007199254740995")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    shot(page, f"again-{size['width']}")
