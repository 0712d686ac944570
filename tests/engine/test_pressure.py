"""Caps and rates at the claim, and overload of a real tower."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import Any
from uuid import UUID

import pytest
from django.db import connection, transaction

from apps.audit.domain.actors import Actor
from apps.audit.services import sweep
from apps.calls.domain.caps import BUSY_S
from apps.catalog.selectors import pinned
from apps.kernel.ids import new_id
from apps.runs import journal
from apps.runs.journal import claiming, pressure
from apps.runs.models import Attempt, Cap, Rate, Run, Step
from apps.runs.services import cancel_run
from apps.runs.services.admitting import forget_reading
from apps.runs.work import Claimed
from tests.engine.conftest import Tower
from tests.engine.shop import busy_script, call
from tests.engine.test_drain import RETURN, drain
from tests.runs.conftest import Scene
from tests.runs.conftest import make_scene as make_scene  # a fixture of its name
from tests.runs.conftest import scene as scene  # a fixture of its name
from tests.runs.test_journal import step_row


@pytest.fixture(autouse=True)
def fresh_caps() -> Iterator[None]:
    pressure.forget_caps()
    yield
    pressure.forget_caps()


def due(limit: int = 100) -> list[Claimed]:
    return claiming.due("normal", limit=limit, engine_version=1)


def queue_steps(scene: Scene, count: int, **changes: str) -> None:
    run = scene.run(**changes)
    rows = [step_row(run, seq) for seq in range(1, count + 1)]
    journal.add_steps(rows, owner="", lease_s=None)


@pytest.mark.django_db
def test_without_caps_nothing_is_parked_and_nothing_counted(
    scene: Scene, django_assert_num_queries: pytest.FixtureRequest
) -> None:
    queue_steps(scene, 5)
    works = due()
    pressure.part(works)  # reads the caps
    with django_assert_num_queries(0):  # type: ignore[operator]  # a callable fixture
        assert pressure.part(works) == (works, [])


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("scope", "key"),
    [
        ("tool", "shop/refund"),
        ("job", "shop-refund"),
        ("agent", "shop-reference"),
        ("tenant", "acme"),
    ],
)
def test_a_cap_counts_what_runs_already(scene: Scene, scope: str, key: str) -> None:
    Cap.objects.create(scope=scope, key=key, max_in_flight=3)
    queue_steps(scene, 6, tenant="acme")
    claiming.lease(due(2), owner="other", lease_s=30)

    kept, parked = pressure.part(due())

    assert (len(kept), len(parked)) == (1, 3)
    assert parked[0].waits_for == f"cap of 3 at once for {scope} {key}"


@pytest.mark.django_db
def test_a_rate_is_charged_with_the_claim_and_kept_for_all(scene: Scene) -> None:
    Cap.objects.create(scope="job", key="shop-refund", per_minute=12)  # bucket of two
    queue_steps(scene, 6)
    kept, parked = pressure.part(due())
    assert (len(kept), len(parked)) == (2, 4)
    assert Rate.objects.get().key == "cap:job:shop-refund"

    kept, parked = pressure.part(due())

    assert (len(kept), len(parked)) == (0, 6)
    assert 3 < (parked[0].retry_in_s or 0) <= 5


@pytest.mark.django_db
def test_undoing_and_approved_work_pass_caps_of_jobs_and_come_first(scene: Scene) -> None:
    Cap.objects.create(scope="job", key="shop-refund", max_in_flight=1)
    queue_steps(scene, 4)
    usual, undoing, approved, other = Step.objects.order_by("seq")
    Step.objects.filter(id=undoing.id).update(compensates_id=other.id)
    Step.objects.filter(id=approved.id).update(approval_id=new_id())

    kept, parked = pressure.part(due())

    assert {w.step_id for w in kept} == {undoing.id, approved.id}
    assert {p.step_id for p in parked} == {usual.id, other.id}


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("bound", [{"per_minute": 600}, {"max_in_flight": 50}])
def test_who_holds_locks_already_waits_for_nobody_else(scene: Scene, bound: dict[str, int]) -> None:
    """Two workers that charge again in the same transactions can't wait for each other."""
    Cap.objects.create(scope="job", key="shop-refund", **bound)
    with transaction.atomic():
        queue_steps(scene, 3)
        pressure.part(due())
    holds, over = Event(), Event()

    def other() -> None:
        with transaction.atomic():
            pressure.part(due(1))
            holds.set()
            assert over.wait(30)
        connection.close()

    with ThreadPoolExecutor(1) as pool:
        held = pool.submit(other)
        assert holds.wait(30)
        with transaction.atomic():
            kept, parked = pressure.part(due(), may_wait=False)
        over.set()
        held.result()
    assert kept == []
    assert [p.retry_in_s for p in parked] == [BUSY_S] * 2

    with transaction.atomic():
        kept, _ = pressure.part(due(), may_wait=False)
    assert len(kept) == 3


