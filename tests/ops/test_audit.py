from __future__ import annotations

import json
from uuid import uuid4

import pytest
from django.urls import reverse

from apps.audit import selectors
from apps.audit.models import Event

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


def test_a_filter_that_makes_no_sense_is_named(client_as):
    page = text_of(client_as("auditor").get(reverse("audit:list"), {"run": "x", "from": "y"}))

    assert "left out: run, from" in page


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

    lines = [json.loads(line) for line in response.getvalue().decode().splitlines()]
    assert [line["kind"] for line in lines] == ["run.finished", "run.created"]
    assert lines[1]["payload"] == {"n": 9007199254740991}


def test_verify_is_not_done_by_reading(client_as):
    assert client_as("auditor").get(reverse("audit:verify")).status_code == 405
