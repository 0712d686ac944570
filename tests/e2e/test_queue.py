"""The filters of the queue act at once, by mouse and by keys, and nothing on the page contradicts
them."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.conftest import PageAs
from tests.factories.approvals import ApprovalFactory


def rows(page: Page) -> list[str]:
    return page.locator("#grid tbody .sentence").all_inner_texts()


@pytest.fixture
def queue(page_as: PageAs) -> Page:
    ApprovalFactory.create(sentence="small", risk=1, amount_cents=100)
    ApprovalFactory.create(sentence="grave", risk=4, amount_cents=None)
    ApprovalFactory.create(sentence="large", risk=2, amount_cents=-900_000)
    page = page_as("operator")
    page.goto("/approvals/")
    return page


def test_order_and_filters_apply_at_once_and_stay_in_the_address(queue: Page) -> None:
    queue.locator("select[name=sort]").select_option("amount")
    expect(queue.locator("#grid tbody .sentence").first).to_have_text("large")
    assert rows(queue) == ["large", "small", "grave"]

    queue.locator("select[name=risk]").select_option("2")
    expect(queue.locator("#counts")).to_contain_text("2 of 3 waiting")
    assert rows(queue) == ["large", "grave"]
    expect(queue).to_have_url(re.compile(r"sort=amount"))

    queue.reload()
    assert rows(queue) == ["large", "grave"]
    expect(queue.locator("select[name=sort]")).to_have_value("amount")

    queue.get_by_role("link", name="Clear").click()
    expect(queue.locator("#counts")).to_contain_text("3 waiting")


def test_search_by_keys_takes_several_words(queue: Page) -> None:
    queue.locator("#grid tbody tr").first.focus()
    queue.keyboard.press("/")
    queue.keyboard.type("large 9,000")
    queue.keyboard.press("Enter")

    expect(queue.locator("#counts")).to_contain_text("1 of 3 waiting")
    assert rows(queue) == ["large"]
    queue.go_back()
    expect(queue.locator("#counts")).to_contain_text("3 waiting")
