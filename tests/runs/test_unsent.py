"""What certainly has not happened doesn't begin once its run is over."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.utils import timezone

from apps.audit.domain.actors import Actor
from apps.audit.models import Event
from apps.kernel.transactions import command
from apps.runs import journal
from apps.runs.domain.rows import NewIntent
from apps.runs.journal import claiming, lost, unsent
from apps.runs.models import Intent, Run, Step
from tests.factories.runs import AttemptFactory, RunFactory, StepFactory

pytestmark = pytest.mark.django_db(transaction=True)

TURNED_AWAY = {"outcome": "retryable", "http_status": 429, "error_class": "http_429"}
NOT_REACHED = {"outcome": "retryable", "http_status": None, "error_class": "not_connected"}
LOST = {"outcome": "retryable", "http_status": 503, "error_class": "http_503"}
SILENT = {"outcome": "lease_lost", "http_status": None, "error_class": "lease_lost"}


def waiting_step(*attempts: dict, idempotency: str = "keyed", **changes) -> Step:
    """A mutation that waits for its next try."""
    run = RunFactory.create(**changes)
    step = StepFactory.create(
        run=run, state="queued", intent_open=True, idempotency=idempotency,
        attempts_made=len(attempts),
    )  # fmt: skip
    Intent.objects.create(run=run, key=step.idempotency_key, step=step)
    for number, attempt in enumerate(attempts, start=1):
        AttemptFactory.create(step=step, number=number, **attempt)
    return step


def overdue() -> dict:
    return {"deadline_at": timezone.now() - timedelta(seconds=1)}


@command
def claim() -> list:
    due = claiming.due("normal", limit=10, engine_version=1)
    works = claiming.lease(due, owner="w", lease_s=30)
    return unsent.drop_late(works, actor=Actor.user("w"))


@pytest.mark.parametrize("attempts", [(), (TURNED_AWAY,), (NOT_REACHED, TURNED_AWAY)])
@pytest.mark.parametrize(
    ("changes", "state"), [({"state": "cancelled"}, "cancelled"), (overdue, "failed")]
)
def test_it_ends_when_it_is_claimed_too_late(attempts: tuple, changes, state: str) -> None:
    step = waiting_step(*attempts, **(changes() if callable(changes) else changes))

    assert claim() == []

    step.refresh_from_db()
    assert (step.state, step.disposition, step.intent_open) == (state, state, False)
    assert step.lease_token is None
    assert not Intent.objects.filter(step=step).exists()
    assert Event.objects.filter(kind=f"step.{state}", subject_id=str(step.pk)).count() == 1


@pytest.mark.parametrize("attempts", [(LOST,), (TURNED_AWAY, LOST), (SILENT, TURNED_AWAY)])
def test_what_may_have_happened_is_still_found_out_by_its_key(attempts: tuple) -> None:
    step = waiting_step(*attempts, state="cancelled")

    assert [w.step_id for w in claim()] == [step.id]
    assert Intent.objects.filter(step=step).exists()


def test_in_time_it_is_tried_again() -> None:
    step = waiting_step(TURNED_AWAY)

    assert [w.step_id for w in claim()] == [step.id]


@pytest.mark.parametrize("idempotency", ["none", "lookup", "keyed"])
def test_cancelling_ends_it_at_once(idempotency: str) -> None:
    step = waiting_step(TURNED_AWAY, idempotency=idempotency)

    assert command(journal.cancel_waiting_steps)(step.run_id) == [step.id]

    step.refresh_from_db()
    assert (step.state, step.intent_open) == ("cancelled", False)


def test_cancelling_leaves_what_may_have_happened() -> None:
    step = waiting_step(LOST)

    assert command(journal.cancel_waiting_steps)(step.run_id) == []


@pytest.mark.parametrize(("attempt", "ends"), [(TURNED_AWAY, True), (LOST, False)])
def test_the_deadline_ends_its_run(attempt: dict, ends: bool) -> None:
    step = waiting_step(attempt, **overdue())

    command(lost.end_overdue)()

    step.refresh_from_db()
    assert (Run.objects.get(pk=step.run_id).state == "failed") is ends
    assert (step.state == "failed" and not step.intent_open) is ends


# --- given up -------------------------------------------------------------------------------------

REFUSED = {"outcome": "failed", "http_status": 401, "error_class": "http_401"}
OPEN = {"outcome": "", "ended_at": None}


def failed_step(*attempts: dict, state: str = "failed") -> Step:
    step = waiting_step(*attempts)
    if state != "queued":
        for name in ("running", state):  # as the database lets it go
            Step.objects.filter(pk=step.pk).update(state=name, intent_open=False)
    return step


@pytest.mark.parametrize(
    ("attempts", "state", "is_free"),
    [
        ((REFUSED,), "failed", True),
        ((), "failed", True),
        ((TURNED_AWAY, NOT_REACHED), "cancelled", True),
        ((LOST, REFUSED), "failed", False),
        ((SILENT, REFUSED), "failed", False),
        ((REFUSED, OPEN), "failed", False),
        ((REFUSED,), "succeeded", False),
        ((REFUSED,), "confirmation_unknown", False),
        ((REFUSED,), "queued", False),
    ],
)
def test_only_what_certainly_did_nothing_is_given_up(
    attempts: tuple, state: str, is_free: bool
) -> None:
    step = failed_step(*attempts, state=state)

    command(unsent.free)([step.pk])

    assert Intent.objects.filter(step=step).exists() is not is_free


def test_of_two_who_propose_it_while_it_is_given_up_one_makes_it() -> None:
    """Both look before the first has committed its end, and take the change after it."""
    first = failed_step(REFUSED)
    others = [
        StepFactory.create(
            run=first.run, state="running", lease_token=n, idempotency_key=first.idempotency_key
        )
        for n in (1, 2)
    ]
    begun, both = threading.Event(), threading.Barrier(2)

    def take(step: Step) -> set:
        both.wait(10)
        begun.set()
        row = NewIntent(step.pk, step.idempotency_key, step.lease_token or 0)
        try:
            return command(journal.open_intents)([row])
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as pool:
        with transaction.atomic():
            unsent.free([first.pk])
            found = [pool.submit(take, step) for step in others]
            assert begun.wait(10)
            time.sleep(0.2)
        owners = [future.result(20) for future in found]

    assert sorted(map(len, owners)) == [0, 1]
    assert Intent.objects.get().step_id in owners[0] | owners[1]


@pytest.mark.parametrize("end", [journal.cancel_waiting_steps, lambda _: lost.end_overdue()])
def test_a_run_that_ends_gives_up_what_was_never_made(end) -> None:
    step = waiting_step(TURNED_AWAY, idempotency="none", **overdue())

    command(end)(step.run_id)

    assert not Intent.objects.exists()
