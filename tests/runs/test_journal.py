"""The multi-row statements, against the real database."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest

from apps.kernel.ids import new_id
from apps.runs import journal
from apps.runs.domain.rows import (
    AskedStep,
    EndedAttempt,
    LongerScript,
    MovedRun,
    NewAttempt,
    NewIntent,
    NewMessage,
    NewReceipt,
    NewStep,
    Retry,
)
from apps.runs.domain.suspicion import ALONE, FEW, MANY, MOST_LOSSES, ClaimGroup
from apps.runs.journal import claiming, lost
from apps.runs.models import Attempt, Intent, Message, Receipt, Run, RunScript, Step
from apps.runs.work import Claimed, Settled
from tests.runs.conftest import Scene

pytestmark = pytest.mark.django_db


def step_row(run: Run, seq: int = 1, **changes: Any) -> NewStep:
    row = NewStep(
        id=new_id(),
        run_id=run.id,
        seq=seq,
        after_message=0,
        kind="tool",
        tool_version_id=None,
        tool_name="refund",
        effect="irreversible",
        idempotency="keyed",
        arguments={"order": "#1\u0000"},
        arguments_digest="x",
        idempotency_key="k",
        ref="0",
        lane="normal",
        priority=50,
    )
    return replace(row, **changes)


def claim(*, limit: int, owner: str, lease_s: float, group: ClaimGroup = MANY) -> list[Claimed]:
    due = claiming.due("normal", limit=limit, engine_version=1, group=group)
    return claiming.lease(due, owner=owner, lease_s=lease_s)


def claim_one() -> Claimed:
    [work] = claim(limit=10, owner="w1", lease_s=30)
    return work


def settled(work: Claimed, **changes: Any) -> Settled:
    row = Settled(work, "executed", "succeeded", {"content": "ok"})
    return replace(row, **changes)


def attempt_row(work: Claimed, number: int = 1) -> NewAttempt:
    return NewAttempt(new_id(), work.step_id, work.run_id, number, work.lease_token, "w1")


def intent_row(work: Claimed, key: str = "k") -> NewIntent:
    return NewIntent(work.step_id, key, work.lease_token)


def test_a_claimed_step_carries_its_runs_pins_and_starts_the_run(scene: Scene) -> None:
    run = scene.run(context={"world": "w"}, customer="ana")
    journal.add_steps([step_row(run)], owner="", lease_s=None)

    work = claim_one()

    assert (work.run_id, work.customer, work.mutates) == (run.id, "ana", True)
    assert work.context == {"world": "w"}
    assert work.arguments == {"order": "#1\ufffd"}  # PostgreSQL can't store U+0000
    run.refresh_from_db()
    assert (run.state, run.started_at is None) == ("running", False)
    assert claim(limit=10, owner="w2", lease_s=30) == []


def test_urgent_steps_are_claimed_first(scene: Scene) -> None:
    run = scene.run()
    rows = [step_row(run, seq, priority=p) for seq, p in ((1, 50), (2, 5), (3, 20))]
    journal.add_steps(rows, owner="", lease_s=None)

    works = [claim(limit=1, owner="w", lease_s=30)[0] for _ in rows]

    assert [w.seq for w in works] == [2, 3, 1]


def test_a_late_write_is_fenced_off(scene: Scene) -> None:
    run = scene.run()
    journal.add_steps([step_row(run)], owner="", lease_s=None)
    [sleeper] = claim(limit=1, owner="w1", lease_s=-1)
    assert [row.state for row in lost.expire_leases(most_losses=3)] == ["queued"]
    successor = claim_one()

    assert journal.settle([settled(sleeper)]) == set()
    assert journal.settle([settled(successor)]) == {successor.step_id}


def test_one_step_of_a_run_owns_a_mutation(scene: Scene) -> None:
    run = scene.run()
    journal.add_steps([step_row(run, 1), step_row(run, 2)], owner="", lease_s=None)
    first, second = claim(limit=2, owner="w", lease_s=30)

    assert journal.open_intents([intent_row(first)]) == {first.step_id}
    assert journal.open_intents([intent_row(second)]) == set()
    assert journal.open_intents([intent_row(first)]) == {first.step_id}
    owner = journal.owners_of([(run.id, "k")])[(run.id, "k")]
    assert owner.step_id == first.step_id

    journal.free_intents([first.step_id])
    assert journal.open_intents([intent_row(second)]) == {second.step_id}
    assert Intent.objects.count() == 1


def test_attempts_receipts_and_ends_are_recorded(scene: Scene) -> None:
    run = scene.run()
    journal.add_steps([step_row(run)], owner="", lease_s=None)
    work = claim_one()
    attempt = attempt_row(work)
    journal.open_attempts([attempt])
    journal.count_attempts([attempt])
    journal.close_attempts([EndedAttempt(attempt.id, 1.5, "ok", "", "", 200)])
    journal.add_receipt(NewReceipt(work.step_id, run.id, "k", "", "r", "answer"))
    journal.settle([settled(work)])

    row = Attempt.objects.get()
    assert (row.number, row.outcome, row.http_status) == (1, "ok", 200)
    assert Receipt.objects.get().response_digest == "r"
    step = Step.objects.get()
    assert (step.state, step.attempts_made, step.result) == ("succeeded", 1, {"content": "ok"})


def test_an_attempt_ends_and_a_receipt_is_kept_with_the_step_that_is_still_ours(
    scene: Scene,
) -> None:
    run = scene.run()
    journal.add_steps([step_row(run, 1), step_row(run, 2)], owner="", lease_s=None)
    ours, theirs = claim(limit=2, owner="w1", lease_s=30)
    attempts = {w.step_id: attempt_row(w) for w in (ours, theirs)}
    journal.open_attempts(list(attempts.values()))
    theirs.lease_token = -1  # taken back meanwhile
    ends = [
        settled(
            w,
            attempt=EndedAttempt(attempts[w.step_id].id, 1.5, "ok", "", "", 200),
            receipt=NewReceipt(w.step_id, run.id, "k", "ref", "r", "answer", "odd"),
        )
        for w in (ours, theirs)
    ]

    assert journal.settle(ends) == {ours.step_id}
    assert journal.settle(ends) == set()  # a commit whose reply was lost is repeated

    assert [a.outcome for a in Attempt.objects.all()] == ["ok", "ok"]
    [kept] = Receipt.objects.all()
    assert (kept.step_id, kept.provider_ref, kept.note) == (ours.step_id, "ref", "odd")


def test_a_held_step_keeps_no_lease_and_wakes_ahead_of_others(scene: Scene) -> None:
    run, approval = scene.run(), new_id()
    journal.add_steps([step_row(run)], owner="", lease_s=None)
    work = claim_one()
    assert journal.hold([AskedStep(work.step_id, work.lease_token, approval)]) == {work.step_id}
    run.refresh_from_db()
    assert (run.state, run.had_hold) == ("waiting_approval", True)
    assert lost.waiting_approvals() == [approval]

    assert journal.wake([approval]) == ["normal"]
    again = claim_one()
    assert (again.approval_id, again.priority) == (approval, 10)


def test_a_requeued_step_waits_and_counts_as_a_retry(scene: Scene) -> None:
    run = scene.run()
    journal.add_steps([step_row(run)], owner="", lease_s=None)
    work = claim_one()
    retry = Retry(work.step_id, work.lease_token, 60, "http_503", "later", "shop/refund", 1.0, 60)
    assert journal.requeue([retry])

    assert claim(limit=1, owner="w", lease_s=30) == []
    run.refresh_from_db()
    assert run.retries == 1


def test_going_on_writes_messages_script_and_run(scene: Scene) -> None:
    run = scene.run([{"say": "a"}])
    journal.add_messages([NewMessage(run.id, 1, "agent", "“a”\u0000")])
    journal.lengthen_scripts([LongerScript(run.id, [{"done": "x"}])])
    moved = journal.update_runs([run_row(run.id, state="running", cursor=1)])

    assert moved == {run.id}
    assert Message.objects.get().content == "“a”\ufffd"
    assert RunScript.objects.get().items == [{"say": "a"}, {"done": "x"}]
    assert Run.objects.get().cursor == 1


def test_a_cancelled_run_is_left_alone(scene: Scene) -> None:
    run = scene.run(state="cancelled")

    assert journal.update_runs([run_row(run.id, state="succeeded")]) == set()


def run_row(run_id: UUID, *, state: str, cursor: int = 0) -> MovedRun:
    return MovedRun(run_id, state, "", "", "", 1, cursor)


def test_an_unkeyed_mutation_of_a_lost_worker_is_unknown(scene: Scene) -> None:
    run = scene.run()
    journal.add_steps([step_row(run, idempotency="none")], owner="", lease_s=None)
    [work] = claim(limit=1, owner="w", lease_s=-1)
    journal.open_intents([intent_row(work)])
    journal.open_attempts([attempt_row(work)])

    [row] = lost.expire_leases(most_losses=3)

    assert row.state == "confirmation_unknown"
    assert Attempt.objects.get().outcome == "lease_lost"


def test_a_step_that_takes_workers_with_it_has_ever_less_company_and_is_poison(
    scene: Scene,
) -> None:
    run = scene.run()
    journal.add_steps([step_row(run)], owner="", lease_s=None)
    for mine in (MANY, MANY, FEW, ALONE, ALONE, ALONE):
        for other in {MANY, FEW, ALONE} - {mine}:
            assert claim(limit=1, owner="w", lease_s=-1, group=other) == []
        assert claiming.suspects("normal") == (None if mine is MANY else mine)
        claim(limit=1, owner="w", lease_s=-1, group=mine)
        [row] = lost.expire_leases(most_losses=MOST_LOSSES)

    assert row.state == "failed"
    assert Step.objects.get().error_class == "poison"


def test_suspects_are_claimed_few_at_once_and_then_alone(scene: Scene) -> None:
    run = scene.run()
    rows = [step_row(run, seq) for seq in range(1, 41)]
    journal.add_steps(rows, owner="", lease_s=None)
    Step.objects.filter(seq__lte=20).update(lease_losses=FEW.low)
    Step.objects.filter(seq__in=[21, 22]).update(lease_losses=ALONE.low)

    taken = []
    while group := claiming.suspects("normal"):
        taken.append(len(claim(limit=50, owner="w", lease_s=30, group=group)))

    assert taken == [FEW.most, 20 - FEW.most, 1, 1]
    assert len(claim(limit=50, owner="w", lease_s=30)) == 18


def test_only_the_dead_process_loses_its_leases(scene: Scene) -> None:
    run = scene.run()
    journal.add_steps([step_row(run, seq) for seq in (1, 2, 3)], owner="", lease_s=None)
    for owner in ("host:12:7", "host:123:7", "host2:12:7"):
        claim(limit=1, owner=owner, lease_s=30)

    assert lost.end_leases_of("host:12:") == 1
    assert lost.end_leases_of("host:12:") == 0
    [row] = lost.expire_leases(most_losses=MOST_LOSSES)
    assert row.owner == "host:12:7"


def test_poison_with_a_mutation_under_way_is_unknown(scene: Scene) -> None:
    run = scene.run()
    journal.add_steps([step_row(run)], owner="", lease_s=None)
    [work] = claim(limit=1, owner="w", lease_s=-1)
    journal.open_intents([intent_row(work)])

    assert [row.state for row in lost.expire_leases(most_losses=1)] == ["confirmation_unknown"]
    assert Step.objects.get().error_class == "poison"


def test_a_parked_step_leaves_the_head_of_the_queue_until_its_time(scene: Scene) -> None:
    run = scene.run()
    rows = [step_row(run, seq, priority=seq) for seq in (1, 2, 3)]
    journal.add_steps(rows, owner="", lease_s=None)
    due = claiming.due("normal", limit=2, engine_version=1)
    claiming.park(
        [
            claiming.Parked(due[0].step_id, "a stop", None),
            claiming.Parked(due[1].step_id, "a breaker", -1),
        ]
    )

    assert [w.seq for w in claim(limit=9, owner="w", lease_s=30)] == [2, 3]
    assert Step.objects.get(seq=1).waits_for == "a stop"
    assert Step.objects.get(seq=2).waits_for == ""


def test_a_run_of_a_later_engine_is_left_to_its_workers(scene: Scene) -> None:
    run = scene.run(engine_version=2)
    journal.add_steps([step_row(run)], owner="", lease_s=None)

    assert claiming.due("normal", limit=9, engine_version=1) == []
    assert len(claiming.due("normal", limit=9, engine_version=2)) == 1


def test_overdue_runs_end_unless_a_call_is_on_its_way(scene: Scene) -> None:
    late = scene.run(deadline_at="2020-01-01T00:00:00Z")
    busy = scene.run(deadline_at="2020-01-01T00:00:00Z")
    journal.add_steps([step_row(busy)], owner="w", lease_s=30)

    assert lost.end_overdue()[0] == [late.id]
