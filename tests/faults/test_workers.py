"""Workers that die, sleep, come back, double up or are poisoned (faults 1 to 6, 25, 26, 34, 40,
41)."""

from __future__ import annotations

import signal
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import django_rq
import psutil
import pytest
from django.db.models import Q
from rq.serializers import JSONSerializer

from apps.audit.models import Event
from apps.oversight.models import Approval
from apps.runs.dispatch import TASK, ring
from apps.runs.models import Attempt, Intent, Receipt, Run, Step
from tests.engine.shop import address, call
from tests.faults import shop
from tests.faults.people import answer_all
from tests.faults.plant import Child, Plant, until

MOVE = shop.script(call(shop.KEYED, 0, **address(1)))
CANCEL = shop.script(call(shop.LOOKED_UP, 0, **shop.CANCEL))
RETURN = shop.script(call(shop.APPROVED, 0, **shop.RETURN))
EXCHANGE = shop.script(call(shop.APPROVED_UNKEYED, 0, **shop.EXCHANGE))
LOOK = shop.script(call(shop.READ, 0, user_id="ada_byron_1"))


def let_die(worker: Child) -> None:
    """Wait until a failpoint has killed the work-horse, then end its parent too."""
    until(lambda: worker.lost_its_horse or not worker.is_alive, "the work-horse died")
    worker.signal(signal.SIGKILL, group=True)


def effects(plant: Plant, runs: Sequence[UUID]) -> list[int]:
    """How many effects each run had, by the witness."""
    worlds = dict(Run.objects.filter(id__in=runs).values_list("id", "context__world"))
    seen = Counter(e["world"] for e in plant.ledger(list(worlds.values())))
    return [seen[worlds[run]] for run in runs]


def sent(plant: Plant, tool: str) -> int:
    """How often a tool was called, seen from outside."""
    return sum(a.tool == tool for a in plant.tool_proxy.arrivals)


def is_running(process: psutil.Process) -> bool:
    """Whether a process does anything; one that only waits to be reaped doesn't."""
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def states(runs: Sequence[UUID]) -> set[str]:
    return set(Run.objects.filter(id__in=runs).values_list("state", flat=True))


def written(runs: Sequence[UUID]) -> list[list[dict[str, Any]]]:
    """What stands of these runs' steps and receipts."""
    columns = ("seq", "state", "result", "attempts_made")
    steps = Step.objects.filter(run_id__in=runs).order_by("run_id", "seq")
    return [list(steps.values(*columns)), list(Receipt.objects.filter(run_id__in=runs).values())]


def test_01_killed_before_the_call(proved: Plant) -> None:
    """The lease is taken and nothing intended: the next worker begins anew."""
    runs = proved.start_runs([MOVE] * 5)
    # Still leased, or taken back by the worker that saw its work-horse die.
    was_leased = Q(state="running") | Q(lease_losses__gt=0)
    leased = Step.objects.filter(was_leased, run_id__in=runs)
    for _ in range(6):  # a work-horse that finds nothing in its time ends by itself
        ring("normal")
        let_die(proved.worker(failpoint="after_lease:kill"))
        if leased.exists():
            break
    assert leased.exists()
    assert not Intent.objects.filter(run_id__in=runs).exists()
    died = time.monotonic()

    proved.sweeper()
    proved.worker()
    proved.wait(runs)

    assert states(runs) == {"succeeded"}
    assert effects(proved, runs) == [1] * 5
    assert time.monotonic() - died < 35


def test_02_killed_between_intent_and_call(proved: Plant) -> None:
    """Keyed: the same key again. Unkeyed: nobody can know, so nobody tries."""
    keyed = proved.start_runs([MOVE] * 3)
    unkeyed = proved.start_runs([shop.unkeyed()] * 3, lane="urgent")
    let_die(proved.worker(failpoint="after_intent:kill:1"))
    let_die(proved.worker("urgent", failpoint="after_intent:kill"))
    assert Intent.objects.filter(run_id__in=keyed).exists()
    assert Intent.objects.filter(run_id__in=unkeyed).count() == 3
    assert effects(proved, [*keyed, *unkeyed]) == [0] * 6

    proved.sweeper()
    proved.worker()
    proved.worker("urgent")
    proved.wait([*keyed, *unkeyed])

    assert states(keyed) == {"succeeded"}
    assert effects(proved, keyed) == [1] * 3
    assert states(unkeyed) == {"confirmation_unknown"}
    assert sent(proved, shop.UNKEYED) == 0


