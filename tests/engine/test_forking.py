"""Branches of a run at a real tool service: whatever they do, its ledger shows one effect each."""

from __future__ import annotations

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

from django.db import connections

from apps.audit.domain.actors import Actor
from apps.audit.services import sweep
from apps.catalog.models import ContractVersion
from apps.oversight.models import Approval
from apps.runs.course import RunCache
from apps.runs.engine.commit import claim_and_commit
from apps.runs.models import Intent, Receipt, Run, RunScript, Step
from apps.runs.services import fork_run
from apps.runs.work import Action, Call
from tests.engine.conftest import ENDED, Tower
from tests.engine.model_server import serve
from tests.engine.shop import address, busy_script, call
from tests.engine.test_drain import RETURN, answer, drain, ledger
from tests.engine.test_model import HEAR, configure

TOOL = "modify_user_address"


def fork(run_id: UUID, after: int, version: int | None = None, **changes: Any) -> Run:
    values = {"actor": Actor.user("ada"), "reason": "to see what happens", **changes}
    return Run.objects.get(pk=fork_run(run_id, after, version, **values))


def steps(run: Run) -> list[Step]:
    return list(Step.objects.filter(run=run).order_by("seq"))


def done_run(tower: Tower, moves: int = 2) -> Run:
    [run_id] = tower.start([busy_script(moves)])
    drain()
    return Run.objects.get(pk=run_id)


def fork_that_moves_elsewhere(parent: Run, after: int, number: int) -> Run:
    """A branch that proposes another move than its parent did, as a live agent might."""
    script = RunScript.objects.get(run=parent)
    kept = script.items[: after + 1]  # the customer's words come first
    script.items = [*kept, call(TOOL, 9, **address(number)), {"done": "moved elsewhere"}]
    script.save()
    return fork(parent.id, after)


def test_a_branch_takes_its_past_over_and_does_nothing_of_it_again(tower: Tower) -> None:
    parent = done_run(tower)

    branch = fork(parent.id, 2)
    drain()

    mine, theirs = steps(branch), steps(parent)
    assert [s.disposition for s in mine] == ["inherited", "inherited", "executed", "inherited"]
    assert [s.inherited_from for s in mine] == [
        *(theirs[0].id, theirs[1].id, None, theirs[3].id)
    ]  # the third, a read, was made anew
    assert [s.result for s in mine if s.tool_name == TOOL] == [
        s.result for s in theirs if s.tool_name == TOOL
    ]
    assert sum(s.attempts.count() for s in mine) == 1
    assert {r.evidence for r in Receipt.objects.filter(run_id=branch.id)} == {
        "inherited",
        "answer",
    }
    assert mine[3].idempotency_key == theirs[3].idempotency_key
    branch.refresh_from_db()
    assert (branch.state, branch.outcome, branch.steps_total) == ("succeeded", "resolved", 4)
    assert len(ledger(tower, parent)) == 2


def test_a_branch_from_before_everything_inherits_what_the_parent_did(tower: Tower) -> None:
    parent = done_run(tower)
    first = fork(parent.id, 0)
    drain()

    second = fork(first.id, 2, label="a branch of a branch")
    drain()

    assert {r.state for r in Run.objects.all()} == {"succeeded"}
    assert {r.root_id for r in Run.objects.all()} == {parent.id}
    assert second.parent_id == first.id
    assert len(ledger(tower, parent)) == 2
    assert Intent.objects.count() == 2


def test_a_change_that_another_branch_is_making_is_waited_for(tower: Tower) -> None:
    fault = {"kind": "delay", "tool": TOOL, "count": 1, "seconds": 1.5}
    asyncio.run(tower.service.ask("tower_faults", faults=[fault]))
    [run_id] = tower.start([[call(TOOL, 0, **address(1)), {"done": "x"}]])
    parent = Run.objects.get(pk=run_id)
    branch = fork(run_id, 0)
    seen: list[str] = []

    with ThreadPoolExecutor(1) as thread:
        drained = thread.submit(_drain_to_the_end)
        while not drained.done():
            seen += Step.objects.exclude(waits_for="").values_list("waits_for", flat=True)
        drained.result()

    assert any("this very change" in words for words in seen)
    assert {r.state for r in Run.objects.all()} == {"succeeded"}
    assert sorted(Step.objects.values_list("disposition", flat=True)) == ["executed", "inherited"]
    assert {r.id for r in Run.objects.all()} == {parent.id, branch.id}
    assert len(ledger(tower, parent)) == 1


