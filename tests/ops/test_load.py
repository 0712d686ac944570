"""The load page: what it says, to whom, and what administrators do there."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from apps.audit.models import Event
from apps.ops.figures.load import multiples
from apps.runs import journal
from apps.runs.journal import intake, pressure
from apps.runs.models import Breaker, Budget, Cap, LoadSample, Run, Step, Worker
from apps.runs.services.admitting import forget_reading
from tests.factories.approvals import ApprovalFactory
from tests.factories.runs import JOB, RunFactory, StepFactory, contract_version

pytestmark = pytest.mark.django_db
ClientAs = Callable[[str], Client]


@pytest.fixture(autouse=True)
def fresh(settings: Any) -> Iterator[None]:
    settings.QUEUE_BOUNDS = {"C1": 40, "C2": 20, "C3": 5}
    forget_reading()
    pressure.forget_caps()
    yield
    forget_reading()
    pressure.forget_caps()


def text(client: Client, url: str = "/load/", **headers: str) -> str:
    response = client.get(url, headers=headers)
    assert response.status_code == 200
    bare = re.sub(r"<[^>]+>", " ", response.content.decode())
    return " ".join(bare.split())


def row_of(client: Client, cls: str) -> str:
    html = client.get("/load/").content.decode()
    found = re.search(rf'<tr data-class="{cls}">.*?</tr>', html, re.S)
    assert found
    return " ".join(re.sub(r"<[^>]+>", " ", found[0]).split())


def publish(*, window_s: int) -> None:
    """A contract of the airline's job that leaves people so much time."""
    version = contract_version(JOB)
    version.pk, version.number = None, version.number + 1
    version.document = {
        "job": JOB, "name": "Cancel", "owner": "Dana", "purpose": "p", "outcome": {},
        "agent": {"slug": "a"}, "tools": [{"name": "t"}],
        "decisions": {"policy": "airline", "window_s": window_s},
    }  # fmt: skip
    version.save(force_insert=True)
    version.job.current_number = version.number
    version.job.save()


def test_an_idle_tower_takes_everything_in(client_as: ClientAs) -> None:
    said = text(client_as("operator"))
    assert "Every class is taken in, and people keep up" in said
    assert "Nothing is deferred, no run was rejected" in said
    assert "No cap is set" in said
    assert "Nothing to draw yet" in said


def test_a_full_queue_is_told_with_its_bound_and_when_to_come_again(client_as: ClientAs) -> None:
    RunFactory.create_batch(6, state="queued", criticality_class=3)
    client = client_as("operator")

    said = text(client)

    assert "New work is being held back" in said
    assert "C3 batch is shed, callers are told to retry in 1 min" in said
    assert "Queue full: 6 runs of equal or higher priority (limit 5)" in said
    assert "shed retry in 1 min" in row_of(client, "C3")
    assert "taken in" in row_of(client, "C2")
    assert "never shed" in row_of(client, "C0")


def test_what_was_held_back_is_listed_with_why(client_as: ClientAs) -> None:
    now = timezone.now()
    later = now + timedelta(seconds=40)
    RunFactory.create_batch(
        3, state="shed", criticality_class=3, admission_reason="too much waits",
        deferred_until=later,
    )  # fmt: skip
    RunFactory.create(state="accepted", admission_reason="people are busy", deferred_until=later)
    RunFactory.create(
        state="shed", admission_reason="long ago", created_at=now - timedelta(hours=1)
    )

    said = text(client_as("operator"))

    assert f"shed {JOB} C3 3 too much waits" in said
    assert f"deferred {JOB} C2 1 people are busy" in said
    assert "long ago" not in said


def test_a_job_that_waits_for_people_says_so(client_as: ClientAs) -> None:
    publish(window_s=1800)
    RunFactory.create_batch(10, state="waiting_approval", had_hold=True, started_at=timezone.now())
    ApprovalFactory.create_batch(20)

    said = text(client_as("operator"))

    assert (
        f"{JOB} is deferred: its approval would wait 40 min, and people have 30 min to answer"
        in said
    )
    assert f"{JOB} 100 % 20 0 0.5 expected 40 min 30 min" in said


