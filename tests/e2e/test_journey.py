"""The main job, end to end: an agent proposes, policy holds, a person approves in the browser, a
worker calls the tool with a key, the run page shows the receipt, the outcome page counts it."""

from __future__ import annotations

import httpx
import pytest
from playwright.sync_api import expect

from apps.oversight.models import Approval
from apps.runs.models import Receipt, Run, Step
from tests.e2e.answering import approve_by_key
from tests.e2e.conftest import PageAs
from tests.engine.conftest import Tower
from tests.engine.conftest import service as service  # fixtures of their names
from tests.engine.conftest import tiny_pack as tiny_pack
from tests.engine.conftest import tower as tower
from tests.engine.shop import call

pytestmark = [pytest.mark.browser, pytest.mark.slow]

SCRIPT = [
    {"hear": "The mug broke, I want to send it back."},
    call("get_order_details", 0, order_id="#D"),
    {"say": "I will return the red mug of order #D to your card. Shall I (yes or no)?"},
    {"hear": "Yes please."},
    call(
        "return_delivered_order_items",
        1,
        order_id="#D",
        item_ids=["red"],
        payment_method_id="card",
    ),
    {"say": "Done."},
    {"done": "returned"},
]


def effects(tower: Tower, world: str) -> list[dict[str, str]]:
    """What the tool service says it did, asked over bare HTTP."""
    params = {"name": "tower_ledger", "arguments": {"world": world}}
    answer = httpx.post(
        tower.service.url,
        json={"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params},
        headers={"accept": "application/json, text/event-stream"},
    )
    return answer.json()["result"]["structuredContent"]["entries"]


def test_a_held_step_is_approved_in_the_browser_and_carried_out(
    page_as: PageAs, tower: Tower
) -> None:
    tower.spawn("sweep")
    tower.worker()
    operator = page_as("operator")
    operator.goto("/approvals/")
    expect(operator.locator("main")).to_contain_text("Nothing")

    [run_id] = tower.start([SCRIPT], request="The mug broke, I want to send it back.")
    tower.wait([run_id], states={"waiting_approval"})
    run = Run.objects.get()
    assert effects(tower, run.context["world"]) == []

    operator.goto("/approvals/")
    expect(operator.locator("#grid tbody tr").first).to_be_focused()
    operator.keyboard.press("Enter")
    expect(operator.locator("#panel")).to_contain_text("A return is looked at by a person")
    expect(operator.locator("#panel")).to_contain_text('"#D"')
    operator.keyboard.press("a")
    expect(operator.locator("#reason")).to_be_focused()
    approve_by_key(operator)
    expect(operator.locator("#panel")).to_contain_text("Approved by you")
    tower.wait([run_id])

    step = Step.objects.get(tool_name="return_delivered_order_items")
    [effect] = effects(tower, run.context["world"])
    assert effect["key"] == step.idempotency_key == Receipt.objects.get(step=step).idempotency_key
    assert Approval.objects.get().consumed_at is not None

    operator.goto(f"/runs/{run_id}/")
    expect(operator.locator("main")).to_contain_text("return_delivered_order_items")
    expect(operator.locator("main")).to_contain_text("The mug broke")

    manager = page_as("product_manager")
    manager.goto("/outcomes/")
    expect(manager.locator("main")).to_contain_text("retail-shop")


def test_the_run_page_follows_a_decision_without_a_reload(page_as: PageAs, tower: Tower) -> None:
    tower.spawn("sweep")
    tower.worker()
    [run_id] = tower.start([SCRIPT], request="The mug broke, I want to send it back.")
    tower.wait([run_id], states={"waiting_approval"})
    watcher = page_as("product_manager")
    watcher.goto(f"/runs/{run_id}/")
    expect(watcher.locator("main")).to_contain_text("Waiting for a person")

    operator = page_as("operator")
    operator.goto("/approvals/")
    expect(operator.locator("#grid tbody tr").first).to_be_focused()
    operator.keyboard.press("r")
    expect(operator.locator("#reason")).to_be_focused()
    operator.keyboard.type("The mug was not ours")
    operator.keyboard.press("Control+Enter")

    expect(watcher.locator("main")).not_to_contain_text("Waiting for a person", timeout=15_000)
    expect(watcher.locator("main")).to_contain_text("Rejected", timeout=15_000)
