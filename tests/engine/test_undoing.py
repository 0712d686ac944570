"""Undoing against a real tool service: its ledger says what was undone, how often and in which
order."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone
from ruamel.yaml import YAML

from apps.accounts.models import User
from apps.audit.models import Event
from apps.calls.executor import ToolClient
from apps.kernel.errors import ConflictError
from apps.kernel.failpoints import VARIABLE
from apps.oversight.models import Approval
from apps.runs import reconcile, services
from apps.runs.domain.finding import FindingVerdict
from apps.runs.models import Receipt, Run, Step
from apps.runs.selectors.undo_plans import plan_of
from tests.engine.conftest import Tower, _apply
from tests.engine.shop import CONTRACT, POLICY, TOOLS, address, call
from tests.engine.test_drain import answer, drain, ledger
from tests.factories.accounts import UserFactory

USER, ORDER = "modify_user_address", "modify_pending_order_address"
FIELDS = ("address1", "address2", "city", "state", "country", "zip")
REFUSES = {"kind": "rate_limit", "tool": ORDER}  # turned away every time: not carried out
DONE = {"kind": "drop_reply", "tool": ORDER}  # carried out, and never said


def to(number: int) -> dict[str, Any]:
    """Arguments that send the order to a numbered street."""
    return {"order_id": "#P", **{k: v for k, v in address(number).items() if k != "user_id"}}


def before(table: str) -> dict[str, str]:
    return {name: f"preview.before.{table}.*.address.{name}" for name in FIELDS}


def undone_by(name: str) -> dict[str, Any] | None:
    if name == USER:
        return {"tool": USER, "arguments": {"user_id": "arguments.user_id", **before("users")}}
    if name == ORDER:
        return {"tool": ORDER, "arguments": {"order_id": "arguments.order_id", **before("orders")}}
    return None


@pytest.fixture
def shop(tower: Tower, request: pytest.FixtureRequest) -> Tower:
    """The shop, with addresses that can be put back."""
    yaml = YAML()
    pack = tower.folder / "retail" / "pack.yaml"
    document = yaml.load(pack)
    order = next(t for t in document["tools"] if t["name"] == USER) | {"name": ORDER}
    document["tools"].append(dict(order))
    for tool in document["tools"]:
        if tool["effect"] != "read":
            tool["preview"] = "tower_preview"
    yaml.dump(document, pack)
    terms = [
        {**deepcopy(CONTRACT["tools"][0]), "name": n, "compensation": undone_by(n)}
        for n in (*TOOLS, ORDER)
    ]
    yaml.dump({**CONTRACT, "tools": terms}, pack.parent / "jobs" / "shop.yaml")
    if "holds" in request.node.name:
        held = POLICY.replace('"return_delivered_order_items"', f'"{ORDER}"')
        _policy(pack.parent, held)
    with ThreadPoolExecutor(1) as thread:
        thread.submit(_apply, pack.parent).result()
    return tower


def _policy(pack: Path, text: str) -> None:
    path = pack / "policies" / "retail.yaml"
    yaml = YAML()
    document = yaml.load(path)
    document["policies"] = text
    yaml.dump(document, path)


@pytest.fixture
def operator(transactional_db: None) -> User:
    return UserFactory.create(role="operator")


def settle_in(world: str) -> None:
    """Whole addresses to begin with, so that they can be put back."""

    change(world, USER, **address(0))
    change(world, ORDER, **to(0))


def change(world: str, tool: str, **arguments: Any) -> None:
    """Somebody else changes a run's world."""

    async def call_it() -> None:
        async with ToolClient() as tools:
            result = await tools.call(
                "retail", tool, arguments, meta={"world": world}, call_id="else", timeout_s=9
            )
            assert not result.error, result

    asyncio.run(call_it())


def moved(tower: Tower) -> Run:
    """A run that moved the customer, then the order, then the customer again."""
    script = [
        call(USER, 0, **address(1)),
        call(ORDER, 1, **to(2)),
        call(USER, 2, **address(3)),
        {"done": "moved"},
    ]
    [run_id] = tower.start([script])
    settle_in(Run.objects.get(pk=run_id).context["world"])
    drain()
    for approval in Approval.objects.filter(state="pending"):
        answer(approval, approve=True)
        drain()
    run = Run.objects.get(pk=run_id)
    assert (run.state, run.outcome) == ("succeeded", "resolved")
    return run


def press(run: Run, person: User) -> None:
    services.undo_run(
        run.pk, actor=person, reason="wrong customer", plan_digest=plan_of(run).digest
    )


