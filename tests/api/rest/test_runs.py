"""Start, read and cancel over HTTP: every status a machine can meet."""

from __future__ import annotations

import json
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.db.models.functions import Now
from django.utils import timezone

from apps.api.models import Idempotency
from apps.audit import services as audit
from apps.audit.models import Event
from apps.kernel import exactjson
from apps.runs.models import Run, RunResult, RunScript, Step
from tests.api.rest.conftest import RUNS, Machine, Make
from tests.catalog.test_models import SPARE, apply_careful
from tests.factories.runs import RunFactory, eventful_run

pytestmark = pytest.mark.django_db


def told(response: Any, status: int, code: str) -> dict[str, Any]:
    """The problem document of a response, which must be one."""
    assert response.status_code == status, response.content
    assert response["Content-Type"] == "application/problem+json"
    body = response.json()
    assert body["status"] == status
    assert body["code"] == code
    assert {"type", "title", "detail"} <= body.keys()
    return dict(body)


def test_a_run_is_started_and_can_be_read(erp: Machine) -> None:
    response = erp.start()

    assert response.status_code == 202, response.content
    body = response.json()
    run = Run.objects.get()
    assert body["id"] == str(run.pk)
    assert body["state"] == "queued"
    assert body["agent"] == {"kind": "reference", "label": "script given by erp"}
    assert response["Location"] == body["links"]["self"] == f"{RUNS}/{run.pk}"
    assert body["url"].endswith(f"/runs/{run.pk}/")
    assert (body["reason"], body["deferred_until"], body["outcome"]) == ("", None, "")
    assert "Idempotent-Replayed" not in response
    assert (run.source, run.case_ref, run.customer) == ("api", "ticket-7", "ida")
    assert run.request == "My robot is broken."
    assert run.input == {"request": "My robot is broken.", "order": "W12"}
    assert erp.get(body["links"]["self"]).json()["id"] == body["id"]
    assert Event.objects.get(kind="run.accepted").actor == "service:erp"


def test_the_same_request_again_is_the_same_answer(erp: Machine) -> None:
    first = erp.start("k1")
    Run.objects.update(state="running")  # it went on meanwhile

    again = erp.start("k1")

    assert again.status_code == 200
    assert again.content == first.content
    assert again["Idempotent-Replayed"] == "true"
    assert Run.objects.count() == 1


def test_white_space_and_the_order_of_keys_make_no_other_request(erp: Machine) -> None:
    one = '{"job":"toys-refund","input":{"request":"a","order":"W1"},"script":[]}'
    other = '{ "script": [], "input": {"order":"W1", "request":"a"},\n "job":"toys-refund" }'
    key = {"Idempotency-Key": "k"}

    assert erp.call("post", RUNS, one, **key).status_code == 202
    assert erp.call("post", RUNS, other, **key).status_code == 200


def test_the_same_key_with_another_body_is_refused(erp: Machine) -> None:
    erp.start("k1")

    body = told(erp.start("k1", customer="otto"), 422, "idempotency_mismatch")

    assert body["field"] == "Idempotency-Key"
    assert "new key" in body["fix"]
    assert Run.objects.count() == 1


def test_the_same_key_at_another_address_is_refused(erp: Machine) -> None:
    run_id = erp.start("k1").json()["id"]

    told(erp.cancel(run_id, "k1"), 422, "idempotency_mismatch")

    assert Run.objects.get().state == "queued"


def test_while_the_first_is_at_work_the_second_waits(erp: Machine) -> None:
    erp.start("k1")
    Idempotency.objects.update(is_done=False, status=None, body="")

    response = erp.start("k1")

    body = told(response, 409, "idempotency_running")
    assert 1 <= int(response["Retry-After"]) <= 2
    assert body["retry_after"] == int(response["Retry-After"])