def test_tools_show_limits_breakers_and_budgets(client_as: ClientAs) -> None:
    told = {"limit": 3.6, "ceiling": 16, "in_use": 3, "waiting": 2, "drops": 7}
    for n in (1, 2):
        Worker.objects.create(
            name=f"w{n}", kind="drainer", pid=n, host="h", limits={"airline/look@job v1": told}
        )
    Breaker.objects.create(tool_name="airline/look", state="open")
    Budget.objects.create(tool_name="airline/look", tokens=4, refused=9)
    StepFactory.create(run=RunFactory.create(), state="running", tool_name="look")

    said = text(client_as("operator"))

    assert "airline/look 1 6 6 32 in 2 workers 4 14 Open 4 9 put off" in said


def test_a_work_horse_that_ended_tells_its_limit_until_another_does(client_as: ClientAs) -> None:
    told = {"limit": 2.9, "ceiling": 16, "in_use": 3, "waiting": 2, "drops": 7}
    ended = {"kind": "drainer", "pid": 1, "host": "h", "stopping_at": timezone.now()}
    Worker.objects.create(name="old", limits={"airline/look@job v1": told}, **ended)
    client = client_as("operator")
    assert "airline/look 0 0 2 16 0 7 Closed full" in text(client)
    alive = {**told, "limit": 16, "drops": 0}
    Worker.objects.create(
        name="new", kind="drainer", pid=2, host="h", limits={"airline/look@job v1": alive}
    )
    assert "airline/look 0 3 16 16 2 0 Closed full" in text(client)


def test_an_administrator_caps_and_lifts(client_as: ClientAs) -> None:
    client = client_as("admin")
    held = StepFactory.create(
        run=RunFactory.create(), state="queued", waits_for=f"cap of 2 at once for job {JOB}",
        not_before=timezone.now() + timedelta(minutes=1),
    )  # fmt: skip
    form = {"scope": "job", "key": JOB, "max_in_flight": "2", "reason": "a slow week"}
    assert client.post("/load/caps/set/", form).status_code == 302
    assert client.post("/load/caps/set/", {**form, "max_in_flight": "3"}).status_code == 302

    cap = Cap.objects.get()
    assert (cap.max_in_flight, cap.per_minute, cap.changed_by) == (3, None, "user:admin")
    assert f"Job {JOB} 3 0 of 3 — a slow week" in text(client)

    gone = {"scope": "job", "key": JOB}
    assert client.post("/load/caps/remove/", gone).status_code == 302
    assert client.post("/load/caps/remove/", gone).status_code == 404
    held.refresh_from_db()
    assert (held.waits_for, held.not_before <= timezone.now()) == ("", True)
    kinds = Event.objects.order_by("id").values_list("kind", flat=True)
    assert list(kinds) == ["cap.set", "cap.set", "cap.removed"]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"max_in_flight": ""}, "max_in_flight"),
        ({"reason": ""}, "reason"),
        ({"key": "two words"}, "key"),
        ({"scope": "planet"}, "scope"),
        ({"key": "no-such-job"}, "key"),
        ({"scope": "tool", "key": "shop/no_such"}, "key"),
        ({"max_in_flight": "0"}, "max_in_flight"),
    ],
)
def test_a_cap_that_says_nothing_is_refused(
    client_as: ClientAs, changes: dict[str, str], field: str
) -> None:
    form = {"scope": "job", "key": JOB, "max_in_flight": "2", "reason": "r"} | changes
    client = client_as("admin")
    whole = client.post("/load/caps/set/", form)
    part = client.post("/load/caps/set/", form, headers={"HX-Request": "true"})

    assert (whole.status_code, part.status_code) == (422, 422)
    assert "<h1>Load</h1>" in whole.content.decode()
    for html in (whole.content.decode(), part.content.decode()):
        assert f'id="id_{field}_error"' in html
        for name in {"key", "max_in_flight", "reason"} - {field}:
            assert f'value="{form[name]}"' in html  # what was typed is kept
    assert not Cap.objects.exists()


