"""Hidden values in a browser: one is shown by keyboard, for a reason, and is gone afterwards."""

from __future__ import annotations

import os
from collections.abc import Callable
from uuid import UUID, uuid4

import pytest
from django.db import transaction
from playwright.sync_api import Page, expect

from apps.audit.models import Event
from apps.redaction import services
from tests.e2e.conftest import PageAs

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
Check = Callable[[Page], None]
SECRET = "1969-07-20T20:17, a long value that has to be broken somewhere on a phone"


def hidden_run() -> UUID:
    root = uuid4()
    hidden = services.opened({root: ["dob", "email"]})[root]
    hidden.learn([{"dob": SECRET, "email": f"ada{n}@example.org"} for n in range(3)])
    with transaction.atomic():
        services.keep([hidden])
    return root


def test_a_value_is_shown_by_keyboard_and_gone_when_the_page_is_read_again(
    page_as: PageAs,
) -> None:
    root = hidden_run()
    page = page_as("auditor")
    page.goto(f"/hidden/{root}/")
    reason = page.get_by_label("Why you need to see ⟦dob:")
    reason.focus()
    page.keyboard.type("short")
    page.keyboard.press("Enter")
    expect(page.locator("#shown")).to_have_count(0)  # the browser asks for more words
    page.keyboard.type(" of facts about this passenger")
    page.keyboard.press("Enter")

    expect(page.locator("#shown")).to_contain_text(SECRET)
    assert Event.objects.get(kind="value.shown").payload["reason"].endswith("this passenger")

    page.goto(f"/hidden/{root}/")
    expect(page.locator("#hidden-values")).to_be_visible()
    expect(page.locator("body")).not_to_contain_text(SECRET)


@pytest.mark.parametrize("phone", [False, True])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_everybody_who_may_can_read_it(
    page_as: PageAs, no_serious_violations: Check, phone: bool, theme: str
) -> None:
    root = hidden_run()
    page = page_as("admin", phone=phone, theme=theme)
    page.goto(f"/hidden/{root}/")
    page.get_by_label("Why you need to see ⟦dob:").fill("A picture of this page")
    page.keyboard.press("Enter")
    expect(page.locator("#shown")).to_be_visible()

    no_serious_violations(page)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    if folder := os.environ.get("TOWER_SHOTS"):
        page.screenshot(path=f"{folder}/hidden-{theme}-{phone}.png", full_page=True)
