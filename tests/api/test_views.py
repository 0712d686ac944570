from __future__ import annotations

from uuid import uuid4

import pytest
from django.test import Client
from django.urls import reverse

from apps.audit.models import Event
from apps.runs.models import Worker

pytestmark = pytest.mark.django_db


def event(kind: str, **fields) -> Event:
    return Event.objects.create(
        kind=kind, actor="engine", subject_type="run", subject_id="7", **fields
    )


def test_alive_needs_no_login_and_asks_nothing(django_assert_num_queries):
    with django_assert_num_queries(0):
        response = Client().get(reverse("api:health"))

    assert [response.status_code, response.content] == [200, b"ok\n"]


def test_ready_names_what_is_missing():
    before = Client().get(reverse("api:ready"))
    for kind in ("drainer", "sweeper"):
        Worker.objects.create(name=f"{kind}-1", kind=kind, pid=1, host="here")
    after = Client().get(reverse("api:ready"))

    told = before.json()
    assert {problem["kind"] for problem in told.pop("problems")} == {"sweeper", "worker"}
    assert [before.status_code, told] == [
        503,
        {"status": "degraded", "database": True, "redis": True, "worker": False},
    ]
    assert [after.status_code, after.json()["status"]] == [200, "ready"]


def test_ready_without_redis_is_degraded(settings):
    settings.REDIS_URL = "redis://127.0.0.1:1/0"

    response = Client().get(reverse("api:ready"))

    assert [response.status_code, response.json()["redis"]] == [503, False]


def test_heads_say_how_far_each_stream_is(client_as):
    run = uuid4()
    first, second = event("run.created", run_id=run), event("approval.requested")
    query = {"streams": f"runs,approvals,tower,run:{run}"}

    found = client_as("operator").get(reverse("api:heads"), query).json()

    assert found == {
        "head": {
            "runs": first.pk,
            "approvals": second.pk,
            "tower": second.pk,
            f"run:{run}": first.pk,
        }
    }


def test_events_tell_what_was_missed(client_as):
    first, second = event("run.created"), event("step.ended")
    event("approval.requested")
    client, url = client_as("operator"), reverse("api:events")

    found = client.get(url, {"stream": "runs", "after": first.pk}).json()

    assert found == {
        "events": [{"stream": "runs", "seq": second.pk, "kind": "step.ended", "id": "7"}],
        "head": second.pk,
    }


@pytest.mark.parametrize(
    ("name", "query", "status"),
    [
        ("api:events", {"stream": "audit"}, 403),
        ("api:events", {"stream": "nonsense"}, 403),
        ("api:events", {"stream": "runs", "after": "-1"}, 422),
        ("api:events", {"stream": "runs", "after": "9" * 30}, 422),
        ("api:heads", {"streams": "audit"}, 403),
        ("api:heads", {"streams": "run:" + "f" * 36}, 403),
    ],
)
def test_streams_that_are_not_for_this_person(client_as, name, query, status):
    assert client_as("operator").get(reverse(name), query).status_code == status


def test_system_page_shows_a_silent_worker(client_as):
    Worker.objects.create(name="drainer-1", kind="drainer", pid=1, host="here")
    Worker.objects.update(seen_at="2026-01-01T00:00Z")

    page = client_as("auditor").get(reverse("api:system")).content.decode()

    assert "No worker has been heard of" in page
