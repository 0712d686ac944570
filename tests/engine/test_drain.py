"""A lane drained in this process, against a real database and a real tool service."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from itertools import count
from typing import Any

import pytest
from django.db import OperationalError, connections
from psycopg.errors import DeadlockDetected

from apps.audit.domain.actors import Actor
from apps.audit.models import Event
from apps.audit.services import seal, verify
from apps.catalog.models import ContractVersion, ToolVersion
from apps.catalog.selectors import contracts, pinned
from apps.oversight.models import Approval
from apps.oversight.services import decide
from apps.policy.models import Decision
from apps.runs.engine import asking
from apps.runs.engine.drain import Drain
from apps.runs.journal import pressure
from apps.runs.journal.claiming import Parked
from apps.runs.models import Attempt, Message, Receipt, Run, Step
from apps.runs.services import cancel_run
from apps.runs.work import Claimed
from tests.engine import shop
from tests.engine.conftest import Tower
from tests.engine.shop import address, busy_script, call
from tests.factories.accounts import UserFactory

RETURN = {"order_id": "#D", "item_ids": ["red"], "payment_method_id": "card"}


def drain(**changes: Any) -> Any:
    """Drain the lane once in a loop of its own."""
    values = {"lane": "normal", "seconds": 20, "lease_s": 30, "in_flight": 50, **changes}
    return asyncio.run(Drain(**values).run())


def ledger(tower: Tower, run: Run) -> list[dict[str, Any]]:
    found = asyncio.run(tower.service.ask("tower_ledger", world=run.context["world"]))
    return found["entries"]


def test_runs_are_carried_to_their_end_with_evidence(tower: Tower) -> None:
    runs = tower.start([busy_script(3)] * 20)

    report = drain()

    assert set(Run.objects.values_list("state", "outcome")) == {("succeeded", "resolved")}
    assert report.steps == 20 * 6
    assert report.commits < report.steps
    assert Receipt.objects.count() == Decision.objects.count() == 20 * 6
    assert Attempt.objects.filter(outcome="ok").count() == 20 * 6
    for run in Run.objects.filter(id__in=runs[:3]):
        assert len(ledger(tower, run)) == 3


def test_an_identical_mutation_is_answered_with_the_first_receipt(tower: Tower) -> None:
    same = [call("modify_user_address", n, **address(1)) for n in range(3)]
    [run_id] = tower.start([[*same, {"done": "x"}]])

    drain()

    steps = list(Step.objects.filter(run_id=run_id).order_by("seq"))
    assert [s.disposition for s in steps] == ["executed", "deduplicated", "deduplicated"]
    assert steps[1].result == steps[0].result
    assert steps[2].deduplicated_from == steps[0].id
    assert len(ledger(tower, Run.objects.get())) == 1


def test_a_refusal_leaves_the_mutation_free_to_be_proposed_again(tower: Tower) -> None:
    gone = call("cancel_pending_order", 0, order_id="#D", reason="no longer needed")
    tower.start([[gone, gone, {"done": "x"}]])

    drain()

    assert set(Step.objects.values_list("disposition", flat=True)) == {"refused_by_tool"}
    assert Run.objects.get().outcome == "tool_refused"


def test_a_tool_outside_the_contract_is_denied_and_the_run_told(tower: Tower) -> None:
    tower.start([[call("calculate", 0, expression="1+1"), {"done": "x"}]])

    drain()

    step = Step.objects.get()
    assert (step.disposition, step.gate, step.attempts.count()) == ("denied", "deny", 0)
    assert Message.objects.filter(role="tower", content__contains="calculate").exists()
    run = Run.objects.get()
    assert (run.outcome, run.has_violation) == ("denied", True)


def test_arguments_that_do_not_fit_the_schema_never_reach_the_tool(tower: Tower) -> None:
    tower.start([[call("modify_user_address", 0, user_id=3), {"done": "x"}]])

    drain()

    step = Step.objects.get()
    assert (step.disposition, step.error_class) == ("denied", "schema")
    assert ledger(tower, Run.objects.get()) == []


def publish_anyway(model: type[ToolVersion] | type[ContractVersion], pk: int, **parts: Any) -> None:
    """Have a published document hold what a check of today would refuse."""
    row, table = model.objects.get(pk=pk), model._meta.db_table
    with connections["default"].cursor() as cursor:
        cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        model.objects.filter(pk=pk).update(document={**row.document, **parts})
        cursor.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")
    for cache in (pinned._tool, asking._schema, asking._tool_terms, contracts.contract):
        cache.cache_clear()


@pytest.mark.parametrize(
    "schema",
    [{"$ref": "file:///etc/hostname"}, {"$ref": "#"}, {"pattern": "(?=a)"}, {"type": 5}],
)
def test_a_published_schema_that_cannot_be_used_stops_its_own_steps_only(
    tower: Tower, schema: dict[str, Any]
) -> None:
    version = ToolVersion.objects.get(tool__name="modify_user_address")
    publish_anyway(ToolVersion, version.pk, input_schema=schema)
    look = call("get_user_details", 1, user_id="ada_byron_1")
    tower.start([[call("modify_user_address", 0, **address(1)), look, {"done": "x"}]] * 3)

    drain()

    stopped = Step.objects.filter(tool_name="modify_user_address")
    assert {(s.disposition, s.error_class) for s in stopped} == {("denied", "schema")}
    assert all("schema can't be used" in s.error for s in stopped)
    others = Step.objects.filter(tool_name="get_user_details")
    assert {s.disposition for s in others} == {"executed"}


def test_a_published_signal_that_cannot_be_tried_has_a_person_asked(tower: Tower) -> None:
    contract = ContractVersion.objects.get(job__slug="retail-shop")
    publish_anyway(ContractVersion, contract.pk, signals={"evil": r"(a|aa)+\1$"})
    look = call("get_user_details", 0, user_id="ada_byron_1")
    tower.start([[look, call("modify_user_address", 1, **address(1)), {"done": "x"}]])

    drain()

    read, change = Step.objects.order_by("seq")
    assert (read.disposition, change.state) == ("executed", "waiting_approval")
    rule = Approval.objects.get().rules[0]
    assert (rule["id"], "“evil”" in rule["reason"]) == ("signals_untried", True)


def held(tower: Tower, *more: dict[str, Any]) -> Approval:
    tower.start([[call("return_delivered_order_items", 0, **RETURN), *more, {"done": "x"}]])
    drain()
    run = Run.objects.get()
    assert run.state == "waiting_approval"
    assert ledger(tower, run) == []
    return Approval.objects.get()


@pytest.fixture
def reads_held(monkeypatch: pytest.MonkeyPatch) -> None:
    """The rule that holds returns holds a read."""
    rule = shop.POLICY.replace("return_delivered_order_items", "get_user_details")
    monkeypatch.setattr(shop, "POLICY", rule)


def test_a_held_read_is_asked_with_all_that_it_is_and_approved_once(
    reads_held: None, tower: Tower
) -> None:
    tower.start([[call("get_user_details", 0, user_id="ada_byron_1"), {"done": "x"}]])
    drain()

    asked = Approval.objects.get()
    assert asked.arguments == {"user_id": "ada_byron_1"}
    assert (asked.domain_slug, asked.job_slug) == ("retail", "retail-shop")
    answer(asked, approve=True)
    drain()

    assert not Approval.objects.filter(state="pending").exists()
    assert Step.objects.get().disposition == "executed"


def answer(approval: Approval, *, approve: bool) -> None:
    decide(
        approval_id=approval.id,
        user=UserFactory.create(role="operator"),
        approve=approve,
        reason="looked at it",
        digest=approval.digest,
        nonce="n1",
    )


def test_an_approved_step_resumes_by_itself_and_uses_its_approval_up(tower: Tower) -> None:
    approval = held(tower)

    answer(approval, approve=True)
    drain()

    step = Step.objects.get()
    assert (step.state, step.disposition, step.gate) == ("succeeded", "executed", "permit")
    approval.refresh_from_db()
    assert approval.consumed_at is not None
    [entry] = ledger(tower, Run.objects.get())
    assert entry["key"] == step.idempotency_key


def test_an_approval_serves_at_no_other_address(tower: Tower, settings: Any) -> None:
    approval = held(tower)
    answer(approval, approve=True)
    there = settings.TOOL_SERVERS
    settings.TOOL_SERVERS = {"retail": f"{tower.service.url}/of-another-company"}

    drain()

    settings.TOOL_SERVERS = there

    again = Approval.objects.get(state="pending")
    assert again.step_id == approval.step_id
    assert "the tool would be called at another address" in again.rules[0]["reason"]
    assert ledger(tower, Run.objects.get()) == []


def test_a_rejected_step_is_not_carried_out_and_the_run_goes_on(tower: Tower) -> None:
    approval = held(tower, call("modify_user_address", 1, **address(2)))

    answer(approval, approve=False)
    drain()

    assert [s.disposition for s in Step.objects.order_by("seq")] == ["rejected", "executed"]
    assert Message.objects.filter(role="tower", content__contains="looked at it").exists()
    assert [e["tool"] for e in ledger(tower, Run.objects.get())] == ["modify_user_address"]


def test_a_cancelled_run_asks_nobody_and_does_nothing_more(tower: Tower) -> None:
    approval = held(tower)

    cancel_run(Run.objects.get().id, actor=Actor.user("ops"), reason="customer called back")
    drain()

    approval.refresh_from_db()
    assert approval.state == "void"
    assert Step.objects.get().state == "cancelled"
    assert ledger(tower, Run.objects.get()) == []


@pytest.mark.parametrize("fault", [{"kind": "error_before"}, {"kind": "error_after"}])
def test_a_keyed_mutation_survives_an_error_of_the_server(
    tower: Tower, fault: dict[str, Any]
) -> None:
    asyncio.run(
        tower.service.ask(
            "tower_faults", faults=[{**fault, "tool": "modify_user_address", "count": 1}]
        )
    )
    tower.start([busy_script(1)])

    drain(linger_s=3)

    attempts = Attempt.objects.filter(step__tool_name="modify_user_address").order_by("number")
    assert [a.outcome for a in attempts] == ["retryable", "ok"]
    assert len(ledger(tower, Run.objects.get())) == 1


@pytest.mark.unkeyed
def test_an_unkeyed_mutation_whose_answer_is_lost_waits_for_a_person(tower: Tower) -> None:
    fault = {"kind": "drop_reply", "tool": "modify_user_address", "count": 1}
    asyncio.run(tower.service.ask("tower_faults", faults=[fault]))
    tower.start([busy_script(1)])

    drain(linger_s=1)

    step = Step.objects.get(tool_name="modify_user_address")
    assert (step.state, step.attempts.count()) == ("confirmation_unknown", 1)
    assert Run.objects.get().state == "confirmation_unknown"
    assert len(ledger(tower, Run.objects.get())) == 1


def test_no_more_calls_of_a_tool_are_made_at_once_than_its_contract_allows(tower: Tower) -> None:
    slow = {"kind": "delay", "tool": "cancel_pending_order", "seconds": 0.3}
    asyncio.run(tower.service.ask("tower_faults", faults=[slow]))
    cancel = call("cancel_pending_order", 0, order_id="#P", reason="no longer needed")
    tower.start([[cancel, {"done": "x"}]] * 6)

    drain()
    asyncio.run(tower.service.ask("tower_faults", faults=[]))

    spans = list(Attempt.objects.values_list("duration_ms", flat=True))
    ended = sorted(Step.objects.values_list("finished_at", flat=True))
    assert len(spans) == 6
    # Two at a time: three rounds of a third of a second lie between the first and the last end.
    assert (ended[-1] - ended[0]).total_seconds() >= 0.5


def test_every_transition_is_in_the_sealed_chain(tower: Tower) -> None:
    tower.start([busy_script(1)])
    drain()

    while seal():
        pass

    kinds = set(Event.objects.values_list("kind", flat=True))
    assert {"run.accepted", "step.succeeded", "run.succeeded"} <= kinds
    assert verify() == (Event.objects.count(), None)
    connections.close_all()


def test_a_commit_that_is_repeated_skips_nothing_of_the_script(
    tower: Tower, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a worker keeps of its runs is ahead of a transaction that PostgreSQL rolled back."""
    times, part = count(1), pressure.part

    def contradicted(works: Sequence[Claimed], **rest: bool) -> tuple[list[Claimed], list[Parked]]:
        found = part(works, **rest)
        if works and next(times) % 3 == 0:
            raise OperationalError("deadlock detected") from DeadlockDetected()
        return found

    monkeypatch.setattr(pressure, "part", contradicted)
    scripts = [busy_script(4)] * 5
    runs = tower.start(scripts)

    drain()

    wanted = [item["call"]["ref"] for item in scripts[0] if "call" in item]
    for run_id in runs:
        steps = Step.objects.filter(run_id=run_id).order_by("seq")
        assert list(steps.values_list("ref", flat=True)) == wanted
    assert set(Run.objects.values_list("outcome", flat=True)) == {"resolved"}
