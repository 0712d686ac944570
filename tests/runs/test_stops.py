"""Stops: placing, stages, lifting, and their pages."""

from __future__ import annotations

import html
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from apps.accounts.models import User
from apps.audit.models import Event
from apps.kernel.errors import ConflictError, InvalidInputError, NotPermittedError
from apps.ops.selectors.stops import one, parse
from apps.runs import journal
from apps.runs.domain.barrier import StopScope, admits
from apps.runs.journal import barriers, claiming
from apps.runs.models import PARKED_UNTIL, Breaker, Run, Step, Stop
from apps.runs.selectors.stops import forget_banner
from apps.runs.services import stops
from tests.runs.conftest import Scene
from tests.runs.test_journal import step_row

pytestmark = pytest.mark.django_db
TOOL = "shop/refund"
People = dict[str, User]


@pytest.fixture(autouse=True)
def fresh_memory() -> Iterator[None]:
    barriers.forget()
    forget_banner()
    yield
    barriers.forget()
    forget_banner()


def queue(scene: Scene, count: int = 1, **changes: Any) -> list[Run]:
    runs = [scene.run() for _ in range(count)]
    for run in runs:
        journal.add_steps([step_row(run, **changes)], owner="", lease_s=None)
    return runs


def due() -> list[Any]:
    found = claiming.due("normal", limit=1000, engine_version=1)
    free, parked = barriers.part(found)
    claiming.park(parked)
    return free


def text_of(response: Any, status: int = 200) -> str:
    assert response.status_code == status, response.status_code
    return html.unescape(response.content.decode())


def test_a_stop_parks_what_is_due_and_lifting_lets_it_go(scene: Scene, people: People) -> None:
    [run] = queue(scene)
    queue(scene, tool_name="look", effect="read")

    stop_id = stops.place_stop(StopScope.TOOL, TOOL, reason="wrong sums", person=people["operator"])

    step = Step.objects.get(run=run)
    assert (step.waits_for, step.not_before) == ("tool shop/refund is stopped", PARKED_UNTIL)
    assert [w.tool_name for w in due()] == ["look"]

    stops.lift_stop(stop_id, reason="sums are right", person=people["operator2"])

    assert {w.tool_name for w in due()} == {"look", "refund"}
    facts = [(e.kind, e.actor) for e in Event.objects.order_by("id")]
    assert facts == [("stop.placed", "user:operator"), ("stop.lifted", "user:operator2")]


@pytest.mark.parametrize(
    ("scope", "target"),
    [
        (StopScope.AGENT, "shop-reference"),
        (StopScope.JOB, "shop-refund"),
        (StopScope.EVERYTHING, ""),
    ],
)
def test_a_stop_holds_runs_by_agent_job_or_all_of_them(
    scene: Scene, people: People, scope: StopScope, target: str
) -> None:
    queue(scene)
    queue(scene, kind="agent", tool_name="think")

    stops.place_stop(scope, target, reason="r", person=people["operator"])

    assert due() == []


def test_undoing_goes_on_under_a_stop_of_its_job(scene: Scene, people: People) -> None:
    [run] = queue(scene)
    undone = Step.objects.get().pk
    journal.add_steps([step_row(run, 2)], owner="", lease_s=None)
    Step.objects.filter(seq=2).update(compensates_id=undone)

    stops.place_stop(StopScope.JOB, "shop-refund", reason="r", person=people["operator"])

    assert [w.seq for w in due()] == [2]


def test_a_second_stop_of_the_same_is_told_who_was_first(people: People) -> None:
    stops.place_stop(StopScope.TOOL, TOOL, reason="wrong sums", person=people["operator"])

    with pytest.raises(ConflictError, match="stopped already, by operator: wrong sums") as told:
        stops.place_stop(StopScope.TOOL, TOOL, reason="me too", person=people["operator2"])

    assert told.value.detail["who"] == "operator"
    assert Stop.objects.count() == Event.objects.count() == 1


def test_what_another_stop_holds_stays_and_says_so(scene: Scene, people: People) -> None:
    queue(scene)
    first = stops.place_stop(StopScope.EVERYTHING, "", reason="r", person=people["admin"])
    stops.place_stop(StopScope.TOOL, TOOL, reason="r", person=people["operator"])

    stops.lift_stop(first, reason="fine", person=people["admin"])

    assert Step.objects.get().waits_for == "tool shop/refund is stopped"
    assert due() == []