def _drain_to_the_end() -> None:
    try:
        drain(linger_s=4)
    finally:
        connections.close_all()


def claim_all_at_once(threads: int) -> list[Action]:
    """Claim everything that is due, one step at a time, in threads that start together."""
    barrier = threading.Barrier(threads)

    def claim(name: int) -> list[Action]:
        try:
            barrier.wait(30)
            found: list[Action] = []
            while True:
                due, actions = claim_and_commit(
                    RunCache(), "normal", limit=1, owner=str(name), lease_s=30
                )
                found += actions
                if not due:
                    return found
        finally:
            connections.close_all()

    with ThreadPoolExecutor(threads) as pool:
        return [a for actions in pool.map(claim, range(threads)) for a in actions]


def test_branches_that_race_for_one_change_cause_it_once(tower: Tower) -> None:
    """Each of four threads stands before the gate with its own branch at the same moment."""
    parents = tower.start([[call(TOOL, 0, **address(1)), {"done": "x"}]] * 5)
    for parent in parents:
        for _ in range(3):
            fork(parent, 0)

    calls = claim_all_at_once(4)

    assert len([a for a in calls if isinstance(a, Call)]) == len(parents)
    assert {a.work.idempotency_key for a in calls} == set(
        Intent.objects.values_list("key", flat=True)
    )
    assert Step.objects.filter(waits_for__contains="this very change").count() == 15


def test_of_branches_whose_changes_cross_one_is_made_and_the_others_are_asked_about(
    tower: Tower,
) -> None:
    parents = tower.start([[call(TOOL, 0, **address(1)), {"done": "x"}]] * 5)
    for parent in parents:
        for number in (7, 8):
            items = [call(TOOL, 0, **address(number)), {"done": "x"}]
            RunScript.objects.filter(run_id=parent).update(items=items)
            fork(parent, 0)

    calls = claim_all_at_once(3)
    # Some are put off for a moment, while another thread counts what their agent asks.
    while Step.objects.filter(state="queued").exists():
        time.sleep(0.1)
        calls += claim_all_at_once(1)

    assert len([a for a in calls if isinstance(a, Call)]) == len(parents)
    assert Intent.objects.count() == len(parents)
    asked = Approval.objects.filter(state="pending")
    assert {a.rules[0]["id"] for a in asked} == {"branch-conflict"}
    assert asked.count() == 2 * len(parents)


def test_real_workers_that_race_leave_one_effect(tower: Tower) -> None:
    [run_id] = tower.start([[call(TOOL, n, **address(n)) for n in range(3)] + [{"done": "x"}]])
    branches = [fork(run_id, 0) for _ in range(3)]
    tower.worker()
    tower.worker()

    tower.wait([run_id, *(b.id for b in branches)], states=ENDED, meanwhile=sweep)

    assert {r.state for r in Run.objects.all()} == {"succeeded"}
    assert len(ledger(tower, Run.objects.get(pk=run_id))) == 3
    assert Step.objects.filter(disposition="executed").count() == 3
    assert Step.objects.filter(disposition="inherited").count() == 9


def test_a_change_that_crosses_another_branchs_is_put_to_a_person(tower: Tower) -> None:
    parent = done_run(tower)
    branch = fork_that_moves_elsewhere(parent, 2, 7)

    drain()

    held = Approval.objects.get()
    rule = held.rules[0]
    assert (rule["id"], held.risk, held.roles) == ("branch-conflict", 3, ["operator"])
    assert "“1 Road” there, “7 Road” here" in rule["reason"]
    assert "step 4" in rule["reason"]
    assert Step.objects.get(run=branch, seq=3).gate == "hold"
    assert len(ledger(tower, parent)) == 2

    answer(held, approve=True)
    drain()

    branch.refresh_from_db()
    assert branch.state == "succeeded"
    assert len(ledger(tower, parent)) == 3
    assert Approval.objects.count() == 1


def test_a_conflict_that_a_person_rejects_leaves_things_as_they_are(tower: Tower) -> None:
    parent = done_run(tower)
    branch = fork_that_moves_elsewhere(parent, 2, 7)
    drain()

    answer(Approval.objects.get(), approve=False)
    drain()

    branch.refresh_from_db()
    assert steps(branch)[-1].disposition == "rejected"
    assert len(ledger(tower, parent)) == 2