def test_only_administrators_are_offered_caps(client_as: ClientAs) -> None:
    assert "Set a cap" in text(client_as("admin"))
    operator = client_as("operator")
    assert "Set a cap" not in text(operator)
    assert operator.post("/load/caps/set/", {}).status_code == 403


def test_the_poll_gets_the_first_half_only(client_as: ClientAs) -> None:
    said = text(client_as("operator"), **{"HX-Request": "true"})
    assert "Queues by class" in said
    assert "The last 15 minutes" not in said


def samples(*rows: dict[str, Any]) -> list[LoadSample]:
    start = timezone.now() - timedelta(seconds=10 * len(rows))
    return [LoadSample(at=start + timedelta(seconds=10 * n), **row) for n, row in enumerate(rows)]


def test_charts_show_levels_as_they_were_and_counters_as_rates(client_as: ClientAs) -> None:
    taken = samples(
        {"queued": {"2": 3, "3": 4}, "leases": 100},
        {"queued": {"2": 1}, "leases": 400},
        {"queued": {}, "leases": 20},  # the counter was reset
    )
    shown = {m.key: m for m in multiples(taken, urls={"queued": "/runs/"})}
    assert [v for _, v in shown["queued"].points] == [7, 1, 0]
    assert [v for _, v in shown["leases"].points] == [30.0]
    assert shown["leases"].latest == "30"
    assert '"/runs/"' in shown["queued"].figure_json

    LoadSample.objects.bulk_create(taken)
    said = text(client_as("operator"), "/load/charts/")
    assert "Runs waiting" in said
    assert "sampled by the sweeper" in said
    LoadSample.objects.order_by("-at").first().delete()  # type: ignore[union-attr]  # it is there
    LoadSample.objects.update(deferred=0)
    for sample in LoadSample.objects.all():
        LoadSample.objects.filter(pk=sample.pk).update(at=sample.at - timedelta(minutes=5))
    assert "the sweeper's last sample is from" in text(client_as("operator"), "/load/charts/")


def test_a_run_page_says_why_it_waits_or_was_turned_away(client_as: ClientAs) -> None:
    later = timezone.now() + timedelta(minutes=4)
    told = {"admission_reason": "people are busy", "deferred_until": later}
    waiting = RunFactory.create(state="accepted", **told)
    shed = RunFactory.create(state="shed", summary="Rejected (overload): full.", **told)
    client = client_as("operator")
    said = text(client, f"/runs/{waiting.id}/")
    assert "Deferred: people are busy" in said
    assert Step.objects.count() == 0
    assert "Rejected (overload): full." in text(client, f"/runs/{shed.id}/")
    assert Run.objects.filter(state="shed").exists()
    assert str(shed.id)[-8:] in text(client, "/runs/?state=shed")


@pytest.mark.parametrize(
    ("window_s", "said"),
    [
        (1800, "New runs are deferred: approvals are decided too slowly"),
        (3600, "New runs will soon be deferred: approvals are decided too slowly"),
    ],
)
def test_the_home_page_tells_people_before_a_job_waits_for_them(
    client_as: ClientAs, window_s: int, said: str
) -> None:
    publish(window_s=window_s)
    RunFactory.create_batch(10, state="waiting_approval", had_hold=True, started_at=timezone.now())
    ApprovalFactory.create_batch(20)

    for role in ("operator", "admin"):
        home = text(client_as(role), "/")
        assert said in home
        assert f"{JOB}: the next question would wait 40 min, and people have" in home


def test_the_home_page_is_calm_while_people_keep_up(client_as: ClientAs) -> None:
    publish(window_s=7200)
    RunFactory.create_batch(10, state="waiting_approval", had_hold=True, started_at=timezone.now())
    ApprovalFactory.create_batch(20)

    assert "decided too slowly" not in text(client_as("operator"), "/")


def test_tokens_that_a_worker_lays_by_are_no_load() -> None:
    rows = {"queued": {}, "deferred": 0, "open_approvals": 0}
    assert intake.note_load(rows, least_s=0, keep_s=900)
    journal.take_tokens(256)
    assert intake.note_load(rows, least_s=0, keep_s=900)

    first, second = LoadSample.objects.order_by("at")

    assert second.leases == first.leases
