from __future__ import annotations

import re
from uuid import uuid4

import pytest
from django.conf import settings as configured
from django.test import Client
from django.urls import reverse

from apps.audit import registry
from apps.audit.models import DeadLetter, Event, Subscription
from apps.runs.models import Worker
from tests.audit.subscribing import HEARD, subscriber

pytestmark = pytest.mark.django_db
OURS = {"engine_version": configured.ENGINE_VERSION}  # a worker of this release


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
        Worker.objects.create(name=f"{kind}-1", kind=kind, pid=1, host="here", **OURS)
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
    Worker.objects.create(name="drainer-1", kind="drainer", pid=1, host="here", **OURS)
    Worker.objects.update(seen_at="2026-01-01T00:00Z")

    page = client_as("auditor").get(reverse("api:system")).content.decode()

    assert "No worker has sent a heartbeat" in page


def dead_letter() -> DeadLetter:
    Subscription.objects.create(name="tests.mail", position=9, tries=2, error="<b>no</b>")
    heard = event("run.failed")
    return DeadLetter.objects.create(
        subscription_id="tests.mail", event=heard, tries=8, error="<script>x</script>\u202e"
    )


def test_the_system_page_tells_of_subscribers_and_what_they_did_not_get(client_as):
    dead_letter()

    page = client_as("operator").get(reverse("api:system")).content.decode()
    letters = client_as("operator").get(reverse("api:dead_letters")).content.decode()

    assert "Tests: mail" in page
    assert "1 event could not be delivered to “Tests: mail”" in page
    assert "run.failed" in letters
    assert "&lt;script&gt;x" in letters
    assert "Deliver again" not in letters, "an operator may look, not deliver"
    assert "\u202e" not in letters


def test_an_admin_delivers_a_dead_letter_again(client_as):
    letter = dead_letter()
    HEARD.clear()
    admin, url = client_as("admin"), reverse("api:deliver_again", args=[letter.pk])
    assert "Deliver again" in admin.get(reverse("api:dead_letters")).content.decode()

    lost = admin.post(url, follow=True).content.decode()
    assert "Nobody is subscribed as “tests.mail” any more" in lost
    with registry.also(subscriber("tests.mail")):
        done = admin.post(url, follow=True).content.decode()
        again = admin.post(url, follow=True).content.decode()

    assert "Delivered." in done
    assert "No dead letters" in done
    assert "delivered meanwhile" in again
    heard = [subject for subject, _ in HEARD]
    assert heard == [letter.event.subject_id]
    assert client_as("operator").post(url).status_code == 403
    assert admin.post(reverse("api:deliver_again", args=[letter.pk + 9])).status_code == 404
    row = Event.objects.get(kind="subscription.delivered_again")
    assert row.actor.startswith("user:")


def test_dead_letters_come_in_pages(client_as):
    first = dead_letter()
    for _ in range(60):
        DeadLetter.objects.create(
            subscription_id="tests.mail", event=event("run.failed"), tries=8, error="no"
        )
    client, url = client_as("auditor"), reverse("api:dead_letters")

    page = client.get(url).content.decode()
    older = re.search(r"\?before=(\d+)", page)
    assert older is not None
    assert page.count('<th scope="row">') == 50
    rest = client.get(url, {"before": older[1]}).content.decode()
    assert rest.count('<th scope="row">') == 11
    assert client.get(url, {"before": "x"}).status_code == 200
    assert first.pk < int(older[1])