def test_03_killed_between_call_and_receipt(proved: Plant) -> None:
    """Keyed: the stored answer again. Look-up: asked. Neither: a person has to say."""
    keyed = proved.start_runs([MOVE] * 3)
    others = [proved.start_runs([s] * 3, lane="urgent") for s in (CANCEL, shop.unkeyed())]
    cancelled, unkeyed = others
    let_die(proved.worker(failpoint="after_call:kill:1"))
    let_die(proved.worker("urgent", failpoint="after_call:kill"))
    assert not Receipt.objects.filter(run_id__in=[*keyed, *cancelled, *unkeyed]).exists()

    proved.sweeper()
    proved.worker()
    proved.worker("urgent")
    proved.wait([*keyed, *unkeyed])
    proved.wait(cancelled, {"succeeded", "failed"})

    assert states(keyed) == {"succeeded"}
    assert effects(proved, [*keyed, *cancelled]) == [1] * 6
    assert states(unkeyed) == {"confirmation_unknown"}
    assert sent(proved, shop.UNKEYED) <= 3


def test_04_killed_after_the_commit(proved: Plant) -> None:
    """The bell was never answered for; ringing again finds nothing to do."""
    runs = proved.start_runs([MOVE])
    let_die(proved.worker(failpoint="after_commit:kill:1"))
    assert states(runs) == {"succeeded"}
    calls = sent(proved, shop.KEYED)

    proved.worker()
    proved.sweeper()
    more = proved.start_runs([LOOK])
    proved.wait(more)

    assert sent(proved, shop.KEYED) == calls == 1
    assert not Attempt.objects.filter(run_id__in=runs, number__gt=1).exists()


def test_05_parent_killed_alone(proved: Plant) -> None:
    """The work-horse dies with its parent within a second, and somebody else finishes."""
    proved.faults({"kind": "delay", "tool": shop.KEYED, "seconds": 1.5, "count": 1})
    worker = proved.worker()
    runs = proved.start_runs([MOVE])
    until(lambda: sent(proved, shop.KEYED) == 1, "the call is under way")
    horses = worker.children()
    assert horses

    worker.signal(signal.SIGKILL)

    until(lambda: not any(map(is_running, horses)), "the horse is gone", seconds=1)
    proved.sweeper()
    proved.worker()
    proved.wait(runs, {"succeeded"})
    assert effects(proved, runs) == [1]
    assert Step.objects.get(run_id__in=runs, lease_losses__gt=0).tool_name == shop.KEYED


def test_05_work_horse_killed_alone(proved: Plant) -> None:
    """Its worker sees it and takes back what it held: no sweeper is needed, no lease waited for."""
    proved.faults({"kind": "delay", "seconds": 1.5, "count": 2})
    worker = proved.worker()
    runs = proved.start_runs([MOVE])
    [unkeyed] = proved.start_runs([shop.unkeyed()])
    until(lambda: sent(proved, shop.KEYED) + sent(proved, shop.UNKEYED) == 2, "both are sent")

    for horse in worker.children():
        horse.kill()

    proved.wait(runs, {"succeeded"})
    proved.wait([unkeyed], {"confirmation_unknown"})
    assert effects(proved, runs) == [1]
    assert sent(proved, shop.UNKEYED) == 1
    assert Step.objects.filter(lease_losses=1, run_id__in=[*runs, unkeyed]).count() == 2


