"""A model from nothing, in the browser: begun, reviewed, published by a second admin, and shown."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from apps.catalog.models import LanguageModelVersion
from tests.factories.catalog import apply_toys

PageAs = Callable[..., Page]
pytestmark = pytest.mark.browser
DRAFT = "/catalog/models/careful/draft/"


def begin(page: Page) -> None:
    page.goto("/catalog/models/")
    page.get_by_role("link", name="New model").click()
    page.get_by_label("Domain").select_option("toys")
    page.get_by_label("Slug").fill("careful")
    page.get_by_label("Name", exact=True).fill("Careful")
    page.get_by_label("Address").fill("http://127.0.0.1:9/v1")
    page.get_by_label("Model", exact=True).fill("m-1")
    page.get_by_label("Variable that holds its key").fill("TOWER_MODEL_KEY_CAREFUL")
    page.get_by_role("button", name="Begin").click()
    expect(page.locator("h1")).to_contain_text("first version")
    expect(page.locator("#findings")).to_contain_text("TOWER_MODEL_KEY_CAREFUL, which is not set")


@pytest.mark.parametrize("phone", [False, True])
def test_a_model_from_nothing(
    live_site: str,
    tmp_path: Path,
    page_as: PageAs,
    no_serious_violations: Callable[[Page], None],
    phone: bool,
) -> None:
    apply_toys(tmp_path)
    first, second = page_as("admin", phone=phone), page_as("admin2", phone=phone)
    for page in (first, second):
        page.set_default_timeout(30_000)  # the first request of a site imports everything
    first.goto("/catalog/new/model/")
    no_serious_violations(first)

    begin(first)
    no_serious_violations(first)
    first.get_by_placeholder("Note for the reviewer").fill("a beginning")
    first.get_by_role("button", name="Submit for review").click()
    expect(first.locator("#review-title")).to_have_text("In review")
    second.goto(DRAFT)
    second.get_by_label("Why this is right").fill("read and agreed")
    second.get_by_role("button", name="Publish as v1").click()

    expect(second.locator("h1")).to_have_text("Careful")
    expect(second.locator("main")).to_contain_text("can\u2019t be asked")
    expect(second.locator("main")).to_contain_text("None of the last 500 turns")
    no_serious_violations(second)
    second.goto("/catalog/models/")
    expect(second.locator("table")).to_contain_text("Careful")
    no_serious_violations(second)
    assert LanguageModelVersion.objects.get().document["key"] == {"env": "TOWER_MODEL_KEY_CAREFUL"}
