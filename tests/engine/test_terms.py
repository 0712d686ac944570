"""A contract's terms hold: each is changed, and what happens changes with it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from ruamel.yaml import YAML
from ruamel.yaml.scalarstring import LiteralScalarString

from apps.oversight import services
from apps.oversight.models import Approval
from apps.runs.models import Attempt, Run, Step
from apps.workers import recovery
from tests.engine.conftest import Tower, _apply
from tests.engine.model_server import serve
from tests.engine.shop import CONTRACT, POLICY, address, call
from tests.engine.test_drain import answer, drain, held, ledger
from tests.engine.test_model import configure
from tests.factories.accounts import UserFactory
from tests.factories.approvals import has_read

MOVE, CANCEL = "modify_user_address", "cancel_pending_order"
DONE = {"done": "x"}


def agreed(tower: Tower, *, tool: dict[str, Any] | None = None, **changes: Any) -> None:
    """Publish the shop's contract with these changes; ``tool`` changes every tool's terms."""
    document = deepcopy(CONTRACT)
    for key, value in changes.items():
        document[key] = {**document[key], **value} if isinstance(value, dict) else value
    for entry in document["tools"]:
        entry |= deepcopy(tool or {})
    pack = tower.folder / "retail"
    YAML().dump(document, pack / "jobs" / "shop.yaml")
    with ThreadPoolExecutor(1) as thread:
        thread.submit(_apply, pack).result()


@pytest.fixture
def faults(tower: Tower) -> Iterator[Any]:
    def commit(*wanted: dict[str, Any]) -> None:
        asyncio.run(tower.service.ask("tower_faults", faults=list(wanted)))

    yield commit
    commit()


def move(n: int) -> dict[str, Any]:
    return call(MOVE, n, **address(n))


def approve(asked: Approval) -> None:
    """Another operator says yes."""
    answer(asked, approve=True)


def test_a_held_step_waits_for_as_many_people_as_the_contract_wants(tower: Tower) -> None:
    agreed(tower, decisions={"votes": 2})
    asked = held(tower)
    assert asked.votes_required == 2

    approve(asked)
    drain()
    asked.refresh_from_db()
    assert (asked.state, Step.objects.get().state) == ("pending", "waiting_approval")
    assert ledger(tower, Run.objects.get()) == []

    approve(asked)
    drain()
    assert Step.objects.get().disposition == "executed"
    assert len(ledger(tower, Run.objects.get())) == 1


def test_the_larger_number_of_votes_of_policy_and_contract_counts(tower: Tower) -> None:
    text = POLICY.replace('@votes("1")', '@votes("3")')
    path = tower.folder / "retail" / "policies" / "retail.yaml"
    document = YAML().load(path)
    YAML().dump({**document, "policies": LiteralScalarString(text)}, path)
    agreed(tower, decisions={"votes": 2})

    assert held(tower).votes_required == 3


def test_an_approval_is_bound_to_what_tool_servers_are_told_of_the_run(tower: Tower) -> None:
    asked = held(tower)

    assert asked.binding["context"] == Run.objects.get(pk=asked.run_id).context != {}


def test_an_approval_for_fewer_votes_serves_nothing_once_more_are_wanted(tower: Tower) -> None:
    """Whoever lowers the number in the row gains nothing: it is compared with what is wanted now,
    and the digest holds what was asked."""
    agreed(tower, decisions={"votes": 2})
    asked = held(tower)
    assert asked.binding["votes"] == 2
    Approval.objects.update(votes_required=1)
    approve(asked)
    asked.refresh_from_db()
    assert asked.state == "approved"

    drain()

    assert ledger(tower, Run.objects.get()) == []
    assert Step.objects.get().disposition != "executed"


def test_a_run_makes_no_more_steps_than_the_contract_allows(tower: Tower) -> None:
    agreed(tower, limits={"steps": 2})
    tower.start([[move(1), move(2), move(3), DONE]])

    drain()

    run = Run.objects.get()
    assert (run.state, run.error_class, run.steps_total) == ("failed", "step_limit", 2)
    assert len(ledger(tower, run)) == 2


@pytest.mark.parametrize(
    ("spent", "ending"), [(499_999, ("succeeded", "")), (500_000, ("failed", "cost_limit"))]
)
def test_a_run_costs_no_more_than_the_contract_allows(
    tower: Tower, settings: Any, spent: int, ending: tuple[str, str]
) -> None:
    agreed(tower, limits={"cost_usd": 0.5})
    with serve([[(MOVE, address(1))], [(MOVE, address(2))]]) as model:
        configure(settings, model.url)
        tower.start([[{"hear": "Move me."}]], agent_kind="model")
        Run.objects.update(cost_microusd=spent)
        drain(linger_s=1)

    run = Run.objects.get()
    assert (run.state, run.error_class) == ending


def test_a_run_ends_at_the_contracts_deadline(tower: Tower) -> None:
    agreed(tower, limits={"deadline_s": 77})
    [run_id] = tower.start([[move(1), DONE]])
    run = Run.objects.get(pk=run_id)
    assert run.deadline_at - run.created_at == pytest.approx(
        timedelta(seconds=77), abs=timedelta(seconds=1)
    )

    Run.objects.update(deadline_at=timezone.now() - timedelta(seconds=1))
    assert recovery.end_overdue_runs() == 1
    run.refresh_from_db()
    assert (run.state, run.outcome) == ("failed", "timed_out")


def test_a_call_takes_no_longer_than_the_contract_allows(tower: Tower, faults: Any) -> None:
    agreed(tower, tool={"timeout_s": 0.4, "retry": {"attempts": 1}})
    faults({"kind": "delay", "tool": "get_user_details", "seconds": 30})
    tower.start([[call("get_user_details", 0, user_id="ada_byron_1"), DONE]])

    begun = time.monotonic()
    drain()

    assert time.monotonic() - begun < 15
    step = Step.objects.get()
    assert (step.disposition, "0.4 s" in step.error) == ("failed", True)


@pytest.mark.parametrize("attempts", [1, 3])
def test_a_call_is_tried_as_often_as_the_contract_allows(
    tower: Tower, faults: Any, attempts: int
) -> None:
    agreed(tower, tool={"retry": {"attempts": attempts, "base_s": 0.01, "cap_s": 0.02}})
    faults({"kind": "error_before", "tool": "get_user_details", "status": 503})
    tower.start([[call("get_user_details", 0, user_id="ada_byron_1"), DONE]])

    drain(linger_s=1)

    assert Attempt.objects.count() == attempts


@pytest.mark.parametrize("places", [1, 8])
def test_no_more_calls_are_made_at_once_than_the_contract_allows(
    tower: Tower, faults: Any, places: int
) -> None:
    agreed(tower, tool={"concurrency": places})
    faults({"kind": "delay", "tool": "get_user_details", "seconds": 0.3})
    tower.start([[call("get_user_details", 0, user_id="ada_byron_1"), DONE]] * 8)

    begun = time.monotonic()
    drain()
    took = time.monotonic() - begun

    assert (
        Run.objects.filter(state="succeeded").count() + Run.objects.filter(state="failed").count()
        == 8
    )
    assert Step.objects.filter(disposition="executed").count() == 8
    if places == 1:
        assert took > 8 * 0.3, "one after the other"


@pytest.mark.parametrize("is_repeatable", [False, True])
def test_the_same_change_is_made_again_only_where_the_contract_says_so(
    tower: Tower, is_repeatable: bool
) -> None:
    agreed(tower, tool={"repeatable": is_repeatable})
    tower.start([[move(1), move(1), DONE]])

    drain()

    assert len(ledger(tower, Run.objects.get())) == (2 if is_repeatable else 1)


@pytest.mark.unkeyed
@pytest.mark.parametrize(
    ("errors", "disposition"), [("refused", "refused_by_tool"), ("unknown", "unknown")]
)
def test_an_error_means_what_the_contract_says(tower: Tower, errors: str, disposition: str) -> None:
    agreed(tower, tool={"errors": errors})
    tower.start([[call(CANCEL, 0, order_id="#D", reason="no longer needed"), DONE]])

    drain()

    assert Step.objects.get().disposition == disposition


def test_the_policy_that_the_contract_names_judges(tower: Tower) -> None:
    pack = tower.folder / "retail"
    document = YAML().load(pack / "policies" / "retail.yaml")
    strict = POLICY.replace("return_delivered_order_items", MOVE)
    YAML().dump(
        {**document, "policy": "strict", "policies": LiteralScalarString(strict)},
        pack / "policies" / "strict.yaml",
    )
    entry = YAML().load(pack / "pack.yaml")
    entry["policies"].append("policies/strict.yaml")
    YAML().dump(entry, pack / "pack.yaml")
    agreed(tower, decisions={"policy": "strict"})
    tower.start([[move(1), DONE]])

    drain()

    assert Approval.objects.get().tool_name == MOVE


def test_a_question_is_open_as_long_as_the_contract_says(tower: Tower) -> None:
    agreed(tower, decisions={"window_s": 321})
    asked = held(tower)
    assert asked.expires_at - asked.created_at == timedelta(seconds=321)


def test_an_approval_waits_as_long_as_the_contract_lets_it_be_undone(tower: Tower) -> None:
    agreed(tower, decisions={"undo_s": 1})
    asked = held(tower)
    user = UserFactory.create(role="operator")
    has_read(asked, user)
    given = {"approve": True, "reason": "Looked at it", "digest": asked.digest, "nonce": "n" * 9}

    services.decide(approval_id=asked.pk, user=user, page=services.PageAnswer(), **given)
    drain()
    assert services.release_due() == 0
    assert Step.objects.get(pk=asked.step_id).state == "waiting_approval"
    time.sleep(1.05)
    assert services.release_due() == 1
    drain()

    assert Step.objects.get(pk=asked.step_id).disposition == "executed"
    used = Approval.objects.get(pk=asked.pk)
    assert used.consumed_at is not None
    assert used.not_before is not None
    assert used.consumed_at >= used.not_before


def test_the_reasons_of_the_contract_are_offered(tower: Tower) -> None:
    offered = {"approve_reasons": ["The goods came back"], "reject_reasons": ["Never delivered"]}
    agreed(tower, decisions=offered)
    asked = held(tower)
    assert asked.reasons_for("approve") == ("The goods came back",)
    assert asked.reasons_for("reject") == ("Never delivered",)


def test_a_run_is_worked_on_in_the_lane_and_order_of_its_contract(tower: Tower) -> None:
    tower.start([[move(1), DONE]])
    agreed(tower, priority=7, lane="urgent")
    tower.start([[move(2), DONE]])
    agreed(tower, priority=3)
    tower.start([[move(3), DONE]])

    assert set(Step.objects.values_list("lane", "priority")) == {
        ("normal", 50),
        ("urgent", 7),
        ("normal", 3),
    }
    drain(in_flight=1)
    order = Attempt.objects.order_by("started_at").values_list("step__priority", flat=True)
    assert list(order) == [3, 50], "of its lane, the lowest number comes first"
    drain(lane="urgent")
    assert Step.objects.get(lane="urgent").disposition == "executed"


def slowly() -> str:
    time.sleep(4)
    return "Too late."


def test_an_agents_turn_takes_no_longer_than_the_contract_allows(
    tower: Tower, settings: Any
) -> None:
    agreed(tower, agent={"timeout_s": 1}, tool={"retry": {"attempts": 1}})
    with serve([slowly]) as model:
        configure(settings, model.url)
        tower.start([[{"hear": "Move me."}]], agent_kind="model")
        begun = time.monotonic()
        drain(seconds=5)
        took = time.monotonic() - begun

    assert took < 15
    assert not Step.objects.filter(disposition="executed").exists()
    assert "1" in Attempt.objects.order_by("started_at").first().error