@pytest.mark.parametrize("key", ["", "x" * 256, "schlüssel"])
def test_without_a_usable_key_nothing_starts(erp: Machine, key: str) -> None:
    headers = {"Idempotency-Key": key} if key else {}
    code = "idempotency_key" if key else "idempotency_key_missing"
    started = {"job": "toys-refund", "input": {"request": "a"}, "script": []}

    body = told(erp.call("post", RUNS, started, **headers), 400, code)

    assert body["field"] == "Idempotency-Key"
    assert "UUID" in body["fix"]
    told(erp.call("post", f"{RUNS}/{uuid4()}/cancel", {"reason": "r"}, **headers), 400, code)
    assert not Run.objects.exists()


def test_two_machines_may_use_the_same_key(erp: Machine, machines: Make) -> None:
    other = machines("crm")

    assert erp.start("k1").status_code == 202
    assert other.start("k1").status_code == 202
    assert Run.objects.count() == 2


def test_another_token_of_the_account_repeats_the_same_request(
    erp: Machine, machines: Make
) -> None:
    """Tokens are changed now and then: a retry with the new one must not begin anew."""
    first = erp.start("k1")
    renewed = machines("crm")
    renewed.account.tokens.update(account=erp.account)

    again = renewed.start("k1")

    assert again.status_code == 200
    assert again.content == first.content


def test_what_was_refused_may_be_mended_under_the_same_key(erp: Machine) -> None:
    wrong = erp.start("k1", input={"request": 7, "ordr": "W1"})

    body = told(wrong, 422, "invalid_input")
    assert {e["field"] for e in body["errors"]} == {"/input/request", "/input/ordr"}
    assert all(e["fix"] for e in body["errors"])
    assert "“order”" in next(e["fix"] for e in body["errors"] if e["field"] == "/input/ordr")
    assert not Idempotency.objects.exists()
    assert erp.start("k1").status_code == 202


@pytest.mark.parametrize(
    "context", [{"run": "x"}, {"a b": "x"}, {"tenant": "x" * 201}, {"tenant": 5}, ["tenant"]]
)
def test_a_context_that_is_no_small_texts_by_name_is_refused(erp: Machine, context: Any) -> None:
    body = erp.start("k1", context=context)

    assert body.status_code == 422
    assert body.json()["errors"][0]["field"].startswith("/context")
    assert not Run.objects.exists()


def test_a_run_keeps_its_context(erp: Machine) -> None:
    assert erp.start("k1", context={"tenant": "north"}).status_code == 202

    assert Run.objects.get().context == {"tenant": "north"}


def test_an_unknown_job_is_named(erp: Machine) -> None:
    body = told(erp.start(job="nonsense"), 422, "no_such_job")

    assert body["field"] == "/job"
    assert body["fix"]


def test_without_a_script_a_live_model_is_needed(erp: Machine, settings: Any) -> None:
    body = told(erp.start("k1", script=None), 503, "no_model")
    assert body["fix"]

    settings.MODEL, settings.MODEL_URL = "gpt-x", "http://127.0.0.1:9/v1"
    response = erp.start("k1", script=None, messages=[{"role": "customer", "content": "Hello"}])

    assert response.status_code == 202, response.content
    assert response.json()["agent"] == {"kind": "model", "label": "live model gpt-x"}
    assert Run.objects.get().agent_version.agent.slug == "toys-model"