def test_a_stop_is_lifted_in_stages(scene: Scene, people: People) -> None:
    person = people["operator"]
    queue(scene, 60)
    stop_id = stops.place_stop(StopScope.JOB, "shop-refund", reason="r", person=person)

    seen = 0
    for percent in (10, 50):
        assert stops.let_go_on(stop_id, seen=seen, person=person) == percent
        stop = Stop.objects.get()
        admitted = {r.id for r in Run.objects.all() if admits(_rule(stop), r.id)}
        assert {w.run_id for w in due()} == admitted
        assert Step.objects.filter(not_before=PARKED_UNTIL).count() == 60 - len(admitted)
        seen = percent

    with pytest.raises(InvalidInputError):
        stops.let_go_on(stop_id, seen=50, person=person)
    stops.hold_again(stop_id, person=person)
    assert due() == []
    stops.lift_stop(stop_id, reason="fine", person=person)
    assert len(due()) == 60
    kinds = list(Event.objects.order_by("id").values_list("kind", flat=True))
    assert kinds == ["stop.placed", "stop.stage", "stop.stage", "stop.stage", "stop.lifted"]


def _rule(stop: Stop) -> Any:
    [found] = [s for s in barriers.read().stops if s.id == stop.pk]
    return found


def test_two_clicks_are_one_stage(people: People) -> None:
    stop_id = stops.place_stop(StopScope.TOOL, TOOL, reason="r", person=people["operator"])
    stops.let_go_on(stop_id, seen=0, person=people["operator"])

    with pytest.raises(ConflictError, match="operator has set this stop to 10 %"):
        stops.let_go_on(stop_id, seen=0, person=people["operator2"])

    assert Stop.objects.get().percent == 10


def test_only_an_administrator_lifts_a_stop_of_everything(people: People) -> None:
    stop_id = stops.place_stop(StopScope.EVERYTHING, "", reason="r", person=people["operator"])

    for change in (
        lambda: stops.lift_stop(stop_id, reason="fine", person=people["operator"]),
        lambda: stops.let_go_on(stop_id, seen=0, person=people["operator"]),
    ):
        with pytest.raises(NotPermittedError, match="by an administrator"):
            change()
    stops.lift_stop(stop_id, reason="fine", person=people["admin"])

    with pytest.raises(ConflictError, match="admin has lifted this stop meanwhile"):
        stops.lift_stop(stop_id, reason="me too", person=people["admin2"])


def test_a_stop_shows_how_those_fare_whom_it_lets_go_on(scene: Scene, people: People) -> None:
    runs = queue(scene, 4)
    stop_id = stops.place_stop(StopScope.TOOL, TOOL, reason="r", person=people["operator"])
    Step.objects.filter(run=runs[0]).update(state="running")
    now = Stop.objects.get().placed_at.replace(year=2900)
    ends = (("succeeded", runs[1]), ("failed", runs[2]))
    for state, run in ends:
        Step.objects.filter(run=run).update(state="running")
        Step.objects.filter(run=run).update(state=state, finished_at=now)

    held = one(stop_id)

    assert held is not None
    assert (held.under_way, held.waiting, held.ended_well, held.ended_badly) == (1, 1, 1, 1)


# --- pages ----------------------------------------------------------------------------------------


def test_the_preview_says_what_finishes_and_what_waits(
    scene: Scene, client_as: Callable[[str], Client]
) -> None:
    runs = queue(scene, 3)
    Step.objects.filter(run=runs[0]).update(state="running")

    page = client_as("operator").get(reverse("stops:index"), {"what": f"tool {TOOL}"})

    told = " ".join(text_of(page).replace('<b class="num">', "").replace("</b>", "").split())
    assert "1 call that is under way <strong>will finish</strong>" in told
    assert "2 queued steps <strong >will wait</strong>" in told
    assert Stop.objects.count() == 0
    known_tools = text_of(client_as("auditor").get(reverse("stops:index")))
    assert "Stop everything" not in known_tools


def test_what_does_not_exist_cannot_be_stopped(client_as: Callable[[str], Client]) -> None:
    client = client_as("operator")

    for what in ("tool shop/none", "agent nobody", "job none", "planet earth", "tool"):
        page = text_of(client.get(reverse("stops:index"), {"what": what}), 422)
        assert f"There is no “{what}”" in page
        assert client.post(reverse("stops:place"), {"what": what, "reason": "r"}).status_code == 422
    assert not Stop.objects.exists()


