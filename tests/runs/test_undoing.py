"""People undo runs: who may, what they see, what they agree to, who wins, and what ends it."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier
from typing import Any

import pytest
from django.db import connections
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from apps.accounts.models import User
from apps.audit.models import Event
from apps.catalog.models import ContractVersion, Tool, ToolVersion
from apps.kernel.errors import ConflictError, InvalidInputError, NotPermittedError
from apps.kernel.ids import new_id
from apps.ops.selectors.undoing import nested
from apps.runs import reconcile, services
from apps.runs.domain.finding import FindingVerdict
from apps.runs.models import Finding, Intent, Run, Step
from apps.runs.selectors.undo_plans import plan_of
from apps.workers import recovery
from tests.factories.runs import DecisionFactory, StepFactory
from tests.runs.conftest import Scene

pytestmark = pytest.mark.django_db(transaction=True)
ClientAs = Callable[[str], Client]


@pytest.fixture(autouse=True)
def rung(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    lanes: list[str] = []
    monkeypatch.setattr("apps.runs.dispatch.ring", lanes.append)
    return lanes


def terms(scene: Scene, undone_by: Any) -> ContractVersion:
    """The next version of the scene's contract, which says how a refund is undone."""
    look = Tool.objects.get(name="look")
    if not Tool.objects.filter(name="charge").exists():
        charge = Tool.objects.create(
            domain=look.domain, server=look.server, name="charge", current_number=1
        )
        ToolVersion.objects.create(
            tool=charge, number=1, fingerprint="charge", effect="irreversible", idempotency="keyed",
            document={"name": "charge", "title": "Charge", "sentence": "Charge {order} again"},
        )  # fmt: skip
    tools = [{"name": "look"}, {"name": "refund", "compensation": undone_by}, {"name": "charge"}]
    return ContractVersion.objects.create(
        job=scene.contract.job,
        number=ContractVersion.objects.count() + 1,
        document={**scene.contract.document, "tools": tools},
        digest=str(ContractVersion.objects.count()),
    )


def refunded(scene: Scene, count: int = 2, **run: Any) -> Run:
    """A run that refunded some orders; a refund is undone by charging the same order."""
    contract = terms(scene, {"tool": "charge", "arguments": {"order": "arguments.order"}})
    refund = ToolVersion.objects.get(tool__name="refund")
    ended = {"state": "succeeded", "outcome": "resolved", "steps_total": count}
    row = scene.run(**{**ended, "contract_version": contract, "finished_at": timezone.now(), **run})
    for seq in range(1, count + 1):
        done = StepFactory.create(
            run=row, seq=seq, done=True, tool_name="refund", tool_version=refund,
            effect="irreversible", arguments={"order": f"#{seq}"}, idempotency_key=f"k{seq}",
        )  # fmt: skip
        Intent.objects.create(run=row, key=f"k{seq}", step=done)
    return row


def press(run: Run, person: User, **changes: Any) -> None:
    values = {"reason": "wrong customer", "plan_digest": plan_of(run).digest, **changes}
    services.undo_run(run.pk, actor=person, **values)


def undoings(run: Run) -> list[Step]:
    return list(Step.objects.filter(run=run, compensates_id__isnull=False).order_by("seq"))


def fail(run: Run, disposition: str = "refused_by_tool") -> Step:
    """Let the undoing under way fail, as the engine does; the sweep carries the run on."""
    step = undoings(run)[-1]
    Step.objects.filter(pk=step.pk).update(state="running")
    Step.objects.filter(pk=step.pk).update(
        state="failed", disposition=disposition, error="order is closed", attempts_made=1
    )
    recovery.carry_on_undoing()
    step.refresh_from_db()
    return step


def succeed(run: Run) -> None:
    step = undoings(run)[-1]
    Step.objects.filter(pk=step.pk).update(state="running")
    Step.objects.filter(pk=step.pk).update(state="succeeded", disposition="executed")
    recovery.carry_on_undoing()


def after(run: Run) -> Run:
    return Run.objects.get(pk=run.pk)