def test_06_paused_and_woken(proved: Plant) -> None:
    """A worker that slept beyond its lease finds its steps taken, and writes nothing. Only the
    answer of an unkeyed call, which nobody else could repeat, still counts (fault 19)."""
    proved.faults({"kind": "delay", "seconds": 1.0, "count": 2})
    sleeper = proved.worker()
    runs = proved.start_runs([MOVE])
    [unkeyed] = proved.start_runs([shop.unkeyed()])
    until(lambda: sent(proved, shop.KEYED) + sent(proved, shop.UNKEYED) == 2, "both are sent")
    sleeper.signal(signal.SIGSTOP)
    horses = sleeper.children()
    for horse in horses:
        horse.suspend()

    proved.sweeper()
    proved.wait([unkeyed], {"confirmation_unknown"})
    proved.worker()
    proved.wait(runs, {"succeeded"})
    before = written(runs)
    for horse in horses:
        horse.resume()
    sleeper.signal(signal.SIGCONT)
    proved.wait([unkeyed], {"succeeded"}, seconds=30)
    fenced = Event.objects.filter(kind="step.fenced", run_id__in=runs)
    until(fenced.exists, "the late write was refused, and that is told", plant=proved)

    assert written(runs) == before
    lost = Attempt.objects.filter(run_id__in=runs, outcome="lease_lost")
    tokens = {(str(step), token) for step, token in lost.values_list("step_id", "lease_token")}
    assert {(told.subject_id, told.payload["token"]) for told in fenced} <= tokens
    assert effects(proved, [*runs, unkeyed]) == [1, 1]


def test_25_26_rung_ten_times_for_four_workers(proved: Plant) -> None:
    """However many bells ring and workers come, each step has one winner and is sent once."""
    runs = proved.start_runs([shop.unkeyed()] * 100)
    queue = django_rq.get_queue("normal", serializer=JSONSerializer)
    for _ in range(10):
        queue.enqueue(TASK, "normal", result_ttl=0, job_timeout=-1)
    for _ in range(4):
        proved.worker()
    proved.sweeper()

    proved.wait(runs)

    assert states(runs) == {"succeeded"}
    tries = Attempt.objects.filter(run_id__in=runs)
    assert tries.count() == 100 == sent(proved, shop.UNKEYED)
    assert tries.values("worker").distinct().count() > 1


@pytest.mark.parametrize("failpoint", ["after_lease:kill", "after_intent:kill", "after_call:kill"])
def test_34_killed_with_an_approval_in_hand(proved: Plant, failpoint: str) -> None:
    """It is used up once, with the intent it allows: one effect or a question, never two."""
    proved.sweeper()
    first = proved.worker()
    keyed = proved.start_runs([RETURN] * 2)
    unkeyed = proved.start_runs([EXCHANGE] * 2)
    proved.wait([*keyed, *unkeyed], {"waiting_approval"})
    first.signal(signal.SIGKILL, group=True)

    killer = proved.worker(failpoint=failpoint)
    answer_all([*keyed, *unkeyed])
    let_die(killer)
    proved.worker()
    proved.wait([*keyed, *unkeyed])

    assert states(keyed) == {"succeeded"}
    assert effects(proved, keyed) == [1, 1]
    assert max(effects(proved, unkeyed)) <= 1
    assert states(unkeyed) <= {"succeeded", "confirmation_unknown"}
    used = Approval.objects.filter(run_id__in=keyed, consumed_at__isnull=False)
    assert used.count() == 2


def test_40_no_memory_no_files_no_forks(proved: Plant) -> None:
    """Starved workers get nothing done and harm nothing; a healthy one finishes."""
    runs = proved.start_runs([MOVE] * 5)
    starved = [
        proved.worker(limits={"nofile": 14}),
        proved.worker(limits={"as": 64 * 2**20}),
        proved.worker(limits={"nproc": 1}, env={"PROOF_USER": "65534"}),
    ]

    def have_failed() -> bool:
        ring("normal")  # again: one of them may take each bell that there is
        return all(worker.said("Error") or not worker.is_alive for worker in starved)

    until(have_failed, "all three have failed", every_s=0.5, plant=proved)

    proved.sweeper()
    proved.worker()
    proved.wait(runs)

    assert states(runs) == {"succeeded"}
    assert effects(proved, runs) == [1] * 5


def test_41_poison(proved: Plant) -> None:
    """A step that takes each worker with it ends by itself; steps of its group are not blamed."""
    poison = proved.start_runs([shop.script(call("get_order_details", 0, order_id="#P"))])
    others = proved.start_runs([MOVE] * 8)
    for _ in range(2):
        proved.worker(env={"PROOF_POISON": "get_order_details"}, LEASE_SECONDS=0.7)
    proved.sweeper()

    proved.wait([*others, *poison], seconds=90)

    assert states(others) == {"succeeded"}
    assert set(Run.objects.filter(id__in=poison).values_list("state", "error_class")) == {
        ("failed", "poison")
    }
    more = proved.start_runs([MOVE])
    proved.wait(more, {"succeeded"})
