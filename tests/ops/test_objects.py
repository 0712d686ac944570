"""Everything agents did to one object: what the database notes of each step, and the page of it."""

from __future__ import annotations

import csv
import html
import io
import json
import re
from collections.abc import Callable
from datetime import timedelta
from importlib import import_module
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from apps.audit.models import Event
from apps.ops.models import ObjectReference
from apps.ops.selectors import objects
from apps.runs.models import Run, Step
from tests.factories.approvals import ApprovalFactory
from tests.factories.objects import noted_at_once as noted_at_once  # a fixture of its name
from tests.factories.runs import RunFactory, StepFactory

ClientAs = Callable[[str], Client]
pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("noted_at_once")]
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["id", "order_id", "changes", "path", "item_ids", "x"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)
HOSTILE = "<script>alert(1)</script>'\"%_\\/#?&\u202e"


def text(response: Any) -> str:
    assert response.status_code == 200
    return " ".join(response.content.decode().split())


def named(arguments: Any, preview: Any = None) -> dict[str, str]:
    """Key → what it was called, of a call with these arguments."""
    with connection.cursor() as cursor:
        given = [json.dumps(arguments), json.dumps(preview) if preview is not None else None]
        cursor.execute("SELECT key, field FROM ops_objects_of(%s::jsonb, %s::jsonb)", given)
        return dict(cursor.fetchall())


# --- what is noted --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        ({"order_id": "#W2378156"}, {"w2378156": "order_id"}),
        ({"reservationId": "NQNU5R"}, {"nqnu5r": "reservationId"}),
        ({"id": 4711}, {"4711": "id"}),
        (
            {"flights": [{"flight_number": "HAT001", "date": "2024-05-21"}]},
            {"hat001": "flight_number"},
        ),
        ({"item_ids": ["17", 18, None, "17"]}, {"17": "item_ids", "18": "item_ids"}),
        ({"a": {"b": {"c": {"user_id": "ana"}}}}, {"ana": "user_id"}),
        ({"order_id": " #W1 "}, {"w1": "order_id"}),
        ({"order_id": "x"}, {}),
        ({"order_id": "#"}, {}),
        ({"order_id": "x" * 121}, {}),
        ({"order_id": True, "user_id": None, "item_id": {"id": []}}, {}),
        ({"paid": "12", "identity": "ana", "country_code": "US", "phone_number": "555123"}, {}),
        ({"amount": 4986, "reason": "NQNU5R"}, {}),
        ([], {}),
        ("order_id", {}),
        (None, {}),
    ],
)
def test_ids_are_what_a_calls_arguments_name_so(arguments: Any, found: dict[str, str]) -> None:
    assert named(arguments) == found


def test_what_a_preview_changes_is_named_too() -> None:
    changes = [
        {"path": "/reservations/Q69X3R/status", "after": "cancelled"},
        {"path": "/users/ana~1b~0c/balance", "before": 1},
        {"path": "status"},
        {"path": 7},
        "more",
    ]

    assert named({}, {"changes": changes}) == {"q69x3r": "reservations", "ana/b~c": "users"}
    assert named({"order_id": "q69x3r"}, {"changes": changes})["q69x3r"] == "order_id"


@given(arguments=JSON, preview=JSON)
def test_no_arguments_keep_a_step_from_being_recorded(arguments: Any, preview: Any) -> None:
    found = named(arguments, preview)

    assert len(found) <= 24
    assert all(1 < len(key) <= 120 for key in found)


def test_however_many_ids_a_call_names_few_are_noted() -> None:
    many = {"item_ids": [f"item-{n}" for n in range(1_000)]}
    long = {"order_id": "W1", "note": "x" * 200_000, "deep": {"user_id": "ana"}}

    assert len(named(many)) == 24
    assert named(long).get("w1") == "order_id"


