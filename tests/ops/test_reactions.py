"""Things that runs and steps name are noted as their events are delivered."""

from __future__ import annotations

import pytest

from apps.audit import services as audit
from apps.audit.domain.actors import TOWER
from apps.ops.apps import OBJECTS
from apps.ops.models import ObjectReference
from apps.runs.models import Run, Step
from tests.factories.runs import RunFactory, StepFactory

pytestmark = pytest.mark.django_db


def told(kind: str, subject: Run | Step) -> None:
    """The event, delivered."""
    about = "step" if isinstance(subject, Step) else "run"
    audit.record(kind=kind, actor=TOWER, subject_type=about, subject_id=subject.pk)
    audit.seal()
    assert not audit.deliver(OBJECTS).error


def test_a_run_is_noted_when_it_is_asked_for_and_a_step_when_it_ends() -> None:
    audit.deliver(OBJECTS)
    run = RunFactory.create(customer="Sofia_Kim_7287")
    told("run.accepted", run)
    step = StepFactory.create(run=run, arguments={"reservation_id": "Q69X3R"}, effect="write")
    agent = StepFactory.create(run=run, kind="agent", arguments={"reservation_id": "AGENT1"})
    told("step.succeeded", step)
    told("step.succeeded", agent)
    told("step.reconciled", step)

    noted = ObjectReference.objects.order_by("pk").values_list("key", "step_id", "effect", "field")
    assert list(noted) == [
        ("sofia_kim_7287", run.pk, "", "customer"),
        ("q69x3r", step.pk, "write", "reservation_id"),
    ]


def test_a_step_that_waits_is_noted_before_it_ends_and_what_it_names_later_is_added() -> None:
    audit.deliver(OBJECTS)
    step = StepFactory.create(arguments={"user_id": "ana"}, state="waiting_approval")
    told("run.waiting_approval", step.run)
    assert set(keys_of(step)) == {"ana"}
    step.arguments = {"order_id": "W2"}  # edited
    step.preview = {"changes": [{"path": "/reservations/NEW001/status"}, {"path": "/users/ana/n"}]}
    step.save(update_fields=["arguments", "preview"])

    told("step.succeeded", step)

    assert sorted(keys_of(step)) == ["ana", "new001", "w2"]


def keys_of(step: Step) -> list[str]:
    return list(ObjectReference.objects.filter(step_id=step.pk).values_list("key", flat=True))


def test_steps_that_a_branch_begins_with_are_noted_with_it() -> None:
    audit.deliver(OBJECTS)
    branch = RunFactory.create(customer="")
    step = StepFactory.create(run=branch, arguments={"order_id": "W1"}, done=True)

    told("run.accepted", branch)

    assert keys_of(step) == ["w1"]