def fault(tower: Tower, *faults: dict[str, Any]) -> None:
    asyncio.run(tower.service.ask("tower_faults", faults=list(faults)))


def streets(tower: Tower, run: Run) -> tuple[str, str]:
    """Where the customer lives and where the order goes, as the shop says."""

    async def ask() -> tuple[str, str]:
        async with ToolClient() as tools:
            found = []
            for tool, arguments in (
                ("get_user_details", {"user_id": "ada_byron_1"}),
                ("get_order_details", {"order_id": "#P"}),
            ):
                result = await tools.call(
                    "retail",
                    tool,
                    arguments,
                    meta=run.context,
                    call_id=tool,
                    timeout_s=9,
                )
                found.append(result.content)
            return found[0], found[1]

    user, order = asyncio.run(ask())
    return tuple(next(f"{n} Road" for n in range(9) if f"{n} Road" in s) for s in (user, order))  # type: ignore[return-value]  # two of them


def tools_called(tower: Tower, run: Run) -> list[str]:
    """The shop's effects of this run, after the two that made its addresses whole."""
    return [e["tool"] for e in ledger(tower, run)][2:]


def undoings(run: Run) -> list[Step]:
    return list(Step.objects.filter(run=run, compensates_id__isnull=False).order_by("seq"))


def test_everything_is_put_back_from_the_last_to_the_first(shop: Tower, operator: User) -> None:
    run = moved(shop)
    assert streets(shop, run) == ("3 Road", "2 Road")

    press(run, operator)
    assert Run.objects.get().state == "compensating"
    drain()

    run.refresh_from_db()
    assert (run.state, run.outcome) == ("compensated", "compensated")
    assert streets(shop, run) == ("0 Road", "0 Road")
    assert tools_called(shop, run) == [USER, ORDER, USER, USER, ORDER, USER]
    keys = [e["key"] for e in ledger(shop, run)[2:]]
    assert len(set(keys)) == 6
    steps = list(Step.objects.filter(run=run).order_by("seq"))
    assert [s.compensates_id for s in steps[3:]] == [s.id for s in steps[2::-1]]
    assert Receipt.objects.filter(run_id=run.pk).count() == 6
    assert {s.priority for s in steps[3:]} == {0}
    kinds = list(Event.objects.filter(run_id=run.pk).order_by("pk").values_list("kind", flat=True))
    assert kinds.count("run.compensating") == kinds.count("run.compensated") == 1


def test_the_preview_asks_the_system_of_record(shop: Tower, settings: Any) -> None:
    run = moved(shop)
    lost = {"kind": "error_before", "tool": "tower_preview", "status": 500}

    seen = services.foresee(run, plan_of(run))
    assert [(f.item.step.seq, f.refusal, f.silent) for f in seen] == [
        (3, "", False),
        (2, "", False),
        (1, "", False),
    ]
    assert seen[0].item.arguments["address1"] == "1 Road"

    change(run.context["world"], "cancel_pending_order", order_id="#P", reason="no longer needed")
    assert "cannot be modified" in services.foresee(run, plan_of(run))[1].refusal
    fault(shop, lost)
    assert all(f.silent for f in services.foresee(run, plan_of(run)))
    fault(shop)
    settings.TOOL_SERVERS = {}
    assert all(f.silent for f in services.foresee(run, plan_of(run)))


def test_an_undoing_that_fails_stops_the_rest_and_is_tried_again(
    shop: Tower, operator: User
) -> None:
    run = moved(shop)
    fault(shop, REFUSES)

    press(run, operator)
    drain(linger_s=1.5)

    run.refresh_from_db()
    assert (run.state, run.error_class) == ("confirmation_unknown", "compensation_failed")
    assert [s.disposition for s in undoings(run)] == ["executed", "failed"]
    assert streets(shop, run) == ("1 Road", "2 Road")

    fault(shop)
    services.try_undoing_again(run.pk, 5, actor=operator, reason="the shop is back")
    drain()

    run.refresh_from_db()
    assert run.state == "compensated"
    assert [s.disposition for s in undoings(run)] == ["executed", "failed", "executed", "executed"]
    assert streets(shop, run) == ("0 Road", "0 Road")
    assert tools_called(shop, run) == [USER, ORDER, USER, USER, ORDER, USER]


