from __future__ import annotations

import json
from uuid import uuid4

import pytest
from django.db import connection, transaction
from django.urls import reverse

from apps.audit import selectors
from apps.audit.domain.actors import SWEEPER
from apps.audit.domain.caller import calling
from apps.audit.models import Event
from apps.audit.services import record
from tests.factories.approvals import ApprovalFactory
from tests.factories.runs import RunFactory

pytestmark = pytest.mark.django_db


def event(kind: str = "run.created", **fields) -> Event:
    values = {"actor": "ana", "subject_type": "run", "subject_id": "7", **fields}
    return Event.objects.create(kind=kind, **values)


def text_of(response) -> str:
    assert response.status_code == 200
    return response.content.decode()


def test_log_shows_what_happened(client_as):
    event(payload={"reason": "<script>alert(1)</script>"}, run_id=uuid4())

    page = text_of(client_as("auditor").get(reverse("audit:list")))

    assert "run.created" in page
    assert "&lt;script&gt;" in page
    assert "<script>alert" not in page


@pytest.mark.parametrize("name", ["operator", "product_manager"])
def test_log_is_for_auditors_and_admins(client_as, name):
    assert client_as(name).get(reverse("audit:list")).status_code == 403


def test_empty_log_and_empty_filter_are_told_apart(client_as):
    client, url = client_as("admin"), reverse("audit:list")

    assert "Nothing has happened yet" in text_of(client.get(url))
    assert "Nothing matches" in text_of(client.get(url, {"kind": "policy."}))


def test_a_filter_that_makes_no_sense_is_named_and_shows_nothing(client_as):
    event("run.finished")
    page = text_of(client_as("auditor").get(reverse("audit:list"), {"run": "x", "from": "y"}))

    assert "so nothing is shown: run, from" in " ".join(page.split())
    assert "run.finished" not in page


def test_pages_by_key_show_every_event_once():
    made = [event().pk for _ in range(selectors.PAGE + 3)]

    first = selectors.page(selectors.LogFilter())
    second = selectors.page(selectors.LogFilter(), before=first.older)

    assert [row.pk for row in [*first.rows, *second.rows]] == made[::-1]
    assert second.older is None


def test_filters():
    event(), event("run.finished"), event("approval.approved", actor="ben")

    kinds = [row.kind for row in selectors.page(selectors.LogFilter(kind="run.")).rows]
    actors = [row.actor for row in selectors.page(selectors.LogFilter(actor="ben")).rows]

    assert [kinds, actors] == [["run.finished", "run.created"], ["ben"]]


def test_export_is_one_event_a_line(client_as):
    event(payload={"n": 9007199254740991})
    event("run.finished")

    response = client_as("auditor").get(reverse("audit:export"), {"kind": "run."})

    *lines, end = [json.loads(line) for line in response.getvalue().decode().splitlines()]
    assert [line["kind"] for line in lines] == ["run.finished", "run.created"]
    assert lines[1]["payload"] == {"n": 9007199254740991}
    assert end == {"end": {"events": 2, "short": ""}}


def test_an_export_that_ends_short_says_so(client_as, monkeypatch):
    monkeypatch.setattr(selectors, "EXPORT_LIMIT", 3)
    monkeypatch.setattr(selectors, "EXPORT_CHUNK", 2)
    made = [event().pk for _ in range(4)]
    client, url = client_as("auditor"), reverse("audit:export")

    def taken(**query):
        text = client.get(url, {"kind": "run.", **query}).getvalue().decode()
        *lines, end = [json.loads(line) for line in text.splitlines()]
        return [line["id"] for line in lines], end["end"]

    short = "older events match too: ask for those before the last of these 3"
    assert taken() == (made[:0:-1], {"events": 3, "short": short})
    assert taken(subject_id="none") == ([], {"events": 0, "short": ""})
    monkeypatch.setattr(selectors, "EXPORT_LIMIT", 4)
    assert taken() == (made[::-1], {"events": 4, "short": ""})


def test_who_did_what_is_found_in_every_role(client_as):
    """As runs, approvals and accounts of every release wrote it."""
    old, new = event("run.cancelled", actor="operator"), event("x.y", actor="user:operator")
    event("a.b", actor="service:operator")

    for typed in ("operator", "user:operator"):
        rows = selectors.page(selectors.LogFilter(actor=typed)).rows
        assert [row.pk for row in rows] == [new.pk, old.pk]


