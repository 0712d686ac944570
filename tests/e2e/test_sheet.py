"""The sheet of a question is whole on a laptop and on a phone: nobody scrolls to the arguments."""

from __future__ import annotations

import os
from typing import Any

import pytest
from django.utils import timezone
from playwright.sync_api import Page

from apps.accounts.models import User
from apps.oversight.models import Approval
from tests.e2e.conftest import PageAs
from tests.factories.accounts import UserFactory
from tests.factories.approvals import USUAL_LADDER, same_again

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


def asked(**changes: Any) -> Approval:
    return same_again(
        **{
            "sentence": "Move reservation Q69X3R of Aarav Garcia to business class and charge"
            " $1,240.00 to the credit card that ends in 4486",
            "arguments": ARGUMENTS,
            "votes_required": 2,
            "ladder": USUAL_LADDER,
            **changes,
        }
    )


@pytest.mark.parametrize(("width", "height"), [(1280, 720), (375, 700)])
@pytest.mark.parametrize("was_rejected", [False, True])
@pytest.mark.parametrize("risk", [2, 4])
def test_the_arguments_are_seen_without_scrolling(
    page_as: PageAs,
    site_people: dict[str, User],
    width: int,
    height: int,
    risk: int,
    was_rejected: bool,
) -> None:
    more: dict[str, Any] = {}
    UserFactory.create()  # what was rejected takes three
    if was_rejected:
        reason = "This trip is another customer's: " + "the name in the letter differs. " * 3
        by = {"decided_by": site_people["operator2"], "decided_at": timezone.now()}
        asked(state="rejected", reason=reason, **by)
        asked()
        more = {"sentence": "Cancel reservation Q69X3R of Aarav Garcia and refund $1,240.00"}
    approval = asked(risk=risk, **more)
    page: Page = page_as("operator")
    page.set_viewport_size({"width": width, "height": height})
    beside: dict[str, Any] = {1280: f"/approvals/?open={approval.pk}"}
    page.goto(beside.get(width, f"/approvals/{approval.pk}/"))
    page.wait_for_load_state("networkidle")
    if folder := os.environ.get("TOWER_SHOTS"):
        page.screenshot(path=f"{folder}/sheet-{width}-{risk}-{was_rejected}.png")

    assert page.evaluate(COVERED) == []