# --- a real tower ---------------------------------------------------------------------------------


def publish_as_important() -> None:
    """Let the shop's contract matter more from now on."""
    version = pinned.current_contract("retail-shop")
    version.pk, version.number = None, version.number + 1
    version.document = {**version.document, "criticality": "high"}
    version.save(force_insert=True)
    version.job.current_number = version.number
    version.job.save()


def states(runs: Sequence[UUID]) -> Counter[str]:
    return Counter(Run.objects.filter(id__in=runs).values_list("state", flat=True))


@pytest.fixture
def bounded(tower: Tower, settings: Any) -> Iterator[Tower]:
    """A tower with short queues."""
    settings.QUEUE_BOUNDS = {"C1": 60, "C2": 30, "C3": 10}
    forget_reading()
    yield tower
    forget_reading()


def test_a_cap_holds_for_claimed_steps_and_for_those_a_worker_goes_on_with(tower: Tower) -> None:
    Cap.objects.create(scope="tool", key="retail/modify_user_address", max_in_flight=3)
    runs = tower.start([busy_script(1)] * 9)  # looks first, so that the worker goes on with moves

    drain(linger_s=4)

    assert states(runs) == {"succeeded": 9}
    moves = Attempt.objects.filter(step__tool_name="modify_user_address")
    times = list(moves.values_list("started_at", "ended_at"))
    assert len(times) == 9
    assert max(sum(a <= at < b for a, b in times) for at, _ in times) <= 3


@pytest.mark.slow
def test_under_overload_batch_is_shed_first_and_what_was_taken_in_ends(bounded: Tower) -> None:
    tower, script = bounded, busy_script(1)
    batch = tower.start([script] * 50, criticality_class=3)
    normal = tower.start([script] * 150)
    publish_as_important()
    urgent = tower.start([script] * 20)

    assert states(batch) == {"queued": 10, "shed": 40}
    assert states(normal) == {"queued": 30, "shed": 120}
    assert states(urgent) == {"queued": 20}
    told = Run.objects.filter(id__in=batch, state="shed").values_list(
        "admission_reason", "deferred_until"
    )
    assert all(reason and until for reason, until in told)

    tower.worker()
    taken = Run.objects.filter(id__in=[*batch, *normal, *urgent]).exclude(state="shed")
    tower.wait(list(taken.values_list("id", flat=True)), states={"succeeded"}, seconds=120)

    forget_reading()  # the pressure has gone: batch is taken in again
    assert "shed" not in states(tower.start([script], criticality_class=3))


@pytest.mark.slow
def test_a_job_waits_for_the_people_and_begins_when_they_have_caught_up(bounded: Tower) -> None:
    tower = bounded
    asks = [call("return_delivered_order_items", 0, **RETURN), {"done": "returned"}]
    tower.worker()
    first = tower.start([asks] * 6)
    tower.wait(first, states={"waiting_approval"})
    forget_reading()

    late = tower.start([asks])

    # Six questions at one in two minutes: longer than the ten minutes of the contract's window.
    run = Run.objects.get(id=late[0])
    assert (run.state, run.steps.count()) == ("accepted", 0)
    assert "longer than its window of 10 min: 6 questions ahead" in run.admission_reason
    for run_id in first[:3]:
        cancel_run(run_id, actor=Actor.user("test"), reason="the customer changed their mind")
    assert sweep().admitted == 1
    tower.wait(late, states={"waiting_approval"})
    run.refresh_from_db()
    assert run.deferred_until is None
