"""The sheet of a question is whole on a laptop and on a phone: nobody scrolls to the arguments."""

from __future__ import annotations

import os
from typing import Any

import pytest
from playwright.sync_api import Page

from apps.accounts.models import User
from tests.e2e.conftest import PageAs
from tests.factories.approvals import USUAL_LADDER, ApprovalFactory

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
ARGUMENTS = {
    "reservation_id": "Q69X3R",
    "cabin": "business",
    "flights": [{"number": "HAT136", "date": "2024-05-21"}],
    "payment_id": "credit_card_4421486",
}
# Each argument's name, and what stands where its middle is, if that is something else.
COVERED = """() => [...document.querySelectorAll('#panel [data-value]')].flatMap((row) => {
  const box = row.getBoundingClientRect(), y = (box.top + box.bottom) / 2;
  const there = document.elementFromPoint(box.left + box.width / 2, y);
  const seen = box.top >= 0 && box.bottom <= innerHeight && there && row.contains(there);
  return seen ? [] : [`${row.cells[0].textContent} ${box.top} to ${box.bottom}`];
})"""


@pytest.mark.parametrize(("width", "height"), [(1280, 720), (375, 700)])
@pytest.mark.parametrize("risk", [2, 4])
def test_the_arguments_are_seen_without_scrolling(
    page_as: PageAs, site_people: dict[str, User], width: int, height: int, risk: int
) -> None:
    approval = ApprovalFactory.create(
        sentence="Move reservation Q69X3R of Aarav Garcia to business class and charge $1,240.00"
        " to the credit card that ends in 4486",
        arguments=ARGUMENTS,
        risk=risk,
        votes_required=2,
        ladder=USUAL_LADDER,
    )
    page: Page = page_as("operator")
    page.set_viewport_size({"width": width, "height": height})
    beside: dict[str, Any] = {1280: f"/approvals/?open={approval.pk}"}
    page.goto(beside.get(width, f"/approvals/{approval.pk}/"))
    page.wait_for_load_state("networkidle")
    if folder := os.environ.get("TOWER_SHOTS"):
        page.screenshot(path=f"{folder}/sheet-{width}-{risk}.png")

    assert page.evaluate(COVERED) == []