def test_the_press_begins_with_the_last_effect(
    scene: Scene, people: dict[str, User], rung: list[str]
) -> None:
    run = refunded(scene, deadline_at=timezone.now() - timedelta(days=3))

    press(run, people["operator"])

    now = after(run)
    assert (now.state, now.outcome, now.criticality_class) == ("compensating", "", 0)
    assert now.deadline_at > timezone.now()
    assert now.finished_at is None
    [step] = undoings(run)
    assert (step.tool_name, step.arguments, step.priority) == ("charge", {"order": "#2"}, 0)
    assert (step.seq, step.state, step.effect) == (3, "queued", "irreversible")
    assert step.compensates_id == Step.objects.get(run=run, seq=2).pk
    assert len(step.idempotency_key) == 64
    assert rung == ["normal"]
    event = Event.objects.get(kind="run.compensating")
    assert event.payload["reason"] == "wrong customer"
    assert event.payload["was"]["state"] == "succeeded"
    succeed(run)
    succeed(run)
    assert (after(run).state, after(run).outcome) == ("compensated", "compensated")
    assert after(run).finished_at is not None
    assert [s.seq for s in nested(list(Step.objects.filter(run=run).order_by("seq")))] == [
        1,
        4,
        2,
        3,
    ]


@pytest.mark.parametrize("state", ["failed", "cancelled"])
def test_every_ended_run_can_be_undone(scene: Scene, people: dict[str, User], state: str) -> None:
    run = refunded(scene, state=state)

    press(run, people["operator"])

    assert after(run).state == "compensating"


def test_a_plan_that_changed_begins_nothing(scene: Scene, people: dict[str, User]) -> None:
    run = refunded(scene)
    seen = plan_of(run).digest
    Step.objects.filter(run=run, seq=2).update(arguments={"order": "#9"})

    with pytest.raises(ConflictError) as caught:
        press(run, people["operator"], plan_digest=seen)

    assert caught.value.code == "plan_changed"
    assert after(run).state == "succeeded"
    assert not undoings(run)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"state": "running"}, "still at work"),
        ({"state": "compensated"}, "already"),
        ({"state": "shed"}, "still at work"),
    ],
)
def test_a_run_that_is_not_over_is_refused(
    scene: Scene, people: dict[str, User], change: dict[str, str], says: str
) -> None:
    run = refunded(scene, **change)

    with pytest.raises(ConflictError, match=says):
        press(run, people["operator"])


def test_a_call_under_way_is_waited_for(scene: Scene, people: dict[str, User]) -> None:
    run = refunded(scene, state="cancelled")
    StepFactory.create(run=run, seq=3, tool_name="refund", state="running", intent_open=True)

    with pytest.raises(ConflictError, match="step 3"):
        press(run, people["operator"])


def test_only_operators_and_only_with_a_reason(scene: Scene, people: dict[str, User]) -> None:
    run = refunded(scene)

    with pytest.raises(NotPermittedError):
        press(run, people["admin"])
    with pytest.raises(InvalidInputError):
        press(run, people["operator"], reason="  ")
    assert after(run).state == "succeeded"


def test_of_many_presses_one_begins(scene: Scene, people: dict[str, User]) -> None:
    run = refunded(scene)
    digest, barrier = plan_of(run).digest, Barrier(6)

    def try_it(_: int) -> str:
        barrier.wait()
        try:
            press(run, people["operator"], plan_digest=digest)
        except ConflictError:
            return "conflict"
        finally:
            connections.close_all()
        return "begun"

    with ThreadPoolExecutor(6) as pool:
        said = list(pool.map(try_it, range(6)))

    assert sorted(said) == ["begun", *["conflict"] * 5]
    assert len(undoings(run)) == 1
    assert Event.objects.filter(kind="run.compensating").count() == 1


@pytest.mark.parametrize("how", ["refused_by_tool", "denied"])
def test_a_failed_undoing_waits_for_a_person_and_is_never_dropped(
    scene: Scene, people: dict[str, User], how: str
) -> None:
    run = refunded(scene)
    press(run, people["operator"])

    failed = fail(run, how)

    now = after(run)
    assert (now.state, now.error_class) == ("confirmation_unknown", "compensation_failed")
    assert recovery.end_overdue_runs() == 0
    with pytest.raises(ConflictError):
        services.cancel_run(run.pk, actor=people["operator"], reason="away with it")
    with pytest.raises(ConflictError):
        press(run, people["operator"])
    services.try_undoing_again(run.pk, failed.seq, actor=people["operator"], reason="mended")
    with pytest.raises(ConflictError):
        services.try_undoing_again(run.pk, failed.seq, actor=people["operator"], reason="twice")
    first, second = undoings(run)
    assert first.idempotency_key == second.idempotency_key
    assert first.compensates_id == second.compensates_id
    assert after(run).state == "compensating"


