"""A plan whose first change makes a later one impossible, against a real tool service."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from typing import Any

import pytest
from ruamel.yaml import YAML

from apps.calls.domain import plan
from apps.oversight.models import Approval
from apps.runs.models import Step
from tests.engine.conftest import Tower, _apply
from tests.engine.shop import CONTRACT, TOOLS, address, call
from tests.engine.test_drain import answer, drain

CANCEL, MOVE = "cancel_pending_order", "modify_pending_order_address"
GONE = "Non-pending order cannot be modified"
DONE = {"done": "x"}


def cancel(order: str = "#P", reason: str = "no longer needed") -> dict[str, Any]:
    return call(CANCEL, 0, order_id=order, reason=reason)


def move(order: str = "#P") -> dict[str, Any]:
    to = {k: v for k, v in address(3).items() if k != "user_id"}
    return call(MOVE, 1, order_id=order, **to)


@pytest.fixture
def shop(tower: Tower) -> Tower:
    """The shop, whose dry run looks ahead."""
    yaml = YAML()
    pack = tower.folder / "retail" / "pack.yaml"
    document = yaml.load(pack)
    cancels = next(t for t in document["tools"] if t["name"] == CANCEL)
    document["tools"].append({**cancels, "name": MOVE, "sentence": "Send order {order_id} away"})
    for tool in document["tools"]:
        if tool["effect"] != "read":
            tool |= {"preview": "tower_preview", "preview_then": True}
    yaml.dump(document, pack)
    terms = [{**deepcopy(CONTRACT["tools"][0]), "name": n} for n in (*TOOLS, MOVE)]
    yaml.dump({**CONTRACT, "tools": terms}, pack.parent / "jobs" / "shop.yaml")
    with ThreadPoolExecutor(1) as thread:
        thread.submit(_apply, pack.parent).result()
    return tower


def ends() -> list[tuple[str, str]]:
    return list(Step.objects.order_by("seq").values_list("tool_name", "disposition"))


def test_a_change_that_makes_a_later_one_impossible_is_held_and_says_so(shop: Tower) -> None:
    shop.start([[{"hear": "Both, please."}, cancel(), {"say": "Done."}, move(), DONE]])

    drain()

    held = Approval.objects.get()
    assert held.tool_name == CANCEL
    [rule] = [r for r in held.rules if r["id"] == plan.RULE]
    assert f"“Send order #P away” would then be refused ({GONE})" in rule["reason"]
    assert "could not be found out" not in rule["reason"]
    assert Step.objects.get(seq=1).preview["plan"]["looked_at"] == 1

    answer(held, approve=True)
    drain()

    assert ends() == [(CANCEL, "executed"), (MOVE, "refused_by_tool")]
    assert Approval.objects.count() == 1


@pytest.mark.parametrize(
    "script",
    [
        [move(), cancel(), DONE],  # in this order both are possible
        [cancel(), move("#G"), DONE],  # another order
        [cancel(), cancel(), DONE],  # the same call again is not made again
        [cancel(), move("#D"), DONE],  # refused in any case
        [cancel(), call("get_order_details", 2, order_id="#P"), DONE],
        [cancel(), call("calculate", 2, expression="1+1"), DONE],  # not in the contract
        [cancel(), DONE, move()],  # never comes
    ],
)
def test_a_change_that_stands_in_no_later_ones_way_is_not_held(
    shop: Tower, script: list[dict[str, Any]]
) -> None:
    shop.start([script])

    drain()

    assert not Approval.objects.exists()
    assert ends()[0][1] == "executed"


def test_the_customers_next_words_end_the_plan_of_a_recording_only(shop: Tower) -> None:
    later = {"hear": "Now send it elsewhere."}
    shop.start([[cancel(), later, move(), DONE]], source="replay")
    shop.start([[cancel("#G"), later, move("#G"), DONE]])

    drain()

    assert Approval.objects.get().arguments["order_id"] == "#G"


def test_three_changes_of_which_the_second_stands_in_the_thirds_way(shop: Tower) -> None:
    first = call("modify_user_address", 0, **address(1))
    shop.start([[first, cancel(), move(), DONE]])

    drain()

    assert ends() == [("modify_user_address", "executed"), (CANCEL, "")]
    assert plan.RULE in [r["id"] for r in Approval.objects.get().rules]


def test_a_dry_run_that_cannot_look_ahead_still_tells_of_the_change(shop: Tower) -> None:
    """The first request fails, the plain one is answered: nothing is held for it, it is noted."""
    fault = {"kind": "error_before", "tool": "tower_preview", "status": 500, "count": 1}
    asyncio.run(shop.service.ask("tower_faults", faults=[fault]))
    shop.start([[cancel(), move("#G"), DONE]])
    try:
        drain()
    finally:
        asyncio.run(shop.service.ask("tower_faults", faults=[]))

    assert not Approval.objects.exists()
    [note] = Step.objects.get(seq=1).preview["notes"]
    assert note.startswith("Whether later changes of the plan would still be possible is not known")