def test_what_happens_on_a_request_bears_where_it_came_from_and_is_found_together(client_as):
    client = client_as("auditor")

    answer = client.get(reverse("audit:export"), {"kind": "none."}, REMOTE_ADDR="203.0.113.7")
    answer.getvalue()
    name = answer.headers["X-Request-ID"]
    client.get(reverse("audit:export"), REMOTE_ADDR="::ffff:10.0.0.1%eth").getvalue()

    told, other = Event.objects.filter(kind="evidence.exported").order_by("id")
    assert told.payload == {"kind": "none.", "via": {"from": "203.0.113.7", "request": name}}
    assert other.request != name
    rows = selectors.page(selectors.LogFilter(request=name)).rows
    assert [row.pk for row in rows] == [told.pk]
    page = text_of(client.get(reverse("audit:list"), {"request": name}))
    assert "evidence.exported" in page
    assert f"?request={name}" in page


def test_a_name_that_a_caller_brings_is_not_believed(client_as):
    answer = client_as("auditor").get(
        reverse("audit:list"),
        headers={"X-Request-ID": "somebody-elses", "X-Forwarded-For": "1.1.1.1"},
    )

    assert answer.headers["X-Request-ID"] != "somebody-elses"


def test_what_happens_on_no_request_bears_none():
    with calling("not an address", "r1"), transaction.atomic():
        record(kind="a.b", actor=SWEEPER, subject_type="x", subject_id=1, payload={"n": 1})
    with transaction.atomic():
        record(kind="a.b", actor=SWEEPER, subject_type="x", subject_id=2)

    on_one, on_none = Event.objects.order_by("id")
    assert on_one.payload == {"n": 1, "via": {"from": "", "request": "r1"}}
    assert (on_none.payload, on_none.request) == ({}, "")


def test_a_request_is_found_by_its_index():
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        rows = selectors.LogFilter(request="r1").rows()
        plan = rows.explain()

    assert "audit_event_request" in plan


def test_the_kinds_of_things_that_it_tells_of_are_offered(client_as):
    for kind in ("run", "job", "approval", "run"):
        event(subject_type=kind)

    assert selectors.about() == ["approval", "job", "run"]
    assert "<option>job</option>" in text_of(client_as("auditor").get(reverse("audit:list")))


@pytest.mark.parametrize(("risk", "kept"), [(2, 0), (3, 1), (4, 1)])
def test_who_read_the_evidence_of_a_high_question_is_kept(client_as, risk, kept):
    approval = ApprovalFactory.create(risk=risk)
    client = client_as("operator")
    for _ in range(2):  # one reading
        assert client.get(reverse("approvals:detail", args=[approval.pk])).status_code == 200

    rows = Event.objects.filter(kind="evidence.read", subject_id=str(approval.pk))
    assert rows.count() == kept
    assert {row.actor for row in rows} == ({"user:operator"} if kept else set())


@pytest.mark.parametrize(
    "show",
    [
        lambda client, pk: client.get("/approvals/", {"open": pk}),
        lambda client, pk: client.post(f"/approvals/{pk}/decide/", {}),
        lambda client, pk: client.post(f"/approvals/{pk}/undo/"),
        lambda client, pk: client.post(f"/approvals/{pk}/claim/"),
        lambda client, pk: client.post(f"/approvals/{pk}/escalate/", {}),
    ],
    ids=["beside the list", "a refused answer", "a refused undo", "a claim", "a refused call"],
)
def test_no_way_to_the_evidence_of_a_high_question_is_unseen(client_as, show):
    approval = ApprovalFactory.create(risk=3)

    page = show(client_as("operator"), approval.pk).content.decode()

    assert 'data-part="arguments"' in page
    row = Event.objects.get(kind="evidence.read")
    assert (row.subject_id, row.actor) == (str(approval.pk), "user:operator")


def test_whoever_takes_runs_away_is_kept(client_as):
    run = RunFactory.create()
    client = client_as("product_manager")
    client.get(reverse("runs:export_csv"), {"state": "queued"}).getvalue()
    client.get(reverse("runs:export_json", args=[run.pk]))

    listed, one = Event.objects.filter(kind="evidence.exported").order_by("id")
    assert (listed.subject_type, listed.payload["query"]) == ("runs", "state=queued")
    assert (one.subject_id, one.run_id, one.actor) == (str(run.pk), run.pk, "user:product_manager")


def test_verify_is_not_done_by_reading(client_as):
    assert client_as("auditor").get(reverse("audit:verify")).status_code == 405