def test_a_run_whose_model_has_no_key_does_not_begin(
    erp: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    apply_careful(tmp_path)
    asked = {"script": None, "messages": [{"role": "customer", "content": "Hello"}]}

    body = told(erp.start("k1", **asked), 503, "no_model")

    assert "TOWER_MODEL_KEY_CAREFUL, which is not set" in body["detail"]
    assert not Run.objects.exists()
    monkeypatch.setenv("TOWER_MODEL_KEY_CAREFUL", "k3y")
    response = erp.start("k2", **asked)
    assert response.status_code == 202, response.content
    assert response.json()["agent"] == {"kind": "model", "label": "live model careful v1"}


def test_a_run_begins_where_a_fallback_of_its_contract_can_be_asked(
    erp: Machine, tmp_path: Path, settings: Any
) -> None:
    apply_careful(tmp_path, SPARE)
    settings.MODEL, settings.MODEL_URL = "gpt-x", "http://127.0.0.1:9/v1"
    asked = {"script": None, "messages": [{"role": "customer", "content": "Hello"}]}

    response = erp.start("k1", **asked)

    assert response.status_code == 202, response.content
    assert response.json()["agent"]["label"] == "live model spare"


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"jbo": "x"}, "/jbo"),
        ({"job": ""}, "/job"),
        ({"messages": [{"role": "tower", "content": "x"}]}, "/messages/0/role"),
        ({"script": [{"say": "a", "hear": "b"}]}, "/script/0"),
        ({"script": [{}]}, "/script/0"),
        ({"customer": "x" * 121}, "/customer"),
    ],
)
def test_a_wrong_body_names_field_and_fix(
    erp: Machine, changes: dict[str, Any], field: str
) -> None:
    body = told(erp.start(**changes), 422, "invalid_request")

    assert body["field"] == field
    assert body["fix"]
    assert not Idempotency.objects.exists()


@pytest.mark.parametrize("sent", ["{", "[]", '{"a": NaN}', "[" * 100_000, '"\\ud800"'])
def test_what_is_no_object_is_refused_politely(erp: Machine, sent: str) -> None:
    response = erp.call("post", RUNS, sent, **{"Idempotency-Key": "k"})

    assert response.status_code in {400, 422}
    assert response["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("value", "code"),
    [
        ('"nul \\u0000"', "nul"),
        ('"\\ud800"', "not_unicode"),
        ("NaN", "not_exact"),
        ("-Infinity", "not_exact"),
        ("1e5000", "not_exact"),
        ("9" * 4301, "not_exact"),
        ("[" * 200 + "]" * 200, "too_deep"),
    ],
)
def test_what_can_not_be_carried_is_refused_by_its_place(
    erp: Machine, value: str, code: str
) -> None:
    call = f'{{"call": {{"tool": "find_order", "args": {{"order_id": {value}}}}}}}'
    sent = f'{{"job": "toys-refund", "script": [{call}]}}'
    body = told(erp.call("post", RUNS, sent, **{"Idempotency-Key": "k"}), 422, code)

    assert body["field"].startswith("/script/0/call/args/order_id")
    assert body["fix"]
    assert not Run.objects.exists()


def test_a_key_that_stands_twice_is_refused_by_name(erp: Machine) -> None:
    sent = '{"job": "toys-refund", "input": {"request": "a", "request": "b"}, "script": []}'
    body = told(erp.call("post", RUNS, sent, **{"Idempotency-Key": "k"}), 422, "key_twice")

    assert "'request'" in body["detail"]
    assert not Run.objects.exists()


def test_equal_numbers_make_the_same_request_and_keep_their_digits(erp: Machine) -> None:
    def sent(number: str) -> str:
        call = f'{{"tool": "find_order", "args": {{"order_id": {number}}}}}'
        asked = '{"request": "a", "order": "W1"}'
        return f'{{"job": "toys-refund", "input": {asked}, "script": [{{"call": {call}}}]}}'

    long = "12345678901234567890.10"
    first = erp.call("post", RUNS, sent(long), **{"Idempotency-Key": "k"})
    again = erp.call("post", RUNS, sent("1234567890123456789010e-2"), **{"Idempotency-Key": "k"})
    other = erp.call("post", RUNS, sent("12345678901234567890"), **{"Idempotency-Key": "k"})

    assert (first.status_code, again.status_code) == (202, 200), first.content
    assert again["Idempotent-Replayed"] == "true"
    assert other.status_code == 422
    step = Step.objects.get(run_id=first.json()["id"])
    assert step.arguments == {"order_id": Decimal("12345678901234567890.1")}


def test_a_body_that_is_too_large_says_so(erp: Machine, settings: Any) -> None:
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 100

    told(erp.start(), 413, "too_large")


