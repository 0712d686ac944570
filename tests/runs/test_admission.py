"""Taking runs in under load: against the real database."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from apps.audit.domain.actors import Actor
from apps.audit.models import Event
from apps.calls.domain.admission import Accept, Class, Defer, Shed
from apps.oversight.models import Approval
from apps.runs.models import LoadSample, Message, Run, Step
from apps.runs.selectors import load
from apps.runs.services import NewRun, admit_runs, admitting, start_runs, tend_queue
from apps.runs.services.admitting import forget_reading
from tests.factories.approvals import ApprovalFactory
from tests.runs.conftest import Scene

pytestmark = pytest.mark.django_db(transaction=True)
ITEMS: list[dict[str, Any]] = [
    {"hear": "I want my money back."},
    {"call": {"tool": "refund", "args": {"order": "1"}, "ref": "0"}},
    {"done": "refunded"},
]


@pytest.fixture(autouse=True)
def bounds(settings: Any) -> Iterator[None]:
    settings.QUEUE_BOUNDS = {"C1": 40, "C2": 20, "C3": 5}
    forget_reading()
    yield
    forget_reading()


@pytest.fixture
def case(scene: Scene) -> NewRun:
    return NewRun(
        job_slug="shop-refund",
        contract_version_id=scene.contract.pk,
        agent_version_id=scene.agent.pk,
        agent_kind="reference",
        agent_label="test",
        items=ITEMS,
        domain_slug="shop",
        contract_number=1,
        customer="ada",
    )


def of_class(case: NewRun, cls: Class, scene: Scene) -> NewRun:
    """The same case under a contract of that class."""
    criticality = {Class.C1: "high", Class.C2: "normal", Class.C3: "low"}[cls]
    contract = scene.contract
    contract.pk, contract.number = None, contract.number + 1
    contract.document = {**contract.document, "criticality": criticality}
    contract.save(force_insert=True)
    return replace(case, contract_version_id=contract.pk, contract_number=contract.number)


def kinds(run: Run) -> list[str]:
    return list(Event.objects.filter(run_id=run.id).order_by("id").values_list("kind", flat=True))


def test_a_run_that_is_taken_in_stands_queued_with_its_first_step(case: NewRun) -> None:
    [run_id] = start_runs([replace(case, tenant="acme")], actor=Actor.user("ida"))

    run = Run.objects.get(id=run_id)
    assert (run.state, run.steps_total, run.criticality_class) == ("queued", 1, 2)
    assert (run.tenant, run.customer, run.deferred_until) == ("acme", "ada", None)
    assert run.cursor == 2
    assert [m.content for m in Message.objects.filter(run=run)] == ["I want my money back."]
    step = Step.objects.get(run=run)
    assert (step.state, step.tool_name, step.lease_token) == ("queued", "refund", None)
    assert kinds(run) == ["run.accepted"]


def test_a_case_that_asks_for_nothing_is_answered_on_the_spot(case: NewRun) -> None:
    quiet = replace(case, items=[{"hear": "Hello."}, {"say": "Good day."}, {"done": "greeted"}])
    [run_id] = start_runs([quiet], actor=Actor.user("ida"))
    run = Run.objects.get(id=run_id)
    assert run.state in {"succeeded", "failed"}
    assert run.started_at is not None
    assert run.finished_at is not None
    assert kinds(run) == ["run.accepted", f"run.{run.state}"]


def test_starting_many_costs_a_fixed_number_of_statements(
    case: NewRun, django_assert_max_num_queries: Any
) -> None:
    start_runs([case], actor=Actor.user("ida"))
    with django_assert_max_num_queries(8):  # with the transaction's own, and room for a reading
        start_runs([case] * 15, actor=Actor.user("ida"))


def test_batch_is_shed_before_normal_and_normal_before_interactive(
    case: NewRun, scene: Scene
) -> None:
    batch, normal, urgent = (of_class(case, c, scene) for c in (Class.C3, Class.C2, Class.C1))

    shed: dict[str, int] = {}
    for name, some in (
        ("batch", [batch] * 25),
        ("normal", [normal] * 50),
        ("urgent", [urgent] * 9),
    ):
        shed[name] = sum(a.is_shed for a in admit_runs(some, actor=Actor.user("ida")))

    assert shed == {"batch": 20, "normal": 30, "urgent": 0}
    told = Run.objects.filter(state="shed", criticality_class=3).first()
    assert told is not None
    assert told.admission_reason == "Queue full: 5 runs of equal or higher priority (limit 5)"
    assert told.summary.endswith("Retry after 60 s.")
    assert told.deferred_until is not None
    assert told.deferred_until > timezone.now() + timedelta(seconds=30)
    assert told.finished_at is not None
    assert not Step.objects.filter(run=told).exists()
    assert kinds(told) == ["run.shed"]
    assert Event.objects.filter(run_id=told.id).get().payload["retry_after_s"] == 60


def test_interactive_work_is_deferred_and_begun_when_the_queue_is_short_again(
    case: NewRun, scene: Scene
) -> None:
    urgent = of_class(case, Class.C1, scene)
    admitted = admit_runs([urgent] * 42, actor=Actor.user("ida"))
    late = [a for a in admitted if isinstance(a.verdict, Defer)]
    assert len(late) == 2
    run = Run.objects.get(id=late[0].run_id)
    assert (run.state, run.steps.count()) == ("accepted", 0)
    assert kinds(run) == ["run.deferred"]
    assert tend_queue() == 0

    Run.objects.filter(id__in=[a.run_id for a in admitted[:10]]).update(state="cancelled")

    assert tend_queue() == 2
    run.refresh_from_db()
    assert (run.state, run.deferred_until, run.steps_total) == ("queued", None, 1)
    assert run.admission_reason
    assert run.steps.get().state == "queued"
    assert kinds(run) == ["run.deferred", "run.accepted"]
    assert tend_queue() == 0


def test_a_deferred_run_that_cannot_begin_waits_on_and_holds_up_no_other(
    case: NewRun, scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    admitted = admit_runs([of_class(case, Class.C1, scene)] * 43, actor=Actor.user("ida"))
    odd, late, other = (a.run_id for a in admitted if isinstance(a.verdict, Defer))
    Run.objects.filter(id__in=[a.run_id for a in admitted[:20]]).update(state="cancelled")
    load_all, judge = admitting.course.load, admitting.PressureReading.verdict

    def load_some(ids: Any) -> Any:
        if odd in ids:
            raise ValueError("its script can't be read")
        return load_all(ids)

    def judge_some(self: Any, cls: Any, job: str, **more: Any) -> Any:
        if not seen:
            seen.append(job)
            raise KeyError("limits")
        return judge(self, cls, job, **more)

    seen: list[str] = ["nobody yet"]
    monkeypatch.setattr(admitting.course, "load", load_some)
    monkeypatch.setattr(admitting.PressureReading, "verdict", judge_some)

    assert tend_queue() == 2

    states = {r.pk: r.state for r in Run.objects.filter(id__in=[odd, late, other])}
    assert states == {odd: "accepted", late: "queued", other: "queued"}
    run = Run.objects.get(id=odd)
    assert "It can't begin: ValueError: its script can't be read." in run.admission_reason
    assert run.deferred_until > timezone.now()
    seen.clear()
    assert tend_queue() == 0  # its contract can't be read now
    assert "limits" in Run.objects.get(id=odd).admission_reason


def test_a_replay_is_never_turned_away(case: NewRun) -> None:
    admitted = admit_runs([replace(case, source="replay")] * 50, actor=Actor.user("ida"))
    assert {a.verdict for a in admitted} == {Accept()}


def test_a_caller_may_make_a_run_matter_less(case: NewRun) -> None:
    admitted = admit_runs([replace(case, criticality_class=3)] * 6, actor=Actor.user("ida"))
    assert [a.is_shed for a in admitted] == [False] * 5 + [True]


def ask(count: int, **changes: Any) -> None:
    ApprovalFactory.create_batch(count, job_slug="shop-refund", **changes)


def hold_share(scene: Scene, share: float) -> None:
    for n in range(10):
        scene.run(state="waiting_approval", started_at=timezone.now(), had_hold=n < share * 10)


def test_a_job_waits_for_people_and_goes_on_when_they_have_caught_up(
    case: NewRun, scene: Scene
) -> None:
    hold_share(scene, 0.5)
    ask(121)  # a window of four hours, and one decision in two minutes

    [admitted] = admit_runs([case], actor=Actor.user("ida"))

    assert isinstance(admitted.verdict, Defer)
    run = Run.objects.get(id=admitted.run_id)
    assert run.state == "accepted"
    assert run.admission_reason.startswith("its approval would wait 4 h, longer than its window")
    assert tend_queue() == 0
    Approval.objects.update(state="rejected", decided_at=timezone.now())
    assert tend_queue() == 1
    run.refresh_from_db()
    assert run.state == "queued"


def test_runs_under_way_count_as_questions_to_come(case: NewRun, scene: Scene) -> None:
    hold_share(scene, 1.0)
    ask(110)
    admitted = admit_runs([case] * 15, actor=Actor.user("ida"))
    assert sum(isinstance(a.verdict, Defer) for a in admitted) == 4  # 110 + 11 > 120


def test_a_job_that_asks_nobody_does_not_wait_for_people(case: NewRun, scene: Scene) -> None:
    hold_share(scene, 0.0)
    ask(500)
    assert admit_runs([case], actor=Actor.user("ida"))[0].verdict == Accept()


def test_a_deferred_run_still_has_its_deadline(case: NewRun, scene: Scene) -> None:
    hold_share(scene, 1.0)
    ask(500)
    [admitted] = admit_runs([case], actor=Actor.user("ida"))
    run = Run.objects.get(id=admitted.run_id)
    assert run.deadline_at < run.created_at + timedelta(hours=4, seconds=5)


def test_so_many_may_be_deferred_and_no_more(case: NewRun, scene: Scene) -> None:
    hold_share(scene, 1.0)
    ask(500)
    admitted = admit_runs([case] * 25, actor=Actor.user("ida"))
    assert [isinstance(a.verdict, Defer) for a in admitted] == [True] * 20 + [False] * 5
    last = admitted[-1].verdict
    assert isinstance(last, Shed)
    assert "deferral queue is full" in last.reason


def test_samples_tell_how_fast_the_queue_moves_only_while_it_is_long() -> None:
    now = timezone.now()
    for n, queued in enumerate((500, 400, 300)):
        LoadSample.objects.create(
            at=now - timedelta(seconds=30 - 10 * n), queued={"2": queued}, runs=1000 + 50 * n
        )
    assert load.begun_per_s() == pytest.approx(15.0, rel=0.01)
    LoadSample.objects.create(at=now, queued={"2": 20}, runs=1200)
    assert load.begun_per_s() is None


def test_the_sweep_keeps_samples_and_forgets_old_ones(case: NewRun) -> None:
    LoadSample.objects.create(at=timezone.now() - timedelta(hours=2), runs=7)
    start_runs([case] * 3, actor=Actor.user("ida"))
    tend_queue()
    sample = LoadSample.objects.get()
    assert (sample.queued, sample.runs) == ({"2": 3}, 10)
    tend_queue()  # too soon for another
    assert LoadSample.objects.count() == 1


@pytest.mark.parametrize(
    ("source", "origin"), [("desk", "practice"), ("replay", "replay"), ("api", "real")]
)
def test_a_run_keeps_where_it_came_from(case: NewRun, source: str, origin: str) -> None:
    [run_id] = start_runs([replace(case, source=source)], actor=Actor.user("ida"))

    assert Run.objects.get(pk=run_id).origin == origin