@pytest.mark.parametrize(
    ("verdict", "outcome"),
    [(FindingVerdict.HAPPENED, "compensated"), (FindingVerdict.GIVE_UP, "partly_compensated")],
)
def test_what_a_person_settles_lets_the_rest_go_on(
    scene: Scene, people: dict[str, User], verdict: FindingVerdict, outcome: str
) -> None:
    run = refunded(scene)
    press(run, people["operator"])
    failed = fail(run)
    said = {"verdict": verdict, "evidence": "called the bank", "person": people["operator"]}

    assert services.settle_failed_undoing(run.pk, failed.seq, **said)

    assert after(run).state == "compensating"
    assert undoings(run)[-1].arguments == {"order": "#1"}
    succeed(run)
    assert (after(run).state, after(run).outcome) == ("compensated", outcome)
    with pytest.raises(ConflictError):
        services.settle_failed_undoing(run.pk, failed.seq, **said)


def test_from_risk_high_on_two_people_say_it(scene: Scene, people: dict[str, User]) -> None:
    run = refunded(scene)
    press(run, people["operator"])
    failed = fail(run)
    DecisionFactory.create(run_id=run.pk, step_id=failed.pk, risk=3)
    said = {"verdict": FindingVerdict.GIVE_UP, "evidence": "too late"}

    assert not services.settle_failed_undoing(run.pk, failed.seq, person=people["operator"], **said)
    assert after(run).state == "confirmation_unknown"
    assert services.settle_failed_undoing(run.pk, failed.seq, person=people["operator2"], **said)
    assert after(run).state == "compensating"


@pytest.mark.parametrize(
    "verdict", [FindingVerdict.HAPPENED, FindingVerdict.TRY_AGAIN, FindingVerdict.GIVE_UP]
)
def test_a_lost_undoing_is_reconciled_and_the_undoing_goes_on(
    scene: Scene, people: dict[str, User], verdict: FindingVerdict
) -> None:
    run = refunded(scene)
    press(run, people["operator"])
    step = undoings(run)[0]
    for changes in (
        {"state": "running"},
        {"state": "confirmation_unknown", "disposition": "unknown", "attempts_made": 1},
    ):
        Step.objects.filter(pk=step.pk).update(**changes)
    Run.objects.filter(pk=run.pk).update(
        state="confirmation_unknown", error_class="compensation_unknown", deadline_at=timezone.now()
    )

    assert reconcile.resolve(
        step.pk, round_number=1, verdict=verdict, evidence="seen", person=people["operator"]
    )

    assert after(run).state == "compensating"
    step.refresh_from_db()
    if verdict is FindingVerdict.TRY_AGAIN:
        assert (step.state, len(undoings(run))) == ("queued", 1)
    else:
        assert undoings(run)[-1].arguments == {"order": "#1"}


def test_a_lost_call_can_be_said_to_have_happened_and_undone(
    scene: Scene, people: dict[str, User]
) -> None:
    run = refunded(scene, state="confirmation_unknown", error_class="unknown", outcome="")
    step = Step.objects.get(run=run, seq=2)
    Step.objects.filter(pk=step.pk).delete()
    lost = StepFactory.create(
        run=run, seq=2, tool_name="refund", tool_version=step.tool_version, effect="irreversible",
        arguments={"order": "#2"}, state="confirmation_unknown", disposition="unknown",
        intent_open=True, attempts_made=1, finished_at=timezone.now(),
    )  # fmt: skip

    assert reconcile.resolve(
        lost.pk,
        round_number=1,
        verdict=FindingVerdict.UNDO,
        evidence="x",
        person=people["operator"],
    )

    assert after(run).state == "compensating"
    assert [s.arguments for s in undoings(run)] == [{"order": "#2"}]
    assert Finding.objects.get().settled


