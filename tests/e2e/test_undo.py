"""An operator undoes a run in the browser, down to the effect whose undoing fails."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from apps.runs.models import Run
from tests.e2e.conftest import PageAs
from tests.factories.runs import StepFactory
from tests.runs.conftest import make_scene as make_scene  # a fixture of its name
from tests.runs.conftest import scene as scene  # a fixture of its name
from tests.runs.test_undoing import fail, refunded, succeed

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
Check = Callable[[Page], None]


@pytest.mark.parametrize(("phone", "theme"), [(False, "light"), (True, "dark")])
def test_an_operator_undoes_a_run(
    scene: Any, page_as: PageAs, no_serious_violations: Check, phone: bool, theme: str
) -> None:
    run = refunded(scene, 2)
    StepFactory.create(run=run, seq=3, done=True, tool_name="post", effect="irreversible")
    page = page_as("operator", phone=phone, theme=theme)
    page.set_default_timeout(60_000)

    page.goto(f"/runs/{run.id}/")
    page.get_by_role("link", name="Undo what was done").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_contain_text("Charge #2 again")
    expect(page.get_by_role("dialog")).to_contain_text("The contract names nothing")
    no_serious_violations(page)
    page.get_by_label("Why for the audit log").fill("Wrong customer")
    page.get_by_role("button", name="Undo 2 effects").click()
    expect(page.get_by_role("heading", name="Undoing what it did")).to_be_visible()

    fail(run)
    page.reload()
    page.get_by_role("link", name="Decide what becomes of it").click()
    expect(page.get_by_role("heading", name="What becomes of it?")).to_be_visible()
    no_serious_violations(page)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.get_by_label("What has changed").fill("The order is open again")
    page.get_by_role("button", name="Try it again").click()
    expect(page.get_by_role("heading", name="Undoing what it did")).to_be_visible()

    succeed(run)
    succeed(run)
    page.goto(f"/runs/{run.id}/?tab=steps&step=2")
    expect(page.get_by_role("heading", name="What it did was undone")).to_be_visible()
    expect(page.locator("#drawer")).to_contain_text("Undone by")
    assert Run.objects.get().outcome == "partly_compensated"
