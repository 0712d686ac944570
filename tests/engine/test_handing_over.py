"""A case that an agent gives to a person, by a tool that the contract names for it."""

from __future__ import annotations

from typing import Any

import pytest

from apps.audit.models import Event
from apps.runs.models import Run, Step
from tests.engine import shop
from tests.engine.conftest import Tower
from tests.engine.shop import address, call
from tests.engine.test_drain import drain

HANDS_OVER = "cancel_pending_order"
TAKEN = {"order_id": "#P", "reason": "no longer needed"}
GONE = {**TAKEN, "order_id": "#D"}  # delivered: the shop refuses


@pytest.fixture(autouse=True)
def shop_that_hands_over(monkeypatch: pytest.MonkeyPatch) -> None:
    outcome: dict[str, Any] = {"success": "resolved", "target": 0.9}
    wanted = {"when_any_of": ["modify_user_address"], "hand_over": [HANDS_OVER]}
    monkeypatch.setitem(shop.CONTRACT, "outcome", {**outcome, **wanted})


def ended(tower: Tower, *calls: dict[str, Any]) -> Run:
    tower.start([[*calls, {"done": "You were refunded $90."}]])
    drain()
    return Run.objects.get()


def test_a_run_that_hands_over_neither_fails_nor_resolves(tower: Tower) -> None:
    run = ended(tower, call(HANDS_OVER, 0, **TAKEN))

    assert Step.objects.get().disposition == "executed"
    assert (run.state, run.outcome, run.error_class) == ("succeeded", "handed_over", "")
    assert run.summary == (
        "Handed over to a person by cancel_pending_order. Nothing else was changed."
        " The agent's own words, unconfirmed: “You were refunded $90.”"
    )
    assert Event.objects.get(kind="run.succeeded").payload["outcome"] == "handed_over"


def test_a_hand_over_that_the_tool_refused_is_none(tower: Tower) -> None:
    run = ended(tower, call(HANDS_OVER, 0, **GONE))

    assert (run.state, run.outcome) == ("failed", "tool_refused")


def test_what_the_job_is_for_counts_before_a_hand_over(tower: Tower) -> None:
    moved = call("modify_user_address", 1, **address(1))

    run = ended(tower, call(HANDS_OVER, 0, **TAKEN), moved)

    assert (run.state, run.outcome) == ("succeeded", "resolved")
