"""Workers as the system page shows them: what each stands for, and who may drain it."""

from __future__ import annotations

import os
from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.db.models import F
from django.db.models.functions import Now
from django.urls import reverse

from apps.audit.domain.actors import Actor
from apps.audit.models import Event
from apps.kernel.errors import ConflictError
from apps.ops.selectors import health
from apps.runs.models import Attempt, Step, Worker
from apps.runs.services import workers
from apps.runs.services.workers import ShutdownNotice
from tests.factories.runs import RunFactory, StepFactory

pytestmark = pytest.mark.django_db


def standings() -> dict[str, str]:
    return {w.name: w.standing for w in health.overview().workers}


def silence(name: str) -> None:
    Worker.objects.filter(name=name).update(seen_at=F("seen_at") - timedelta(minutes=2))


def test_a_beat_notes_release_and_engine_and_hears_of_a_drain(settings) -> None:
    settings.RELEASE, settings.ENGINE_VERSION = "2.1", 3

    assert workers.beat("w-1", "worker", "normal", 0, 0) is False
    workers.drain_workers(Actor.user("ida"), names=["w-1"])

    assert workers.beat("w-1", "worker", "normal", 1, 0) is True
    row = Worker.objects.get()
    assert (row.release, row.engine_version, row.in_flight, row.pid) == ("2.1", 3, 1, os.getpid())


def test_a_drain_stands_under_its_worker(monkeypatch) -> None:
    workers.beat("w-1", "worker", "normal", 1, 0)
    monkeypatch.setenv("RQ_WORKER_ID", "w-1")
    workers.beat("d-1", "drainer", "normal", 7, 40)

    [shown] = health.overview().workers

    assert (shown.standing, shown.held, shown.done) == ("working", 7, 40)
    assert [d.name for d in shown.drains] == ["d-1"]
    workers.end_drains_of("w-1")
    workers.beat("w-1", "worker", "normal", 0, 0)
    [shown] = health.overview().workers
    assert (shown.standing, shown.held, shown.done) == ("idle", 0, 40)


def test_silent_draining_drained_and_ending_workers_are_told_apart() -> None:
    for name in ("idle", "busy", "silent", "ending"):
        workers.beat(name, "worker", "normal", int(name == "busy"), 0)
    workers.drain_workers(Actor.user("ida"), names=["idle", "busy"])
    silence("silent")
    workers.note_stopping("ending")

    assert standings() == {
        "silent": "silent",
        "idle": "drained",
        "busy": "draining",
        "ending": "stopping",
    }
    assert next(iter(standings())) == "silent"  # what needs a look comes first
    assert health.held_by_draining() == 2  # the idle one hasn't heard of it yet
    workers.beat("idle", "worker", "normal", 0, 0)
    assert health.held_by_draining() == 1


def test_a_sweeper_that_was_started_anew_is_no_alarm() -> None:
    for name, kind in (("old", "sweeper"), ("gone", "worker")):
        workers.beat(name, kind, "", 0, 0)
        silence(name)
    assert standings() == {"old": "silent", "gone": "silent"}

    workers.beat("new", "sweeper", "", 0, 0)
    workers.beat("other", "worker", "", 0, 0)

    assert standings() == {"gone": "silent", "new": "idle", "other": "idle"}


def test_only_an_older_engine_is_drained_when_asked_so(settings) -> None:
    settings.ENGINE_VERSION = 1
    workers.beat("old", "worker", "normal", 0, 0)
    settings.ENGINE_VERSION = 2
    workers.beat("new", "worker", "normal", 0, 0)

    call_command("drain", "--older")

    assert standings() == {"new": "idle", "old": "drained"}
    call_command("drain", "--all", "--undo")
    assert standings() == {"new": "idle", "old": "idle"}


def test_draining_what_is_gone_is_a_conflict() -> None:
    workers.beat("w-1", "worker", "normal", 0, 0)
    workers.drain_workers(Actor.user("ida"), names=["w-1"])

    with pytest.raises(ConflictError):
        workers.drain_workers(Actor.user("ola"), names=["w-1"])
    with pytest.raises(ConflictError):
        workers.let_work(Actor.user("ola"), names=["nobody"])
    with pytest.raises(CommandError, match="gone, ending or draining"):
        call_command("drain", "nobody")


def test_waiting_for_a_drain_ends_with_what_still_holds_something() -> None:
    workers.beat("w-1", "worker", "normal", 1, 0)

    with pytest.raises(CommandError, match="1 draining worker"):
        call_command("drain", "--all", "--wait", "0.3")


def test_an_administrator_drains_from_the_system_page(client_as) -> None:
    workers.beat("w-1", "worker", "normal", 0, 0)
    admin = client_as("admin")
    assert "Drain all workers" in admin.get(reverse("api:system")).content.decode()

    assert admin.post(reverse("api:drain")).status_code == 302

    shown = admin.get(reverse("api:system")).content.decode()
    assert "Drained" in shown
    assert "Resume: w-1" in shown
    assert Event.objects.get().kind == "worker.draining"
    assert "Resume: w-1" not in client_as("operator").get(reverse("api:system")).content.decode()
    assert client_as("operator").post(reverse("api:let_work")).status_code == 403
    assert admin.post(reverse("api:let_work"), {"name": "w-1"}).status_code == 302
    assert standings() == {"w-1": "idle"}


def test_a_worker_that_left_is_not_missed_and_old_rows_go(monkeypatch) -> None:
    workers.beat("w-1", "worker", "normal", 0, 0)
    monkeypatch.setenv("RQ_WORKER_ID", "w-1")
    workers.beat("d-1", "drainer", "normal", 0, 0)

    workers.leave("w-1")

    assert not Worker.objects.exists()


def test_only_what_has_caused_nothing_is_given_back() -> None:
    run = RunFactory.create()
    held = {"state": "running", "lease_owner": "me", "lease_until": Now(), "lease_token": 1}
    sent = StepFactory.create(run=run, seq=1, intent_open=True, **held)
    free = StepFactory.create(run=run, seq=2, **held)
    other = StepFactory.create(run=run, seq=3, **{**held, "lease_owner": "you"})

    assert workers.give_back("me") == 1

    states = dict(Step.objects.values_list("id", "state"))
    assert states == {sent.id: "running", free.id: "queued", other.id: "running"}
    assert set(Attempt.objects.filter(step=free, outcome="").values_list("id")) == set()
    assert Event.objects.get(kind="step.released").subject_id == str(free.id)


def test_told_once_to_finish_and_twice_to_hurry(settings) -> None:
    settings.FINISH_SECONDS = 25.0
    notice = ShutdownNotice()
    assert not notice.is_given
    assert not notice.is_over

    notice.tell()
    first = notice.until
    notice.tell()

    assert notice.is_given
    assert first - notice.until > 20
    settings.FINISH_SECONDS = 0.0
    at_once = ShutdownNotice()
    at_once.tell()
    assert at_once.is_over