def test_an_answer_to_a_conflict_does_not_cover_one_that_came_later(tower: Tower) -> None:
    parent = done_run(tower)
    first, second = (fork_that_moves_elsewhere(parent, 2, n) for n in (7, 8))
    drain()
    mine, other = (Approval.objects.get(run_id=run.id) for run in (first, second))

    answer(other, approve=True)
    drain()
    answer(mine, approve=True)
    drain()

    asked = Approval.objects.filter(run_id=first.id).order_by("created_at")
    assert [a.state for a in asked] == ["approved", "pending"]
    assert "“8 Road” there, “7 Road” here" in asked[1].rules[0]["reason"]
    assert len(ledger(tower, parent)) == 3


def test_what_a_branch_failed_to_do_another_one_may(tower: Tower) -> None:
    fault = {"kind": "rate_limit", "tool": TOOL, "count": 4, "retry_after": "0"}
    asyncio.run(tower.service.ask("tower_faults", faults=[fault]))
    [run_id] = tower.start([[call(TOOL, 0, **address(1)), {"done": "x"}]])
    drain(linger_s=2)
    parent = Run.objects.get(pk=run_id)
    assert (parent.state, len(ledger(tower, parent))) == ("failed", 0)

    branch = fork(run_id, 0)
    drain()

    assert [s.disposition for s in steps(branch)] == ["executed"]
    assert len(ledger(tower, parent)) == 1
    assert Intent.objects.get().step.run_id == branch.id


def test_a_branch_runs_under_the_contract_version_that_was_chosen(tower: Tower) -> None:
    parent = done_run(tower)
    old = parent.contract_version
    document = old.document | {"limits": {**old.document["limits"], "steps": 3}}
    new = ContractVersion.objects.create(
        job=old.job, number=2, text="", document=document, resolved=old.resolved, digest="n" * 64
    )

    branch = fork(parent.id, 2, new.pk)
    drain()

    branch.refresh_from_db()
    assert (branch.contract_number, branch.contract_version_id) == (2, new.pk)
    assert (branch.state, branch.error_class) == ("failed", "step_limit")
    assert branch.steps_total == 3
    parent.refresh_from_db()
    assert parent.contract_number == 1


def test_a_branch_asks_again_what_the_parent_was_asked(tower: Tower) -> None:
    """An approval serves the run it was given in, once; what one branch then did, the other one
    inherits although it was allowed to do it."""
    returned = call("return_delivered_order_items", 1, **RETURN)
    tower.start([[call("get_user_details", 0, user_id="ada_byron_1"), returned, {"done": "x"}]])
    drain()
    parent = Run.objects.get()
    assert parent.state == "waiting_approval"

    branch = fork(parent.id, 1)
    drain()

    branch.refresh_from_db()
    assert branch.state == "waiting_approval"
    for approval in Approval.objects.all():
        answer(approval, approve=True)
    drain(linger_s=3)
    assert set(Run.objects.values_list("outcome", flat=True)) == {"not_resolved"}
    assert sorted(
        Step.objects.filter(tool_name=returned["call"]["tool"]).values_list(
            "disposition", flat=True
        )
    ) == ["executed", "inherited"]
    assert len(ledger(tower, parent)) == 1


def test_a_live_model_is_asked_anew_with_what_the_branch_took_over(
    tower: Tower, settings: Any
) -> None:
    look = ("get_user_details", {"user_id": "ada_byron_1"})
    with serve([[look], "I will not.", [(TOOL, address(5))], "Done."]) as model:
        configure(settings, model.url)
        [run_id] = tower.start([HEAR], agent_kind="model")
        drain()
        branch = fork(run_id, 2)
        drain()

    parent = Run.objects.get(pk=run_id)
    branch.refresh_from_db()
    assert (parent.outcome, branch.outcome) == ("not_resolved", "resolved")
    asked = model.asked[2]["messages"]
    assert [m["role"] for m in asked][-2:] == ["assistant", "tool"]
    assert "I will not." not in str(asked)
    assert [s.disposition for s in steps(branch)] == [
        *("inherited", "inherited", "executed", "executed", "executed")
    ]
    assert len(ledger(tower, parent)) == 1