def test_a_run_is_cancelled_once_and_the_answer_kept(erp: Machine) -> None:
    run_id = erp.start().json()["id"]

    first = erp.cancel(run_id, "c1")
    again = erp.cancel(run_id, "c1")

    assert first.status_code == again.status_code == 200
    assert first.json()["state"] == "cancelled"
    assert again.content == first.content
    assert again["Idempotent-Replayed"] == "true"
    assert Event.objects.filter(kind="run.cancelled", actor="service:erp").count() == 1


def test_a_run_that_ended_cannot_be_cancelled(erp: Machine) -> None:
    run = RunFactory.create(done=True)

    told(erp.cancel(str(run.pk)), 409, "run_ended")
    told(erp.cancel(str(uuid4()), "other"), 404, "not_found")
    assert not Idempotency.objects.exists()


def test_runs_are_listed_page_by_page(erp: Machine) -> None:
    made = [str(r.pk) for r in RunFactory.create_batch(5)]
    RunFactory.create(done=True)

    found, path = [], f"{RUNS}?state=running&limit=2"
    while path:
        page = erp.get(path).json()
        assert len(page["runs"]) <= 2
        found += [r["id"] for r in page["runs"]]
        path = page["next"]

    assert found == made[::-1]
    run = RunFactory.create(case_ref="ticket/ä 1")
    assert [r["id"] for r in erp.get(f"{RUNS}?reference=ticket/ä%201").json()["runs"]] == [
        str(run.pk)
    ]
    told(erp.get(f"{RUNS}?cursor=nonsense"), 422, "invalid_input")
    assert told(erp.get(f"{RUNS}?limit=101"), 422, "invalid_request")["field"] == "limit"
    assert told(erp.get(f"{RUNS}?state=thinking"), 422, "invalid_request")["field"] == "state.0"


def test_steps_and_receipts_tell_what_was_done(erp: Machine) -> None:
    run = eventful_run()

    steps = erp.get(f"{RUNS}/{run.pk}/steps").json()["steps"]
    receipts = erp.get(f"{RUNS}/{run.pk}/receipts").json()["receipts"]

    assert [s["seq"] for s in steps] == [1, 2, 3, 4, 5, 6, 7]
    assert [s["state"] for s in steps[4:]] == ["failed", "confirmation_unknown", "waiting_approval"]
    assert steps[1]["attempts"] == 3
    assert [r["seq"] for r in receipts] == [1, 2, 3]
    assert {r["provider_ref"] for r in receipts} == {"ledger/41"}
    told(erp.get(f"{RUNS}/{uuid4()}/steps"), 404, "not_found")


def test_events_are_caught_up_with_without_a_gap(erp: Machine) -> None:
    ids = [erp.start().json()["id"] for _ in range(3)]
    unsealed = erp.get("/api/v1/events").json()
    audit.seal()

    found, after, more = [], 0, True
    while more:
        page = erp.get(f"/api/v1/events?after={after}&limit=2").json()
        found += page["events"]
        after, more = page["next_after"], page["more"]

    assert unsealed["events"] == []
    assert [e["run"] for e in found if e["kind"] == "run.accepted"] == ids
    assert {e["kind"].split(".")[0] for e in found} <= {"run", "step", "approval"}
    seqs = [e["seq"] for e in found]
    assert seqs == sorted(set(seqs))
    assert after == page["head"]
    mine = erp.get(f"/api/v1/events?run={ids[1]}").json()["events"]
    assert {e["run"] for e in mine} == {ids[1]}
    assert erp.get(f"/api/v1/events?after={2**63}").status_code == 422


def test_a_deferred_run_says_until_when_and_why(erp: Machine, monkeypatch: Any) -> None:
    _admission(monkeypatch, state="accepted", reason="The people who decide are busy.", minutes=10)

    response = erp.start()

    body = response.json()
    assert response.status_code == 202
    assert body["state"] == "accepted"
    assert body["deferred_until"]
    assert body["reason"] == "The people who decide are busy."


