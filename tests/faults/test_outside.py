"""What comes from outside twice, late, in disorder, or in masses (faults 27, 38, 39)."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

import httpx
import pytest

from apps.accounts.domain.tokens import Scope
from apps.accounts.services import create_account, create_token
from apps.runs import services
from apps.runs.models import Run, Step
from apps.runs.selectors.undo_plans import plan_of
from apps.runs.services.admitting import forget_reading
from tests.engine.shop import address, call
from tests.faults import shop
from tests.faults.people import person
from tests.faults.plant import Plant, until
from tests.faults.test_people import together
from tests.faults.test_tools import fault
from tests.faults.test_workers import MOVE, effects, let_die, states

EVENTS = 12


@pytest.fixture
def erp(proved: Plant) -> Iterator[httpx.Client]:
    """A company's system that delivers its events over the API."""
    admin = person("admin")
    account = create_account(actor=admin, name=f"erp-{admin.pk}", purpose="tests")
    _, token = create_token(
        actor=admin, account_id=account.pk, scopes=tuple(Scope), days=7, rate_per_minute=6000
    )
    _, url = proved.web()
    with httpx.Client(
        base_url=url, headers={"Authorization": f"Bearer {token}"}, timeout=30
    ) as client:
        yield client


def deliver(erp: httpx.Client, plant: Plant, number: int) -> httpx.Response:
    """Event ``number``, under its own key."""
    body = {
        "job": shop.JOBS["normal"],
        "reference": f"event-{number}",
        "customer": "ada_byron_1",
        "context": {"world": f"erp/{plant.folder.name}/{number}"},
        "script": [
            {"call": {"tool": shop.KEYED, "args": address(number)}},
            {"done": "moved"},
        ],
    }
    return erp.post("/api/v1/runs", json=body, headers={"Idempotency-Key": f"event-{number}-key"})


def test_27_delivered_twice_in_disorder_and_again(proved: Plant, erp: httpx.Client) -> None:
    """However often and in whatever order events come in, each is carried out once."""
    deliveries = [n for n in range(EVENTS) for _ in range(3)]
    random.Random(27).shuffle(deliveries)
    answers: list[httpx.Response] = []
    for at in range(0, len(deliveries), 4):
        batch: list[Callable[[], Any]] = [
            (lambda n=n: deliver(erp, proved, n))  # type: ignore[misc]
            for n in deliveries[at : at + 4]
        ]
        answers += together(batch)
    again = [deliver(erp, proved, n) for n in range(EVENTS)]  # a replay, long after

    assert {r.status_code for r in answers} <= {200, 201, 202, 409}, answers[0].text
    told = {UUID(r.json()["id"]) for r in [*answers, *again] if r.status_code < 300}
    assert len(told) == EVENTS
    proved.accepted += sorted(told)
    assert Run.objects.filter(case_ref__startswith="event-", id__in=told).count() == EVENTS
    proved.sweeper()
    proved.worker()
    proved.wait(list(told))
    assert states(list(told)) == {"succeeded"}
    assert effects(proved, list(told)) == [1] * EVENTS


# --- undoing --------------------------------------------------------------------------------------


def moved_twice(plant: Plant) -> Run:
    """A run that moved house twice, from an address that can be put back."""
    [run_id] = plant.start_runs(
        [
            shop.script(
                call(shop.KEYED, 0, **address(1)),
                call(shop.KEYED, 1, **address(2)),
                call(shop.KEYED, 2, **address(3)),
            )
        ]
    )
    plant.wait([run_id], {"succeeded"})
    return Run.objects.get(pk=run_id)


def undo(run: Run) -> None:
    plan = plan_of(run)
    services.undo_run(
        run.pk, actor=person(), reason="the customer changed their mind", plan_digest=plan.digest
    )


@pytest.mark.parametrize("how", ["fails", "lost", "killed"])
def test_38_an_undoing_goes_wrong(proved: Plant, how: str) -> None:
    """It is tried in its own class, never dropped, in reverse order and each once."""
    proved.sweeper()
    worker = proved.worker()
    run = moved_twice(proved)
    if how == "killed":
        worker.signal(9, group=True)
        undo(run)
        let_die(proved.worker(failpoint="after_call:kill:1"))
        proved.worker()
    else:
        proved.faults(fault("error_before" if how == "fails" else "drop_reply", count=1))
        undo(run)
    proved.wait([run.pk], {"compensated"}, seconds=60)

    undone = Step.objects.filter(run=run, compensates_id__isnull=False).order_by("seq")
    order = [Step.objects.get(pk=s.compensates_id).seq for s in undone]
    assert order == sorted(order, reverse=True)
    assert {s.state for s in undone} == {"succeeded"}
    assert len(set(order)) == len(order) >= 2
    assert effects(proved, [run.pk]) == [3 + len(order)]


# --- overload -------------------------------------------------------------------------------------


@pytest.fixture
def small_queues(settings: Any) -> Iterator[None]:
    settings.QUEUE_BOUNDS = {"C1": 400, "C2": 60, "C3": 20}
    forget_reading()
    yield
    forget_reading()


def test_39_five_times_too_much(proved: Plant, small_queues: None) -> None:
    """The least valuable is turned away first, with a reason; nothing grows without bound, and
    what matters more goes on."""
    before = proved.start_runs([MOVE] * 100)
    kept = Run.objects.filter(id__in=before)
    said = Counter(kept.values_list("state", flat=True))
    turned_away = kept.filter(state__in=["shed", "accepted"])

    assert said["queued"] <= 60
    assert turned_away.count() == 100 - said["queued"]
    assert not turned_away.filter(admission_reason="").exists()
    interactive = proved.start_runs([MOVE] * 3, lane="urgent")
    assert set(Run.objects.filter(id__in=interactive).values_list("state", flat=True)) == {"queued"}
    proved.sweeper()
    proved.worker("urgent")
    proved.worker()
    proved.wait(interactive, {"succeeded"})
    queued = list(kept.filter(state="queued").values_list("id", flat=True))
    proved.wait(queued)
    # What was only deferred comes in by itself once there is room.
    until(
        lambda: (
            not kept.exclude(state__in=["succeeded", "shed"]).exists()
            or not Run.objects.filter(id__in=before, state="accepted").update(deferred_until=None)
        ),
        "the rest was taken in",
        plant=proved,
    )
    proved.wait(before, {"succeeded", "shed"})
