"""Pause, resume and a second chance for poison: the commands, their races and the page."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from django.db import IntegrityError, transaction
from django.db.models.functions import Now
from django.urls import reverse
from django.utils import timezone

from apps.audit.domain.actors import Actor
from apps.audit.models import Event
from apps.kernel.errors import ConflictError, InvalidInputError, NotFoundError
from apps.kernel.transactions import command
from apps.runs import journal, services
from apps.runs.domain.barrier import Barriers, blocked
from apps.runs.domain.pausing import OPEN, WAITS_FOR_RESUME
from apps.runs.domain.states import TERMINAL, State
from apps.runs.domain.suspicion import ALONE, GUILTY, WorkHorseEnd, verdict
from apps.runs.journal import barriers, claiming, parking
from apps.runs.models import PARKED_UNTIL, Run, Step
from apps.runs.services.waking import queue_decided
from apps.runs.work import Claimed
from tests.factories.approvals import ApprovalFactory
from tests.factories.runs import RunFactory, StepFactory
from tests.oversight.test_editing import edit_of

pytestmark = pytest.mark.django_db(transaction=True)


def queued_step(**changes) -> Step:
    run = changes.pop("run", None) or RunFactory.create(state="queued")
    return StepFactory.create(run=run, state="queued", **changes)


@command
def claim_works() -> list[Claimed]:
    """Claim as the engine does."""
    barriers.forget()
    free, barred = barriers.part(claiming.due("normal", limit=10, engine_version=1))
    claiming.park(barred)
    return claiming.lease(free, owner="w", lease_s=30)


def claim() -> list[UUID]:
    return [w.step_id for w in claim_works()]


def kinds(run: Run) -> list[str]:
    return list(Event.objects.filter(run_id=run.id).order_by("id").values_list("kind", flat=True))


def test_what_may_be_paused_is_what_is_open() -> None:
    assert not OPEN & TERMINAL


def test_the_engines_barrier_says_what_the_pause_says() -> None:
    run_id = uuid4()

    block = blocked(
        Barriers(paused=frozenset({run_id})), tool="", agent="a", job="j", run_id=run_id
    )

    assert block is not None
    assert block.waits_for == WAITS_FOR_RESUME


def test_nothing_of_a_paused_run_is_claimed_until_it_is_resumed() -> None:
    step, other = queued_step(), queued_step()

    services.pause_run(step.run_id, actor=Actor.user("ida"), reason="the shop moves")

    assert claim() == [other.id]
    step.refresh_from_db()
    assert (step.state, step.waits_for) == ("queued", WAITS_FOR_RESUME)
    services.resume_run(step.run_id, actor=Actor.user("ola"))
    assert claim() == [step.id]
    step.refresh_from_db()
    assert step.waits_for == ""
    assert kinds(step.run) == ["run.paused", "run.resumed"]
    paused = Event.objects.get(kind="run.paused")
    assert (paused.actor, paused.payload["reason"]) == ("user:ida", "the shop moves")


def test_a_step_that_waits_for_its_next_attempt_keeps_its_time() -> None:
    later = timezone.now() + timedelta(minutes=10)
    step = queued_step(not_before=later)

    services.pause_run(step.run_id, actor=Actor.user("ida"), reason="x")
    services.resume_run(step.run_id, actor=Actor.user("ida"))

    step.refresh_from_db()
    assert step.not_before == later


def test_a_step_whose_next_attempt_comes_while_its_run_is_paused_is_parked_then() -> None:
    step = queued_step()
    services.pause_run(step.run_id, actor=Actor.user("ida"), reason="x")
    Step.objects.filter(id=step.id).update(not_before=Now(), waits_for="")  # a retry, meanwhile

    assert claim() == []

    step.refresh_from_db()
    assert step.waits_for == WAITS_FOR_RESUME
    services.resume_run(step.run_id, actor=Actor.user("ida"))
    assert claim() == [step.id]


@pytest.mark.parametrize("state", sorted(TERMINAL))
def test_a_run_that_is_over_is_not_paused(state: State) -> None:
    run = RunFactory.create(state=state)

    with pytest.raises(ConflictError, match="ended meanwhile"):
        services.pause_run(run.id, actor=Actor.user("ida"), reason="x")
    assert kinds(run) == []


def test_of_two_who_pause_the_second_is_told_of_the_first() -> None:
    run = RunFactory.create()
    services.pause_run(run.id, actor=Actor.user("ida"), reason="the shop moves")

    with pytest.raises(ConflictError, match=r"ida paused the run already.*the shop moves"):
        services.pause_run(run.id, actor=Actor.user("ola"), reason="y")
    services.resume_run(run.id, actor=Actor.user("ida"))
    with pytest.raises(ConflictError, match="somebody has resumed it already"):
        services.resume_run(run.id, actor=Actor.user("ola"))


def test_a_pause_wants_a_reason_and_a_run() -> None:
    with pytest.raises(InvalidInputError):
        services.pause_run(RunFactory.create().id, actor=Actor.user("ida"), reason=" ")
    with pytest.raises(NotFoundError):
        services.pause_run(uuid4(), actor=Actor.user("ida"), reason="x")
    with pytest.raises(NotFoundError):
        services.resume_run(uuid4(), actor=Actor.user("ida"))


def test_an_approval_of_a_paused_run_may_be_decided_but_the_step_waits_on() -> None:
    run = RunFactory.create(state="waiting_approval")
    approval_id = uuid4()
    step = StepFactory.create(run=run, state="waiting_approval", approval_id=approval_id)
    services.pause_run(run.id, actor=Actor.user("ida"), reason="x")

    assert command(lambda: queue_decided([approval_id]))() == 1

    step.refresh_from_db()
    assert (step.state, step.waits_for) == ("queued", WAITS_FOR_RESUME)
    assert claim() == []
    services.resume_run(run.id, actor=Actor.user("ida"))
    assert claim() == [step.id]


def test_a_paused_run_can_be_cancelled() -> None:
    step = queued_step()
    services.pause_run(step.run_id, actor=Actor.user("ida"), reason="x")

    services.cancel_run(step.run_id, actor=Actor.user("ida"), reason="no use")

    step.refresh_from_db()
    assert step.state == step.run.state == "cancelled"


def test_the_sweep_lets_go_what_was_parked_while_its_run_was_resumed() -> None:
    lost = queued_step(not_before=PARKED_UNTIL, waits_for=WAITS_FOR_RESUME)
    paused = queued_step()
    services.pause_run(paused.run_id, actor=Actor.user("ida"), reason="x")

    assert services.unpark_resumed() == 1

    assert claim() == [lost.id]


def test_a_held_step_of_a_cancelled_run_ends_unless_it_is_on_its_way() -> None:
    cancelled, sent, free = queued_step(), queued_step(), queued_step()
    works = claim_works()
    Step.objects.filter(id=sent.id).update(intent_open=True)
    for step in (cancelled, sent):
        services.cancel_run(step.run_id, actor=Actor.user("ida"), reason="x")

    kept = command(lambda: parking.drop_cancelled(works))()

    assert {w.step_id for w in kept} == {sent.id, free.id}
    states = dict(Step.objects.values_list("id", "state"))
    assert states == {cancelled.id: "cancelled", sent.id: "running", free.id: "running"}


def test_a_step_whose_lease_passed_on_is_not_ours_to_begin() -> None:
    gone, kept = queued_step(), queued_step()
    works = claim_works()
    Step.objects.filter(id=gone.id).update(lease_token=0)  # somebody else has it

    assert [w.step_id for w in command(lambda: parking.drop_cancelled(works))()] == [kept.id]


# --- poison ---------------------------------------------------------------------------------------


def poison_step(**changes) -> Step:
    values = {"state": "failed", "error_class": "poison", "outcome": "error", **changes}
    run = RunFactory.create(finished_at=timezone.now(), **values)
    return StepFactory.create(
        run=run, state="failed", disposition="failed", error_class="poison", lease_losses=5
    )


def test_a_person_has_a_poison_step_tried_again_alone() -> None:
    step = poison_step()

    services.try_poison_again(
        step.run_id, step.seq, actor=Actor.user("ida"), reason="the tool was mended"
    )

    step.refresh_from_db()
    assert (step.state, step.disposition, step.error_class) == ("queued", "", "")
    assert step.run.state == "queued"
    assert claim() == []  # not together with others
    alone = command(lambda: claiming.due("normal", limit=1, engine_version=1, group=ALONE))()
    assert [w.step_id for w in alone] == [step.id]
    told = Event.objects.get(kind="step.tried_again")
    assert told.actor == "user:ida"
    assert told.payload == {
        "seq": step.seq,
        "workers_lost": 5,
        "reason": "the tool was mended",
    }
    with pytest.raises(ConflictError, match="isn't poison any more"):
        services.try_poison_again(step.run_id, step.seq, actor=Actor.user("ola"), reason="me too")


def test_poison_that_a_person_edited_still_says_so_when_it_is_tried_again(people) -> None:
    step = poison_step()
    for number in (1, 2):
        asked = ApprovalFactory.create(run_id=step.run_id, step_id=step.id)
        edit_of(asked, people["operator"], number=number)

    services.try_poison_again(step.run_id, step.seq, actor=Actor.user("ida"), reason="mended")

    step.refresh_from_db()
    assert step.approval_id == asked.pk, "by which the gate finds its edits"


def test_poison_is_not_tried_again_after_the_deadline() -> None:
    step = poison_step(deadline_at=timezone.now() - timedelta(seconds=1))

    with pytest.raises(ConflictError, match="deadline"):
        services.try_poison_again(step.run_id, step.seq, actor=Actor.user("ida"), reason="x")


def test_the_database_refuses_to_queue_any_other_failure_again() -> None:
    run = RunFactory.create(state="failed", error_class="timeout")

    with pytest.raises(IntegrityError, match="failed for good"), transaction.atomic():
        Run.objects.filter(id=run.id).update(state="queued")


# --- the page -------------------------------------------------------------------------------------


def page(client, run: Run) -> str:
    return client.get(reverse("runs:detail", args=[run.id])).content.decode()


def test_the_page_says_who_paused_and_why_and_offers_to_resume(client_as) -> None:
    client, run = client_as("operator"), queued_step().run
    assert "The deadline goes on counting" in page(client, run)

    answer = client.post(reverse("runs:pause", args=[run.id]), {"reason": "the shop moves"})

    assert answer.status_code == 302
    shown = page(client, run)
    assert "Paused by operator since" in shown
    assert "the shop moves" in shown
    assert reverse("runs:resume", args=[run.id]) in shown
    assert "pause-dialog" not in shown
    assert reverse("runs:resume", args=[run.id]) not in page(client_as("auditor"), run)
    assert client.post(reverse("runs:resume", args=[run.id])).status_code == 302
    assert "Paused by" not in page(client, run)
    assert client.post(reverse("runs:resume", args=[run.id])).status_code == 409


def test_a_pause_without_a_reason_is_refused(client_as) -> None:
    run = RunFactory.create()

    answer = client_as("operator").post(reverse("runs:pause", args=[run.id]), {"reason": ""})

    assert answer.status_code == 422
    run.refresh_from_db()
    assert run.paused_at is None


def test_the_page_of_a_poisoned_run_names_the_workers_and_offers_another_try(client_as) -> None:
    words = verdict(WorkHorseEnd.CRASHED, losses=5, blame=GUILTY)
    step = poison_step()
    Step.objects.filter(pk=step.pk).update(error=words)
    for number, worker in enumerate(("w-one", "w-two"), start=4):
        Event.objects.create(
            kind="step.lease_lost",
            actor="sweeper",
            subject_type="step",
            subject_id=str(step.id),
            run_id=step.run_id,
            payload={"losses": number, "worker": worker},
        )
    client = client_as("operator")

    shown = page(client, step.run)

    assert "took 5 workers with it" in shown
    assert "the last one crashed with nothing else to blame" in shown
    assert "w-one" in shown
    assert "w-two" in shown
    again = reverse("runs:try_again", args=[step.run_id, step.seq])
    assert again in shown
    assert again not in page(client_as("auditor"), step.run)
    assert client.post(again, {"reason": "mended"}).status_code == 302
    assert client.post(again, {"reason": "mended"}).status_code == 409


def test_a_step_of_a_run_that_is_not_paused_is_woken_at_once() -> None:
    approval_id = uuid4()
    run = RunFactory.create(state="waiting_approval")
    step = StepFactory.create(run=run, state="waiting_approval", approval_id=approval_id)

    assert command(lambda: journal.wake([approval_id]))() == ["normal"]

    assert claim() == [step.id]