def test_what_was_recorded_before_is_filled_in_piece_by_piece(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for n in range(7):
        run = RunFactory.create(customer=f"customer_{n}")
        StepFactory.create(run=run, arguments={"order_id": f"W{n}"})
    columns = ("key", "value", "field", "run_id", "step_id", "effect", "at")
    before = set(ObjectReference.objects.values_list(*columns))
    filling = import_module("apps.ops.migrations.0002_objects_of_earlier_steps")
    monkeypatch.setattr(filling, "PIECE", 2)
    ObjectReference.objects.filter(key__in=["w1", "w2", "customer_5"]).delete()

    with connection.schema_editor() as editor:
        filling.fill(None, editor)
        filling.fill(None, editor)

    assert set(ObjectReference.objects.values_list(*columns)) == before
    assert len(before) == ObjectReference.objects.count() == 14


# --- the page -------------------------------------------------------------------------------------


@pytest.mark.parametrize("printed", ["NQNU5R", "nqnu5r", "#NQNU5R", "  #nqnu5r "])
def test_all_of_it_is_told_however_its_id_was_printed(
    client_as: ClientAs, people: dict[str, Any], printed: str
) -> None:
    now = timezone.now()
    run = RunFactory.create()
    arguments = {"reservation_id": "NQNU5R"}
    read = StepFactory.create(
        run=run, seq=1, effect="read", tool_name="get_it", arguments=arguments, done=True
    )
    asked = StepFactory.create(run=run, seq=2, arguments=arguments, state="waiting_approval")
    ApprovalFactory.create(
        run_id=run.pk,
        step_id=asked.pk,
        state="rejected",
        reason="The trip was flown",
        decided_by=people["operator2"],
        decided_at=now,
    )
    other = RunFactory.create()
    StepFactory.create(run=other, seq=1, effect="write", arguments=arguments)
    StepFactory.create(arguments={"reservation_id": "OTHER1"})

    page = text(client_as("auditor").get("/objects/", {"id": printed}))

    rows = page.partition("<tbody>")[2].partition("</tbody>")[0]
    assert rows.count("<tr>") == 3
    assert rows.index(str(other.pk)) < rows.index(str(run.pk)), "the newest first"
    assert f"/runs/{run.pk}/?step={read.seq}" in rows
    assert "The trip was flown" in rows
    assert people["operator2"].display_name in rows
    assert "$1,240.00" in rows
    assert "Executed" in rows
    assert "OTHER1" not in page


def test_a_customers_page_has_the_runs_about_it(client_as: ClientAs) -> None:
    run = RunFactory.create(customer="aarav_garcia_1177")
    client = client_as("operator")

    page = text(client.get("/objects/", {"id": "Aarav_Garcia_1177"}))

    assert "A run about it" in page
    assert f"/runs/{run.pk}/" in page


def test_it_can_be_narrowed(client_as: ClientAs) -> None:
    arguments, now = {"order_id": "W1"}, timezone.now()
    made = {
        name: StepFactory.create(run=RunFactory.create(**of_run), arguments=arguments, **of_step)
        for name, of_run, of_step in (
            ("read", {}, {"effect": "read"}),
            ("write", {"domain_slug": "retail"}, {"effect": "write"}),
            ("old", {}, {"effect": "irreversible", "created_at": now - timedelta(days=3)}),
        )
    }
    ApprovalFactory.create(step_id=made["old"].pk)
    client = client_as("operator")

    def found(**query: str) -> set[str]:
        page = text(client.get("/objects/", {"id": "W1", **query}))
        return {name for name, step in made.items() if str(step.run_id) in page}

    assert found() == {"read", "write", "old"}
    assert found(kind="changes") == {"write", "old"}
    assert found(kind="reads") == {"read"}
    assert found(kind="asked") == {"old"}
    assert found(kind="runs") == set()
    assert found(domain="retail") == {"write"}
    since = (now - timedelta(days=1)).strftime("%Y-%m-%dT%H:%M")
    assert found(**{"from": since}) == {"read", "write"}
    assert found(to=since) == {"old"}
    page = text(client.get("/objects/", {"id": "W1", "kind": "nonsense", "from": "yesterday"}))
    assert "Not understood and left out: from, kind" in page


def test_every_line_is_on_one_page_and_costs_nothing_more(client_as: ClientAs) -> None:
    run, now = RunFactory.create(customer=""), timezone.now()
    for seq in range(1, objects.PAGE * 2 + 8):
        StepFactory.create(
            run=run,
            seq=seq,
            arguments={"order_id": "W1"},
            created_at=now - timedelta(minutes=seq // 7),  # many at one moment
        )
    client = client_as("operator")
    seen: list[int] = []
    link, costs = "/objects/?id=W1", set()
    while link:
        with CaptureQueriesContext(connection) as asked:
            page = client.get(link).content.decode()
        costs.add(sum("ops_objectreference" in q["sql"] for q in asked))
        seen += map(int, re.findall(rf"/runs/{run.pk}/\?step=(\d+)", page))
        following = re.search(r'href="([^"]+)"\s+rel="next"', page)
        link = f"/objects/{html.unescape(following[1])}" if following else ""

    assert sorted(seen) == list(range(1, objects.PAGE * 2 + 8))
    assert len(seen) == len(set(seen))
    assert len(costs) == 1


@pytest.mark.parametrize("name", ["id", "kind", "domain", "from", "to", "before"])
@pytest.mark.parametrize("value", [HOSTILE, "\x00", "9" * 400, "", "1.1", "-1.-1", "٣.٣"])
def test_an_address_from_outside_does_nothing(client_as: ClientAs, name: str, value: str) -> None:
    StepFactory.create(arguments={"order_id": "W1"})

    page = text(client_as("operator").get("/objects/", {"id": "W1", name: value}))

    assert "<script>alert" not in page


def test_an_id_from_outside_is_found_and_shown_as_text(client_as: ClientAs) -> None:
    run = RunFactory.create(customer="")
    StepFactory.create(run=run, arguments={"order_id": HOSTILE})

    page = text(client_as("operator").get("/objects/", {"id": HOSTILE}))

    assert str(run.pk) in page
    assert "<script>alert" not in page
    assert "U+202E" in page


@pytest.mark.parametrize("printed", ["W%", "W_", "%", "W", "W11"])
def test_only_the_whole_id_is_meant(client_as: ClientAs, printed: str) -> None:
    StepFactory.create(arguments={"order_id": "W1"})

    assert "No call and no run names it" in text(
        client_as("operator").get("/objects/", {"id": printed})
    )


def test_without_an_id_it_asks_which(client_as: ClientAs) -> None:
    assert "Which object?" in text(client_as("operator").get("/objects/"))


def test_the_same_as_a_file_and_who_took_it_is_kept(client_as: ClientAs) -> None:
    run = RunFactory.create(customer="")
    StepFactory.create(run=run, seq=3, arguments={"order_id": "=W1"}, tool_name="cancel_order")
    StepFactory.create(run=run, seq=4, arguments={"order_id": "=W1"}, effect="read")

    response = client_as("operator").get("/objects/export.csv", {"id": "=W1", "kind": "changes"})
    body = b"".join(response.streaming_content).decode()

    rows = list(csv.DictReader(io.StringIO(body.removeprefix("\ufeff"))))
    assert [(row["run"], row["step"], row["tool"]) for row in rows] == [
        (str(run.pk), "3", "cancel_order")
    ]
    assert not rows[0]["id"].startswith("="), "no formula"
    event = Event.objects.get(kind="evidence.exported", subject_type="object")
    assert event.subject_id == "=W1"


def test_what_was_practice_or_a_replay_is_told_from_real_work(client_as: ClientAs) -> None:
    for origin in ("real", "practice", "replay"):
        run = RunFactory.create(customer="", job_slug=f"job-of-{origin}", origin=origin)
        StepFactory.create(run=run, arguments={"order_id": "W1"})
    client = client_as("auditor")

    page = text(client.get("/objects/", {"id": "W1"}))
    found = b"".join(client.get("/objects/export.csv", {"id": "W1"}).streaming_content).decode()

    assert "job-of-practice (practice)" in page
    assert "job-of-replay (replay)" in page
    assert "job-of-real (" not in page
    rows = csv.DictReader(io.StringIO(found.removeprefix("\ufeff")))
    assert [row["origin"] for row in rows] == ["replay", "practice", "real"]


def test_it_goes_by_its_index_however_many_there_are() -> None:
    run = RunFactory.create(customer="")
    StepFactory.create(run=run, arguments={"order_id": "W1"})
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO ops_objectreference (key, value, field, run_id, step_id, effect, at)"
            " SELECT 'w' || g, 'w', 'order_id', %s, gen_random_uuid(), 'read', now()"
            " FROM generate_series(2, 20000) g",
            [run.pk],
        )
        cursor.execute("ANALYZE ops_objectreference")
        with CaptureQueriesContext(connection) as asked:
            objects.page(objects.ObjectFilter("#W1"))
        sql = next(q["sql"] for q in asked if "ops_objectreference" in q["sql"])
        cursor.execute(f"EXPLAIN {sql}")
        plan = "\n".join(row[0] for row in cursor.fetchall())

    assert "ops_objectreference_key" in plan
    assert "Seq Scan" not in plan


# --- ways to it -----------------------------------------------------------------------------------


def test_runs_are_searched_by_several_words_and_by_what_they_did(client_as: ClientAs) -> None:
    wanted = RunFactory.create(customer="aarav_garcia_1177", request="Please change my trip")
    StepFactory.create(run=wanted, arguments={"reservation_id": "NQNU5R"})
    other = RunFactory.create(customer="aarav_ahmed_6699", request="Hello")
    client = client_as("operator")

    for words in ("Aarav NQNU5R", "nqnu5r", "#NQNU5R change", '"change my" aarav'):
        page = text(client.get("/runs/", {"q": words}))
        assert f"run-{wanted.pk}" in page, words
        assert f"run-{other.pk}" not in page, words
    assert "Nothing matches" in text(client.get("/runs/", {"q": "ahmed NQNU5R"}))
    assert "/objects/?id=NQNU5R" in text(client.get("/runs/", {"q": "Aarav NQNU5R"}))


def test_it_is_reached_from_the_run_and_from_the_sheet(client_as: ClientAs) -> None:
    run = RunFactory.create(customer="sofia_kim_7287")
    step = StepFactory.create(run=run, seq=1, arguments={"order_id": "#W1&x"})
    approval = ApprovalFactory.create(run_id=run.pk, step_id=step.pk)
    client = client_as("operator")

    for address in (f"/runs/{run.pk}/", f"/runs/held/{approval.pk}/"):
        page = text(client.get(address))
        assert "/objects/?id=%23W1%26x" in page
        assert "/objects/?id=sofia_kim_7287" in page


def test_models_of_rows_that_are_gone_leave_a_line(client_as: ClientAs) -> None:
    step = StepFactory.create(arguments={"order_id": "W1"})
    Step.objects.filter(pk=step.pk).delete()
    Run.objects.filter(pk=step.run_id).delete()

    assert "no longer kept" in text(client_as("operator").get("/objects/", {"id": "W1"}))