def test_everything_is_stopped_only_when_it_was_typed(client_as: Callable[[str], Client]) -> None:
    client = client_as("operator")
    form = {"what": "everything", "reason": "smoke in the server room"}

    told = text_of(client.post(reverse("stops:place"), form), 422)
    assert "Type “stop everything” to confirm" in told
    assert not Stop.objects.exists()

    done = client.post(reverse("stops:place"), {**form, "typed": "Stop  EVERYTHING"})
    assert done.status_code == 302
    banner = text_of(client_as("auditor").get(reverse("runs:list")))
    assert "Everything is stopped by operator" in " ".join(banner.split())


def test_a_stop_is_placed_staged_and_lifted_on_its_page(
    scene: Scene, client_as: Callable[[str], Client]
) -> None:
    [run] = queue(scene)
    client = client_as("operator")
    form = {"what": f"tool {TOOL}", "reason": "wrong <sums>"}
    assert client.post(reverse("stops:place"), form).status_code == 302
    stop = Stop.objects.get()

    page = text_of(client.get(reverse("stops:index")))
    assert "wrong <sums>" in page
    assert "Let 10 % of the runs go on" in page
    run_page = text_of(client.get(reverse("runs:detail", args=[run.id]) + "?step=1"))
    assert run_page.count("tool shop/refund is stopped") >= 2, "in its head and at the step"
    assert "It goes on once that is lifted" in run_page

    assert client.post(reverse("stops:stage", args=[stop.pk]), {"seen": "0"}).status_code == 302
    assert "Let 50 % of the runs go on" in text_of(client.get(reverse("stops:index")))
    told = text_of(client.post(reverse("stops:stage", args=[stop.pk]), {"seen": "0"}), 409)
    assert "has set this stop to 10 % meanwhile" in told
    assert text_of(client.post(reverse("stops:lift", args=[stop.pk])), 422)
    assert client.post(reverse("stops:stage", args=[stop.pk]), {"hold": "1"}).status_code == 302
    lift = {"reason": "sums are right"}
    assert client.post(reverse("stops:lift", args=[stop.pk]), lift).status_code == 302

    page = text_of(client.get(reverse("stops:index")))
    assert "Nothing is stopped" in page
    assert "sums are right" in page
    figures = text_of(client.get(reverse("stops:figures", args=[stop.pk])))
    assert "This stop has been lifted" in figures


def test_a_breaker_is_opened_and_tried_by_hand_on_the_tools_page(
    scene: Scene, client_as: Callable[[str], Client]
) -> None:
    [run] = queue(scene)
    client = client_as("operator")
    move = reverse("runs:move_breaker", args=["shop", "refund"])
    health = reverse("runs:tool_health", args=["shop", "refund"])
    assert "It has never opened" in text_of(client.get(health))

    form = {"to": "open", "host": "", "reason": "moving house"}
    assert client.post(move, form).status_code == 302
    page = text_of(client.get(health))
    assert "held open by operator" in page
    assert "moving house" in page
    assert Step.objects.get(run=run).waits_for == "breaker of shop/refund is open"
    assert client.post(move, form).status_code == 409
    assert "Let it be tried now" in page

    assert client.post(move, {"to": "closed", "host": "", "reason": "moved"}).status_code == 302
    states = text_of(client.get(reverse("runs:breaker", args=["shop", "refund"])))
    assert "2 more probes must succeed" in states
    assert Breaker.objects.get().state == "half_open"
    assert "moved" in text_of(client.get(health))
    assert "Open it by hand" not in text_of(client_as("auditor").get(health))


def test_an_open_breaker_says_when_it_is_probed(client_as: Callable[[str], Client]) -> None:
    from_now = Step(not_before=PARKED_UNTIL).not_before.replace(year=2999)
    Breaker.objects.create(tool_name=TOOL, state="open", open_until=from_now, reason="9 of 9")

    page = text_of(client_as("auditor").get(reverse("runs:breaker", args=["shop", "refund"])))

    assert "next probe in" in page
    assert f'datetime="{from_now.isoformat()}"' in page


def test_a_name_that_only_one_thing_has_is_enough(
    scene: Scene, client_as: Callable[[str], Client]
) -> None:
    assert parse("refund") == (StopScope.TOOL, TOOL)
    assert parse(TOOL) == (StopScope.TOOL, TOOL)

    page = text_of(client_as("operator").get(reverse("stops:index"), {"what": "refund"}))
    assert TOOL in page
