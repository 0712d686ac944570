"""People resolve a call whose answer was lost: what follows, who may, who wins."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.db import connections
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from apps.accounts.models import User
from apps.audit.domain.actors import Actor
from apps.audit.models import Event
from apps.calls.domain.lookup import Looked
from apps.calls.domain.retry import Ending
from apps.calls.executor import CallResult
from apps.catalog.models import ToolVersion
from apps.kernel.errors import ConflictError, InvalidInputError, NotPermittedError
from apps.kernel.ids import new_id
from apps.runs import reconcile
from apps.runs.domain.finding import FindingVerdict
from apps.runs.models import Finding, Intent, Message, Receipt, Run, Step
from apps.runs.selectors import unknown
from apps.runs.services import cancel_run
from tests.factories.approvals import ApprovalFactory
from tests.factories.runs import AttemptFactory, DecisionFactory, StepFactory
from tests.oversight.test_editing import edit_of
from tests.runs.conftest import Scene

pytestmark = pytest.mark.django_db(transaction=True)
NEXT = {"call": {"tool": "look", "args": {}, "ref": "2"}}


@pytest.fixture(autouse=True)
def rung(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    lanes: list[str] = []
    monkeypatch.setattr("apps.runs.dispatch.ring", lanes.append)
    return lanes


def lost_step(scene: Scene, *, risk: int = 1, **run: Any) -> Step:
    """The first step of a run, sent and never answered; the script goes on with a look."""
    run = {"items": [NEXT, {"done": "x"}], "steps_total": 1, **run}
    row = scene.run(**{"state": "confirmation_unknown", "error_class": "unknown", **run})
    version = ToolVersion.objects.get(tool__name="refund")
    version.document = {"name": "refund", "lookup": "tower_lookup"}
    version.save(update_fields=["document"])
    step = StepFactory.create(
        run=row, seq=1, tool_name="refund", tool_version=version, effect="irreversible",
        idempotency="none", idempotency_key="k1", state="confirmation_unknown",
        disposition="unknown", intent_open=True, attempts_made=1, gate="permit",
        finished_at=timezone.now(), error_class="connection_lost",
    )  # fmt: skip
    Intent.objects.create(run=row, key="k1", step=step)
    AttemptFactory.create(step=step, outcome="unknown", http_status=None)
    DecisionFactory.create(run_id=row.id, step_id=step.id, risk=risk)
    return step


def say(
    step: Step, person: User, verdict: FindingVerdict = FindingVerdict.HAPPENED, **changes: Any
) -> bool:
    values = {"round_number": 1, "evidence": "Seen in the ledger", **changes}
    return reconcile.resolve(step.id, verdict=verdict, person=person, **values)


def after(step: Step) -> Step:
    return Step.objects.select_related("run").get(pk=step.pk)


def test_it_happened_settles_the_step_and_the_run_goes_on(
    scene: Scene, people: dict[str, User], rung: list[str]
) -> None:
    step = lost_step(scene)

    assert say(step, people["operator"]) is True

    now = after(step)
    assert (now.state, now.disposition, now.intent_open) == ("succeeded", "executed", False)
    assert "Seen in the ledger" in now.result["content"]
    assert Receipt.objects.get(step=step).evidence == "person"
    assert (now.run.state, now.run.error_class) == ("running", "")
    assert Step.objects.get(seq=2).state == "queued"
    assert rung == ["normal"]
    event = Event.objects.get(kind="step.reconciled")
    assert (event.actor, event.payload["word"]) == ("user:operator", "happened")


def test_the_last_step_of_a_script_ends_its_run(scene: Scene, people: dict[str, User]) -> None:
    step = lost_step(scene, items=[{"done": "refunded"}])

    say(step, people["operator"])

    assert after(step).run.finished_at is not None


def test_left_undone_frees_the_mutation_and_tells_the_conversation(
    scene: Scene, people: dict[str, User]
) -> None:
    step = lost_step(scene)

    say(step, people["operator"], FindingVerdict.GIVE_UP)

    now = after(step)
    assert (now.state, now.disposition, now.error_class) == ("failed", "failed", "not_done")
    assert not Intent.objects.exists()
    assert not Receipt.objects.exists()
    assert "did not happen" in Message.objects.get(role="tower").content
    assert Step.objects.get(seq=2).state == "queued"


@pytest.mark.parametrize("verdict", [FindingVerdict.HAPPENED, FindingVerdict.GIVE_UP])
def test_the_agent_hears_that_a_person_had_edited_what_was_lost(
    scene: Scene, people: dict[str, User], verdict: FindingVerdict
) -> None:
    step = lost_step(scene)
    edit_of(ApprovalFactory.create(run_id=step.run_id, step_id=step.pk), people["operator2"])

    say(step, people["operator"], verdict)

    told = Message.objects.filter(role="tower").order_by("seq").first()
    assert told
    assert told.content.startswith("A person edited")
    assert "as she wrote" in told.content


def test_try_again_puts_it_before_the_gate_as_if_new(
    scene: Scene, people: dict[str, User], rung: list[str]
) -> None:
    step = lost_step(scene)

    say(step, people["operator"], FindingVerdict.TRY_AGAIN)

    now = after(step)
    assert (now.state, now.gate, now.approval_id, now.disposition) == ("queued", "", None, "")
    assert (now.attempts_made, now.idempotency_key) == (1, "k1")
    assert now.run.state == "queued"
    assert not Intent.objects.exists()
    assert rung == ["normal"]


def test_from_risk_high_on_two_different_people_have_to_say_the_same(
    scene: Scene, people: dict[str, User]
) -> None:
    step = lost_step(scene, risk=3)

    assert say(step, people["operator"]) is False
    assert say(step, people["operator"]) is False
    assert say(step, people["operator2"], FindingVerdict.GIVE_UP) is False
    assert after(step).state == "confirmation_unknown"
    assert say(step, people["operator2"]) is True

    assert after(step).state == "succeeded"
    assert Finding.objects.filter(settled=True).count() == 1
    assert Event.objects.filter(kind="step.finding").count() == 3


@pytest.mark.parametrize("role", ["admin", "product_manager", "auditor"])
def test_only_operators_may(scene: Scene, people: dict[str, User], role: str) -> None:
    step = lost_step(scene)

    with pytest.raises(NotPermittedError):
        say(step, people[role])
    with pytest.raises(NotPermittedError):
        reconcile.look_up(step.id, person=people[role])

    assert not Finding.objects.exists()


def test_evidence_is_required(scene: Scene, people: dict[str, User]) -> None:
    with pytest.raises(InvalidInputError):
        say(lost_step(scene), people["operator"], evidence="  ")


def test_who_comes_second_is_told_who_won_and_when(scene: Scene, people: dict[str, User]) -> None:
    step = lost_step(scene)
    say(step, people["operator"])

    with pytest.raises(ConflictError, match="it happened") as told:
        say(step, people["operator2"], FindingVerdict.GIVE_UP)

    assert told.value.detail["who"] == people["operator"].display_name
    assert told.value.detail["when"] == Finding.objects.get().at


def test_a_word_about_an_earlier_attempt_counts_for_nothing(
    scene: Scene, people: dict[str, User]
) -> None:
    step = lost_step(scene, risk=3)
    say(step, people["operator"])
    Step.objects.update(attempts_made=2)

    with pytest.raises(ConflictError):
        say(step, people["operator2"])
    assert say(step, people["operator2"], round_number=2) is False


def test_an_ended_run_is_not_tried_again_but_its_step_can_be_resolved(
    scene: Scene, people: dict[str, User]
) -> None:
    step = lost_step(scene)
    cancel_run(step.run_id, actor=Actor.user("ops"), reason="customer called back")

    with pytest.raises(ConflictError):
        say(step, people["operator"], FindingVerdict.TRY_AGAIN)
    assert not Finding.objects.exists()
    say(step, people["operator"])

    assert (after(step).state, after(step).run.state) == ("succeeded", "cancelled")
    assert Step.objects.count() == 1


def test_past_its_deadline_a_run_is_not_tried_again(scene: Scene, people: dict[str, User]) -> None:
    step = lost_step(scene, deadline_at=timezone.now() - timedelta(minutes=1))

    with pytest.raises(ConflictError, match="deadline"):
        say(step, people["operator"], FindingVerdict.TRY_AGAIN)


def race(*calls: Callable[[], Any]) -> list[Any]:
    """Run these at the same moment; what each returned or raised."""
    barrier = threading.Barrier(len(calls))

    def run(call: Callable[[], Any]) -> Any:
        barrier.wait()
        try:
            return call()
        except ConflictError as error:
            return error
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(calls)) as threads:
        return list(threads.map(run, calls))


@pytest.mark.parametrize(
    "verdict", [FindingVerdict.TRY_AGAIN, FindingVerdict.GIVE_UP, FindingVerdict.HAPPENED]
)
def test_of_two_people_at_once_one_wins(
    scene: Scene, people: dict[str, User], verdict: FindingVerdict
) -> None:
    for _ in range(5):
        step = lost_step(scene)

        found = race(
            lambda s=step: say(s, people["operator"]),
            lambda s=step: say(s, people["operator2"], verdict),
        )

        assert sorted(type(f).__name__ for f in found) == ["ConflictError", "bool"]
        assert Finding.objects.filter(step=step, settled=True).count() == 1
        assert Step.objects.filter(run=step.run_id, seq=2).count() <= 1


def test_two_second_votes_at_once_settle_once(scene: Scene, people: dict[str, User]) -> None:
    step = lost_step(scene, risk=3)

    found = race(
        lambda: say(step, people["operator"]),
        lambda: say(step, people["operator2"]),
    )

    assert sorted(found) == [False, True]
    assert after(step).state == "succeeded"


def test_cancelling_and_trying_again_at_once_never_leaves_work_in_a_cancelled_run(
    scene: Scene, people: dict[str, User]
) -> None:
    for _ in range(5):
        step = lost_step(scene)

        race(
            lambda s=step: say(s, people["operator"], FindingVerdict.TRY_AGAIN),
            lambda s=step: cancel_run(s.run_id, actor=Actor.user("ops"), reason="x"),
        )

        assert after(step).run.state == "cancelled"
        assert after(step).state in {"cancelled", "confirmation_unknown"}


# --- the tool -------------------------------------------------------------------------------------


def answering(monkeypatch: pytest.MonkeyPatch, data: Any) -> list[dict[str, Any]]:
    """Let the tool's server answer look-ups with ``data``."""
    asked: list[dict[str, Any]] = []

    async def call(self: Any, server: str, tool: str, arguments: Any, **more: Any) -> CallResult:
        asked.append({"server": server, "tool": tool, **arguments})
        if data is None:
            return CallResult(Ending.NOT_SENT, error="nobody there")
        return CallResult(Ending.ANSWERED, content="text", data=data)

    monkeypatch.setattr("apps.calls.executor.ToolClient.call", call)
    return asked