def test_a_shed_run_frees_its_key(erp: Machine, monkeypatch: Any) -> None:
    with monkeypatch.context() as context:
        _admission(context, state="shed", reason="Too much to do.", minutes=2)

        response = erp.start("k1")

    body = told(response, 429, "shed")
    assert body["detail"] == "Too much to do."
    assert 100 <= int(response["Retry-After"]) <= 120
    assert erp.start("k1").status_code == 202
    assert sorted(Run.objects.values_list("state", flat=True)) == ["queued", "shed"]


def _admission(monkeypatch: Any, *, state: str, reason: str, minutes: int) -> None:
    """Admission as a run meets it: its row says that it comes later, or not at all."""

    def start(case: Any, *, actor: str) -> Any:
        contract = Run._meta.get_field("contract_version").related_model
        run = RunFactory.create(
            id=case.id,
            state=state,
            admission_reason=reason,
            contract_version=contract.objects.get(pk=case.contract_version_id),
            deferred_until=timezone.now() + timedelta(minutes=minutes),
        )
        return run.pk

    monkeypatch.setattr("apps.api.services.running.start_run", start)


def test_a_key_that_outlived_its_time_begins_anew(
    erp: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("apps.api.services.idempotency.PRUNING_EACH", 1)
    first = erp.start("k1").json()["id"]
    erp.start("old")
    past = Now() - timedelta(days=1)
    Idempotency.objects.update(expires_at=past, claimed_until=past)

    again = erp.start("k1")

    assert again.status_code == 202
    assert again.json()["id"] != first
    erp.start("new")  # takes the outlived ones away
    assert set(Idempotency.objects.values_list("key", flat=True)) == {"k1", "new"}


def test_keys_are_kept_for_thirty_days_at_least(erp: Machine) -> None:
    erp.start("k1")

    row = Idempotency.objects.get()
    assert row.expires_at - row.created_at >= timedelta(days=30)


def test_the_description_names_every_operation(client: Any) -> None:
    document = client.get("/api/v1/openapi.json").json()

    assert document["openapi"].startswith("3.1")
    start = document["paths"]["/api/v1/runs"]["post"]
    assert {"200", "202", "400", "409", "422", "429"} <= start["responses"].keys()
    assert start["security"] == [{"Bearer": []}]
    assert any(p["name"] == "Idempotency-Key" and p["required"] for p in start["parameters"])
    assert set(document["paths"]) == {
        "/api/v1/runs",
        "/api/v1/runs/{run_id}",
        "/api/v1/runs/{run_id}/cancel",
        "/api/v1/runs/{run_id}/steps",
        "/api/v1/runs/{run_id}/receipts",
        "/api/v1/events",
    }
    json.dumps(document)


def test_an_address_that_is_not_there_is_a_problem_too(erp: Machine) -> None:
    told(erp.get("/api/v1/nonsense"), 404, "no_such_address")
    told(erp.call("delete", RUNS), 405, "no_such_method")


def test_what_nobody_foresaw_is_a_problem_and_is_logged(
    erp: Machine, monkeypatch: Any, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: Any, **__: Any) -> Any:
        raise ZeroDivisionError("secret detail")

    with monkeypatch.context() as context:
        context.setattr("apps.api.services.running.start_run", fail)
        body = told(erp.start("k"), 500, "our_fault")

    assert "secret detail" not in str(body)
    assert "ZeroDivisionError" in caplog.text
    assert f"incident {body['incident']}: POST" in caplog.text
    told(erp.start("k"), 409, "idempotency_running")  # what became of it is open: its lease runs


def test_numbers_are_told_as_the_pages_tell_them(erp: Machine) -> None:
    ended = {"finished_at": timezone.now(), "job_slug": "toys-refund"}
    RunFactory.create_batch(19, done=True, **ended)
    RunFactory.create_batch(2, state="succeeded", outcome="handed_over", **ended)
    RunFactory.create(state="cancelled", outcome="cancelled", **ended)
    RunFactory.create(job_slug="toys-refund")
    RunFactory.create(done=True, source="fork", **ended)
    since = f"{timezone.now() - timedelta(hours=1):%Y-%m-%dT%H:%M:%SZ}"

    def numbers(query: str = "") -> dict[str, Any]:
        path = f"{RUNS}?numbers=true&counted=true&limit=1&since={since}{query}"
        found: dict[str, Any] = erp.get(path).json()["numbers"]
        return found

    few = numbers()
    RunFactory.create(state="shed", outcome="shed", **ended)
    enough = numbers("&job=toys-refund")

    names = ("runs", "finished", "succeeded", "failed", "handed_over", "cancelled", "open")
    assert [few[name] for name in names] == [23, 19, 19, 0, 2, 1, 1]
    assert (few["success_share"], few["interval"]) == (None, None)
    assert (enough["finished"], enough["failed"], enough["success_share"]) == (20, 1, 19 / 20)
    assert enough["interval"] == pytest.approx([0.764, 0.991], abs=0.001)
    assert numbers("&source=fork")["runs"] == 1
    assert numbers("&job=nothing")["runs"] == 0
    assert erp.get(RUNS).json()["numbers"] is None
    assert told(erp.get(f"{RUNS}?numbers=true"), 422, "invalid_input")["field"] == "since"


def test_runs_are_listed_by_what_they_count_as(erp: Machine) -> None:
    handed = RunFactory.create(state="succeeded", outcome="handed_over")
    fork = RunFactory.create(state="succeeded", outcome="handed_over", source="fork")
    RunFactory.create(done=True)

    def ids(query: str) -> set[str]:
        return {run["id"] for run in erp.get(f"{RUNS}?{query}").json()["runs"]}

    assert ids("counts_as=handed_over") == ids("outcome=handed_over")
    assert ids("counts_as=handed_over") == {str(handed.pk), str(fork.pk)}
    assert ids("counts_as=handed_over&counted=true") == {str(handed.pk)}
    assert len(ids("counts_as=handed_over&counts_as=success")) == 3
    assert erp.get(f"{RUNS}/{handed.pk}").json()["counts_as"] == "handed_over"
    assert told(erp.get(f"{RUNS}?counts_as=luck"), 422, "invalid_request")["field"]


def test_a_result_is_read_to_the_digit(erp: Machine) -> None:
    run = RunFactory.create(done=True)
    value = exactjson.loads('{"total":12345678901234567890.12345678901234567890,"none":null}')
    path = f"{RUNS}/{run.pk}"
    before = exactjson.loads(erp.get(path).content)
    assert (before["has_result"], before["result"]) == (False, None)

    RunResult.objects.create(run_id=run.pk, value=value)

    after = exactjson.loads(erp.get(path).content)
    assert (after["has_result"], after["result"]) == (True, value)
    assert after["result"]["total"] == Decimal("12345678901234567890.1234567890123456789")
    assert {**before, "has_result": True, "result": value} == after
    assert "result" not in erp.get(RUNS).json()["runs"][0], "a list of runs is no list of results"


def test_a_script_gives_a_result(erp: Machine) -> None:
    entries = [{"result": {"total": 7}}, {"result": None}, {"done": "x"}]
    body = erp.start(script=entries)

    assert body.status_code == 202, body.content
    assert RunScript.objects.get().items == [{"hear": "My robot is broken."}, *entries]
    assert erp.start(script=[{"result": 1, "done": "x"}]).status_code == 422


def test_the_document_of_the_api_tells_results(erp: Machine) -> None:
    told = erp.get("/api/v1/openapi.json").json()
    read = told["paths"]["/api/v1/runs/{run_id}"]["get"]["responses"]["200"]
    name = read["content"]["application/json"]["schema"]["$ref"].rsplit("/", 1)[-1]
    shape = told["components"]["schemas"][name]
    assert {"result", "has_result", "state"} <= set(shape["required"])
