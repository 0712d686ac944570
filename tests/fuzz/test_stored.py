"""Every page is drawn, and every decision taken, whatever stands where outside data is kept.

``make fuzz`` tries every variant; here it is a portion.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import OperationalError
from django.test import Client
from django.utils import timezone

from apps.accounts.models import User
from apps.audit.models import Event
from apps.catalog.domain.contract import parse
from apps.catalog.models import ContractVersion, ServerCheck, Tool, ToolServer, ToolVersion
from apps.kernel.ids import new_id
from apps.ops.selectors.detail import StepView
from apps.oversight.models import Approval
from apps.runs.models import Finding, Run, RunResult, RunScript, Step
from apps.runs.selectors.undo_plans import plan_of
from tests.factories.approvals import has_read, typed_to_confirm
from tests.factories.catalog import CONTRACT, apply_toys
from tests.factories.runs import StepFactory, eventful_run
from tests.fuzz import stored
from tests.fuzz.pages import _of_run

ClientAs = Callable[[str], Client]
VARIANTS = range(0, len(stored.JSON), stored.EVERY)
UNDONE_BY = {
    "tool": "book_reservation",
    "arguments": {"a": "result.x.y", "b": "preview.before.*", "c": "arguments.x", "d": "facts.x"},
}


@pytest.fixture(autouse=True)
def lanes(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    rung: list[str] = []
    monkeypatch.setattr("apps.runs.dispatch.ring", rung.append)
    return rung


def a_run(undone_by: dict[str, Any] = UNDONE_BY) -> Run:
    """A run in which everything happened, and whose contract says how it is undone."""
    run = eventful_run()
    contract = run.contract_version
    parsed = parse(CONTRACT).document
    terms = {**parsed["tools"][-1], "compensation": undone_by}
    names = ("cancel_reservation", "update_reservation_flights", "book_reservation")
    document = {**parsed, "tools": [{**terms, "name": name} for name in names]}
    number = ContractVersion.objects.count() + 10
    run.contract_version = ContractVersion.objects.create(
        job=contract.job, number=number, document=document, digest=str(number)
    )
    run.steps_total = 9
    run.save()
    RunScript.objects.create(run=run, items=[])
    RunResult.objects.create(run_id=run.id, value={})
    lost = run.steps.get(seq=6)
    Finding.objects.create(id=new_id(), step=lost, run_id=run.id, round=7, word="happened")
    StepFactory.create(run=run, seq=8, kind="agent", state="succeeded", disposition="executed")
    StepFactory.create(run=run, seq=9, state="failed", disposition="failed", error_class="poison")
    Event.objects.create(
        kind="step.lost", actor="x", subject_type="step", subject_id=str(lost.id), run_id=run.id
    )
    return run


def open_question(run: Run) -> Approval:
    return Approval.objects.get(run_id=run.id, state="pending")


def drawn(client: Client, path: str, about: object) -> bytes:
    response = client.get(path)
    body = b"".join(response.streaming_content) if response.streaming else response.content  # type: ignore[arg-type]
    assert response.status_code == 200, f"{path} {about}: {response.status_code} {body[-300:]!r}"
    assert b"unshown" not in body, f"{path} {about}: a part can't be shown"
    return body


@pytest.fixture
def quiet() -> Iterator[None]:
    logging.getLogger("apps.dashboards").setLevel(logging.CRITICAL)
    yield
    logging.getLogger("apps.dashboards").setLevel(logging.NOTSET)


def _pages(run: Run, other: Run) -> Iterator[str]:
    yield from _of_run(run.id, range(1, 10))
    question = open_question(run).pk
    yield from (f"/approvals/{question}/", f"/approvals/{question}/arguments.json")
    yield from (f"/approvals/?open={question}", "/approvals/?tab=decided", "/approvals/changes/")
    yield from (f"/runs/compare/?a={run.id}&b={other.id}", f"/runs/compare/?a={run.id}")
    yield from ("/", "/runs/", "/runs/export.csv", "/load/", "/stops/", "/outcomes/")
    yield f"/runs/{run.id}/steps/4/answer.json"


@pytest.mark.django_db
@pytest.mark.parametrize("number", VARIANTS)
def test_pages_of_runs_are_drawn(client_as: ClientAs, quiet: None, number: int) -> None:
    run, other = a_run(), a_run()
    Step.objects.filter(run=run, seq=4).update(result={"content": "x"})
    client, auditor = client_as("operator"), client_as("auditor")

    stored.fill(number, stored.OF_RUNS)

    for path in _pages(run, other):
        has_no_answer = Step.objects.filter(run=run, seq=4, result=None).exists()
        if not (path.endswith("answer.json") and has_no_answer):
            drawn(client, path, number)
    for path in ("/audit/", "/audit/export.ndjson"):
        drawn(auditor, path, number)


@pytest.mark.django_db
@pytest.mark.parametrize("number", VARIANTS)
def test_pages_of_tools_are_drawn(client_as: ClientAs, tmp_path: Path, number: int) -> None:
    apply_toys(tmp_path)
    ToolVersion.objects.update(served={}, served_digest="published")
    Tool.objects.update(live={}, live_digest="otherwise", live_since=timezone.now())
    server = ToolServer.objects.get(slug="toys")
    ServerCheck.objects.create(server=server, checked_at=timezone.now())
    admin = client_as("admin")

    stored.fill(number, stored.OF_TOOLS)

    for path in ("tools/toys/refund/", "tools/", "jobs/toys-refund/", ""):
        drawn(admin, f"/catalog/{path}", number)
    for path in ("/system/", "/"):
        drawn(admin, path, number)


def _decide(client: Client, run: Run, answer: str) -> None:
    question = open_question(run)
    said = {"answer": answer, "reason": "looked at it", "digest": question.digest}
    said |= {"nonce": new_id().hex, "dwell_ms": "5000", "confirm": typed_to_confirm(question)}
    has_read(question, User.objects.get(pk=client.session["_auth_user_id"]))

    told = client.post(f"/approvals/{question.pk}/decide/", said)

    assert told.status_code in (200, 302)
    assert Approval.objects.get(pk=question.pk).state in ("approved", "rejected")


def _cancel(client: Client, run: Run) -> None:
    told = client.post(f"/runs/{run.id}/cancel/", {"reason": "enough"})

    assert told.status_code == 302
    assert Run.objects.get(pk=run.pk).state in ("cancelled", "confirmation_unknown")


def _resolve(client: Client, run: Run) -> None:
    for state in ("running", "confirmation_unknown"):
        Run.objects.filter(pk=run.pk).update(state=state)
    lost = run.steps.get(seq=6)
    said = {"verdict": "give_up", "evidence": "asked them", "round": lost.attempts_made}

    told = client.post(f"/runs/{run.id}/steps/6/resolve/", {**said, "ticket": str(new_id())})

    assert told.status_code == 302
    assert Finding.objects.filter(step=lost, word="give_up").exists()


def _begin_over(run: Run) -> None:
    """Nothing of the run is open any more."""
    Approval.objects.filter(run_id=run.id).update(state="void")
    run.steps.exclude(state__in=["succeeded", "failed"]).update(state="failed")
    for state in ("running", "succeeded"):
        Run.objects.filter(pk=run.pk).update(state=state)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("number", VARIANTS[::2])
def test_an_ended_run_can_be_forked_and_undone(client_as: ClientAs, number: int) -> None:
    run, client = a_run({"tool": "book_reservation", "arguments": {}}), client_as("operator")
    _begin_over(run)
    stored.fill(number, stored.OF_RUNS)
    Step.objects.filter(run=run).update(
        tool_name="cancel_reservation", arguments={"x": 1}, idempotency_key="k"
    )
    said = {"reason": "wrong", "ticket": str(new_id())}

    forked = client.post(
        f"/runs/{run.id}/fork/start/", {**said, "after": 3, "contract": run.contract_version_id}
    )
    drawn(client, f"/runs/{run.id}/undo/", number)
    plan = plan_of(Run.objects.get(pk=run.pk)).digest
    undone = client.post(
        f"/runs/{run.id}/undo/begin/", {**said, "ticket": str(new_id()), "plan": plan}
    )

    assert (forked.status_code, undone.status_code) == (302, 302)
    assert Run.objects.get(pk=run.pk).state == "compensating"


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("number", VARIANTS[::2])
@pytest.mark.parametrize("decision", ["approve", "reject", "cancel", "resolve"])
def test_every_decision_stays_possible(client_as: ClientAs, number: int, decision: str) -> None:
    run, client = a_run(), client_as("operator")
    stored.fill(number, stored.OF_RUNS)

    if decision in ("approve", "reject"):
        _decide(client, run, decision)
    elif decision == "cancel":
        _cancel(client, run)
    else:
        _resolve(client, run)


@pytest.mark.django_db
def test_a_part_that_breaks_says_so_and_leaves_the_rest(
    client_as: ClientAs, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    run, client = a_run(), client_as("operator")

    def broken(view: Any) -> Any:
        raise RuntimeError("not thought of")

    monkeypatch.setattr(StepView, "answer", property(broken))
    page = client.get(f"/runs/{run.id}/steps/6/").content.decode()

    assert "What came back: this can't be shown" in page
    assert "Record what I found out" in page
    assert "not thought of" in caplog.text


@pytest.mark.django_db
def test_a_database_that_fails_is_told_for_the_whole_page(
    client_as: ClientAs, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, client = a_run(), client_as("operator")

    def broken(view: Any) -> Any:
        raise OperationalError("not a part's trouble")

    monkeypatch.setattr(StepView, "answer", property(broken))
    with pytest.raises(OperationalError):
        client.get(f"/runs/{run.id}/steps/6/")