def test_what_the_tool_knows_settles_the_step(
    scene: Scene, people: dict[str, User], monkeypatch: pytest.MonkeyPatch
) -> None:
    step = lost_step(scene)
    asked = answering(monkeypatch, {"found": True, "tool": "refund", "result": '{"ok": 1}'})

    assert reconcile.look_up(step.id, person=people["operator"]) is Looked.FOUND

    assert asked == [{"server": "shop", "tool": "tower_lookup", "idempotency_key": "k1"}]
    assert after(step).result == {"content": '{"ok": 1}', "data": None}
    assert Receipt.objects.get(step=step).evidence == "lookup"
    assert after(step).run.state == "running"


@pytest.mark.parametrize(
    ("data", "looked"),
    [
        ({"found": False}, Looked.ABSENT),
        ({"found": True, "tool": "something_else"}, Looked.OTHER),
        (None, Looked.SILENT),
    ],
)
def test_anything_else_is_evidence_only(
    scene: Scene,
    people: dict[str, User],
    monkeypatch: pytest.MonkeyPatch,
    data: Any,
    looked: Looked,
) -> None:
    step = lost_step(scene, risk=3)
    say(step, people["operator"])
    answering(monkeypatch, data)

    assert reconcile.look_up(step.id, person=people["operator"]) is looked

    assert after(step).state == "confirmation_unknown"
    assert Finding.objects.filter(word=looked).exists()
    assert say(step, people["operator2"]) is True  # looking up is no vote