def test_one_undone_by_hand_lets_the_rest_go_on(shop: Tower, operator: User) -> None:
    run = moved(shop)
    fault(shop, REFUSES)
    press(run, operator)
    drain(linger_s=1.5)
    fault(shop)

    assert services.settle_failed_undoing(
        run.pk, 5, verdict=FindingVerdict.GIVE_UP, evidence="it was shipped", person=operator
    )
    drain()

    run.refresh_from_db()
    assert (run.state, run.outcome) == ("compensated", "partly_compensated")
    assert "step 2" in run.summary
    assert streets(shop, run) == ("0 Road", "2 Road")


@pytest.mark.unkeyed
def test_an_undoing_whose_answer_is_lost_is_reconciled_and_goes_on(
    shop: Tower, operator: User
) -> None:
    run = moved(shop)
    fault(shop, {**DONE, "count": 1})

    press(run, operator)
    drain()

    run.refresh_from_db()
    assert (run.state, run.error_class) == ("confirmation_unknown", "compensation_unknown")
    step = undoings(run)[-1]
    assert step.state == "confirmation_unknown"
    with pytest.raises(ConflictError):
        press(run, operator)
    reconcile.resolve(
        step.id, round_number=1, verdict=FindingVerdict.HAPPENED, evidence="seen", person=operator
    )
    drain()

    run.refresh_from_db()
    assert run.state == "compensated"
    assert streets(shop, run) == ("0 Road", "0 Road")
    assert tools_called(shop, run) == [USER, ORDER, USER, USER, ORDER, USER]


@pytest.mark.unkeyed
def test_a_lost_call_is_said_to_have_happened_and_undone(shop: Tower, operator: User) -> None:
    shop.start([[call(USER, 0, **address(1)), call(ORDER, 1, **to(2)), {"done": "moved"}]])
    settle_in(Run.objects.get().context["world"])
    fault(shop, {**DONE, "count": 1})
    drain()
    step = Step.objects.get(state="confirmation_unknown")

    assert reconcile.resolve(
        step.id, round_number=1, verdict=FindingVerdict.UNDO, evidence="seen", person=operator
    )
    drain()

    run = Run.objects.get()
    assert run.state == "compensated"
    assert streets(shop, run) == ("0 Road", "0 Road")
    assert tools_called(shop, run) == [USER, ORDER, ORDER, USER]


def test_an_undoing_that_policy_holds_waits_for_a_person(shop: Tower, operator: User) -> None:
    run = moved(shop)

    press(run, operator)
    drain()

    run.refresh_from_db()
    assert run.state == "compensating"
    assert undoings(run)[-1].state == "waiting_approval"
    assert Approval.objects.get(state="pending").sentence.startswith("Undo step 2: ")
    answer(Approval.objects.get(state="pending"), approve=False)
    drain()
    run.refresh_from_db()
    assert (run.state, run.error_class) == ("confirmation_unknown", "compensation_failed")
    assert undoings(run)[-1].disposition == "rejected"

    services.try_undoing_again(run.pk, 5, actor=operator, reason="talked about it")
    drain()
    for _ in range(2):  # it was rejected just now: one person more has to agree
        answer(Approval.objects.get(state="pending"), approve=True)
    drain()
    assert Run.objects.get().state == "compensated"
    assert streets(shop, run) == ("0 Road", "0 Road")


def test_a_run_can_be_undone_long_after_its_deadline(shop: Tower, operator: User) -> None:
    run = moved(shop)
    Run.objects.update(deadline_at=timezone.now() - timedelta(days=30))

    press(Run.objects.get(), operator)
    drain()

    assert Run.objects.get().state == "compensated"
    assert streets(shop, run) == ("0 Road", "0 Road")


@pytest.mark.slow
@pytest.mark.parametrize("point", ["after_call", "after_commit"])
def test_a_worker_killed_between_undoings_undoes_each_once(
    shop: Tower, operator: User, point: str
) -> None:
    run = moved(shop)
    press(run, operator)

    shop.env[VARIABLE] = f"{point}:kill:1"
    shop.worker()
    shop.env.pop(VARIABLE)
    shop.spawn("sweep")
    killed = undoings(run)

    def meanwhile() -> None:
        if sum(p.poll() is None for p in shop.processes) < 3:
            shop.worker()

    shop.wait([run.pk], states={"compensated"}, seconds=90, meanwhile=meanwhile)

    assert killed
    assert streets(shop, run) == ("0 Road", "0 Road")
    assert tools_called(shop, run) == [USER, ORDER, USER, USER, ORDER, USER]
    assert [s.disposition for s in undoings(run)] == ["executed"] * 3
