"""A row that PostgreSQL refuses is its own trouble: recovery deals with the others in the same
pass, ends that one where it can, and sets it aside where it can't."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from apps.audit import services as audit
from apps.audit.models import DutyStanding as Row
from apps.audit.models import Event
from apps.runs.domain.suspicion import Evidence, WorkHorseEnd
from apps.runs.models import Run, Step
from apps.workers import recovery
from tests.factories.approvals import ApprovalFactory
from tests.factories.runs import AttemptFactory, RunFactory, StepFactory
from tests.refusing import is_one_of, refused, states

pytestmark = pytest.mark.django_db(transaction=True)
PAST = timedelta(minutes=-1)
REGISTERS = (
    recovery.NOT_TAKEN_BACK,
    recovery.NOT_WOKEN,
    recovery.NOT_ENDED,
)


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr("apps.runs.dispatch.ring", lambda _: None)
    for register in REGISTERS:
        register.forget()
    yield
    for register in REGISTERS:
        register.forget()


def held(n: int, owner: str = "host:1:7", **changes: Any) -> list[Step]:
    """Steps that a worker held until a minute ago, each of a run of its own."""
    until = timezone.now() + PAST
    values = {
        "state": "running",
        "lease_token": None,
        "lease_until": until,
        "lease_owner": owner,
        "effect": "read",
        **changes,
    }
    return [StepFactory.create(**{**values, "lease_token": 1000 + i}) for i in range(n)]


# --- leases ---------------------------------------------------------------------------------------


def test_a_step_that_cant_be_queued_again_is_ended_and_the_others_are_queued() -> None:
    steps = held(9)
    bad = steps[4]

    with refused("runs_step", f"NEW.state = 'queued' AND {is_one_of([bad.pk])}"):
        assert recovery.take_back_leases() == 9

    assert states(steps) == ["queued"] * 4 + ["failed"] + ["queued"] * 4
    bad.refresh_from_db()
    assert bad.error_class == "engine"
    assert bad.error.startswith("its worker went silent, and it could not be taken back: ")
    assert "hostile" in bad.error
    run = Run.objects.get(pk=bad.run_id)
    assert (run.state, run.outcome) == ("failed", "error")
    assert run.summary.startswith(f"Step {bad.seq}: its worker went silent")
    assert set(Event.objects.filter(run_id=run.pk).values_list("kind", flat=True)) == {
        "step.failed",
        "run.failed",
    }
    assert recovery.NOT_TAKEN_BACK.told() == []


def test_a_change_under_way_that_cant_be_taken_back_is_unknown() -> None:
    [bad] = held(1, intent_open=True, effect="irreversible")
    AttemptFactory.create(step=bad, ended_at=None, outcome="")

    with refused("runs_step", f"NEW.state = 'queued' AND {is_one_of([bad.pk])}"):
        assert recovery.take_back_leases() == 1

    assert states([bad]) == ["confirmation_unknown"]
    assert Run.objects.get(pk=bad.run_id).state == "confirmation_unknown"


def test_a_step_that_can_only_be_left_is_set_aside_with_words() -> None:
    steps = held(9)
    bad = [steps[0].pk, steps[8].pk]

    with refused("runs_step", is_one_of(bad)):
        assert recovery.take_back_leases() == 7
        assert recovery.take_back_leases() == 0
        swept = audit.sweep(waiting=False)

    assert swept.failed == {}
    assert states(steps) == ["running"] + ["queued"] * 7 + ["running"]
    row = Row.objects.get(name="expired_leases")
    assert (row.set_aside, row.failures) == (2, 0)
    assert {line.split(":")[0] for line in row.aside.splitlines()} == {f"step {i}" for i in bad}
    assert "hostile" in row.aside

    recovery.NOT_TAKEN_BACK.forget()  # as a minute does
    assert recovery.take_back_leases() == 2
    assert states(steps) == ["queued"] * 9


def test_a_run_that_cant_be_stopped_leaves_its_step_alone_and_not_the_others() -> None:
    unkeyed = held(5, intent_open=True, idempotency="none", effect="irreversible")
    bad = unkeyed[2]

    with refused("runs_run", is_one_of([bad.run_id])):
        assert recovery.take_back_leases() == 4

    assert states(unkeyed) == [
        "running" if step is bad else "confirmation_unknown" for step in unkeyed
    ]


def test_a_hostile_step_of_a_dead_process_takes_no_innocent_one_for_poison() -> None:
    """In halves each of them is alone in its transaction, as it never was in its worker."""
    steps = held(8)
    crash = Evidence("host:1:", WorkHorseEnd.CRASHED, ())
    bad = steps[3]

    with refused("runs_step", f"NEW.state = 'queued' AND {is_one_of([bad.pk])}"):
        for _ in range(2):
            Step.objects.exclude(pk=bad.pk).update(
                state="running", lease_owner="host:1:7", lease_until=timezone.now() - PAST
            )
            Step.objects.filter(pk=bad.pk, state="running").update(
                lease_until=timezone.now() - PAST
            )
            recovery.take_back_from("host:1:", crash)

    others = [s for s in steps if s is not bad]
    assert states(others) == ["queued"] * 7
    assert set(Step.objects.exclude(pk=bad.pk).values_list("blame", flat=True)) == {0}
    assert states([bad]) == ["failed"]


# --- deadlines ------------------------------------------------------------------------------------


def overdue(n: int) -> list[Run]:
    return [
        RunFactory.create(state="waiting_approval", deadline_at=timezone.now() + PAST)
        for _ in range(n)
    ]


def test_a_run_whose_questions_cant_be_taken_back_ends_all_the_same() -> None:
    runs = overdue(5)
    asked = [ApprovalFactory.create(run_id=run.pk) for run in runs]
    steps = [StepFactory.create(run=run, state="waiting_approval") for run in runs]

    with refused("approvals_approval", is_one_of([asked[1].pk])):
        assert recovery.end_overdue_runs() == 5

    assert states(runs) == ["failed"] * 5
    assert states(steps) == ["failed"] * 5
    assert states(asked) == ["void", "pending", "void", "void", "void"]
    assert recovery.NOT_ENDED.told() == []


def test_a_run_that_cant_be_ended_is_set_aside() -> None:
    runs = overdue(5)

    with refused("runs_run", is_one_of([runs[4].pk])):
        assert recovery.end_overdue_runs() == 4
        assert recovery.end_overdue_runs() == 0

    assert states(runs) == ["failed"] * 4 + ["waiting_approval"]
    assert [what for what, _ in recovery.NOT_ENDED.told()] == [f"run {runs[4].pk}"]


# --- questions ------------------------------------------------------------------------------------


def test_a_step_that_cant_be_woken_leaves_the_others_to_be() -> None:
    decided = [ApprovalFactory.create(state="approved") for _ in range(5)]
    steps = [StepFactory.create(state="waiting_approval", approval_id=a.pk) for a in decided]
    Step.objects.update(gated_at=timezone.now())

    with refused("runs_step", is_one_of([steps[3].pk])):
        assert recovery.wake_decided() == 4
        assert recovery.wake_decided() == 0

    assert states(steps) == ["queued"] * 3 + ["waiting_approval", "queued"]
    assert [what for what, _ in recovery.NOT_WOKEN.told()] == [f"question {decided[3].pk}"]