def test_the_sweep_asks_at_most_every_half_minute_and_closes_late_answers(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = lost_step(scene)
    asked = answering(monkeypatch, {"found": False})

    assert reconcile.look_up_due() == 0
    assert reconcile.look_up_due() == 0
    assert len(asked) == 1
    assert not Finding.objects.exists()

    Step.objects.update(not_before=timezone.now() - timedelta(seconds=1))
    answering(monkeypatch, {"found": True, "tool": "refund", "result": {"ok": 1}})
    assert reconcile.look_up_due() == 1

    assert after(step).state == "succeeded"
    assert Finding.objects.get().person is None


def test_the_sweep_yields_to_a_person_who_was_quicker(
    scene: Scene, people: dict[str, User], monkeypatch: pytest.MonkeyPatch
) -> None:
    step = lost_step(scene)
    [target] = unknown.targets([step.id])
    say(step, people["operator"], FindingVerdict.GIVE_UP)
    late = CallResult(Ending.ANSWERED, data={"found": True, "result": "x"})

    reconcile._note(target, late, person=None)

    assert after(step).state == "failed"
    with pytest.raises(ConflictError):
        reconcile._note(target, late, person=people["operator2"])


# --- pages ----------------------------------------------------------------------------------------


def panel(client: Client, step: Step) -> str:
    return client.get(reverse("runs:step", args=[step.run_id, 1])).content.decode()


def test_an_operator_resolves_it_on_the_page(
    scene: Scene, client_as: Callable[[str], Client]
) -> None:
    step = lost_step(scene)
    client = client_as("operator")
    url = reverse("runs:resolve", args=[step.run_id, 1])
    assert "Look up at the tool" in panel(client, step)

    form = {"verdict": "happened", "evidence": "Bank <b>says</b>", "round": "1"}
    wrong = client.post(url, {**form, "evidence": "", "ticket": new_id()})
    right = client.post(url, {**form, "ticket": new_id()})
    late = client.post(url, {**form, "verdict": "give_up", "ticket": new_id()})

    assert [wrong.status_code, right.status_code, late.status_code] == [422, 302, 409]
    assert right["Location"].endswith("?step=1")
    page = panel(client, step)
    assert "Bank &lt;b&gt;says&lt;/b&gt;" in page
    assert "resolved by this" in page
    assert "What did you find out?" not in page


@pytest.mark.parametrize("role", ["admin", "product_manager", "auditor"])
def test_others_read_and_can_not_act(
    scene: Scene, client_as: Callable[[str], Client], role: str
) -> None:
    step = lost_step(scene)
    client = client_as(role)

    page = panel(client, step)

    assert "an operator says what happened" in page
    assert "What did you find out?" not in page
    for name in ("runs:resolve", "runs:look_up"):
        assert client.post(reverse(name, args=[step.run_id, 1])).status_code == 403


def test_looking_up_leads_back_to_the_step(
    scene: Scene, client_as: Callable[[str], Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    step = lost_step(scene)
    answering(monkeypatch, {"found": False})
    url = reverse("runs:look_up", args=[step.run_id, 1])

    response = client_as("operator").post(url, headers={"HX-Request": "true"})

    assert response["HX-Redirect"].endswith("?step=1")
    assert "the tool doesn&#x27;t know the key" in panel(client_as("operator"), step)


def test_the_panel_says_that_two_people_are_needed(
    scene: Scene, client_as: Callable[[str], Client], people: dict[str, User]
) -> None:
    step = lost_step(scene, risk=3)
    say(step, people["operator"])

    page = panel(client_as("operator2"), step)

    assert "2 people have to say the same" in page
    assert people["operator"].display_name in page


def test_the_list_of_runs_that_need_a_person_has_it(
    scene: Scene, client_as: Callable[[str], Client]
) -> None:
    step = lost_step(scene)

    page = client_as("operator").get(reverse("runs:list"), {"needs": "1"}).content.decode()

    assert str(step.run_id) in page
    assert Run.objects.count() == 1