def test_the_sweep_carries_on_what_nobody_does(scene: Scene, people: dict[str, User]) -> None:
    run = refunded(scene)
    press(run, people["operator"])
    Step.objects.filter(pk=undoings(run)[0].pk).update(state="running")
    assert recovery.carry_on_undoing() == 0
    Step.objects.filter(pk=undoings(run)[0].pk).update(state="succeeded", disposition="executed")

    assert recovery.carry_on_undoing() == 1
    assert recovery.carry_on_undoing() == 0
    assert len(undoings(run)) == 2


def test_a_lost_worker_of_an_undoing_stops_or_repeats_it(
    scene: Scene, people: dict[str, User]
) -> None:
    run = refunded(scene)
    press(run, people["operator"])
    long_ago = timezone.now() - timedelta(minutes=5)
    Step.objects.filter(pk=undoings(run)[0].pk).update(
        state="running", lease_until=long_ago, lease_token=1, intent_open=True, idempotency="none"
    )

    recovery.take_back_leases()

    assert undoings(run)[0].state == "confirmation_unknown"
    assert (after(run).state, after(run).error_class) == (
        "confirmation_unknown",
        "compensation_unknown",
    )


# --- pages ----------------------------------------------------------------------------------------


def test_the_button_is_offered_where_something_can_be_undone(
    scene: Scene, client_as: ClientAs
) -> None:
    run = refunded(scene)
    url = reverse("runs:detail", args=[run.pk])

    assert "Undo what was done" in client_as("operator").get(url).content.decode()
    assert "Undo what was done" not in client_as("auditor").get(url).content.decode()
    Run.objects.update(contract_version=terms(scene, None))
    assert "Undo what was done" not in client_as("operator").get(url).content.decode()


def test_the_preview_says_what_will_be_undone_and_what_stays(
    scene: Scene, client_as: ClientAs
) -> None:
    run = refunded(scene)
    StepFactory.create(run=run, seq=3, done=True, tool_name="post", effect="irreversible")
    client = client_as("operator")

    page = client.get(reverse("runs:undo", args=[run.pk])).content.decode()

    assert page.index("Charge #2 again") < page.index("Charge #1 again")
    assert "The contract names nothing that undoes it." in page
    assert "Undo 2 effects" in page
    part = client.get(reverse("runs:undo", args=[run.pk]), headers={"HX-Request": "true"})
    assert "<html" not in part.content.decode()


def test_a_changed_plan_is_shown_anew_as_a_conflict(scene: Scene, client_as: ClientAs) -> None:
    run = refunded(scene)
    client = client_as("operator")

    answer = client.post(
        reverse("runs:undo_begin", args=[run.pk]),
        {"plan": "old", "reason": "Wrong <customer>", "ticket": new_id()},
    )

    page = answer.content.decode()
    assert answer.status_code == 409
    assert "has changed meanwhile" in page
    assert "Wrong &lt;customer&gt;" in page
    assert f'value="{plan_of(run).digest}"' in page


def test_the_whole_way_by_plain_http(scene: Scene, client_as: ClientAs) -> None:
    run = refunded(scene)
    client = client_as("operator")
    detail = reverse("runs:detail", args=[run.pk])

    answer = client.post(
        reverse("runs:undo_begin", args=[run.pk]),
        {"plan": plan_of(run).digest, "reason": "Wrong customer", "ticket": new_id()},
    )
    assert answer.status_code == 302
    page = " ".join(client.get(detail).content.decode().split())
    assert "Undoing what it did" in page
    assert "Cancel the run" not in page
    failed = fail(run)
    page = client.get(f"{detail}?step={failed.seq}").content.decode()
    assert "a person is needed" in page
    assert "What becomes of it?" in page
    assert "order is closed" in page
    client.post(
        reverse("runs:undo_again", args=[run.pk, failed.seq]),
        {"reason": "The order is open", "ticket": new_id()},
    )
    again = fail(run)
    answer = client.post(
        reverse("runs:undo_settle", args=[run.pk, again.seq]),
        {"verdict": "give_up", "evidence": "It may stay", "ticket": new_id()},
    )
    assert answer.status_code == 302
    succeed(run)
    page = client.get(f"{detail}?tab=steps&step=2").content.decode()
    assert "What it did was undone" in page
    assert "undoes step 2" in page
    assert "Undone by" in page
    assert client.get(f"{detail}?step={again.seq}").status_code == 200
