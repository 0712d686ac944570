"""Breakers and barriers against the real database: counting, probes and their race."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from django.db import connection, connections, transaction
from django.test.utils import CaptureQueriesContext

from apps.audit.domain.actors import Actor
from apps.audit.models import Event
from apps.runs import journal
from apps.runs.journal import barriers, breakers, claiming
from apps.runs.models import PARKED_UNTIL, Breaker, Step
from apps.runs.work import Claimed
from tests.runs.conftest import Scene
from tests.runs.test_journal import step_row

pytestmark = pytest.mark.django_db
TOOL = "shop/refund"
NAME = (TOOL, "tools.example")
OK, FAILED, TIMEOUT = (False, False), (True, False), (True, True)


@pytest.fixture(autouse=True)
def fresh_memory() -> Iterator[None]:
    barriers.forget()
    yield
    barriers.forget()


def note(*ends: tuple[bool, bool]) -> list[str]:
    return breakers.note([(*NAME, *end) for end in ends])


def breaker() -> Breaker:
    return Breaker.objects.get(tool_name=TOOL)


def opened(**changes: object) -> Breaker:
    """An open breaker whose time is over, unless ``changes`` say otherwise."""
    note(*[FAILED] * 10)
    moment = {"open_until": breaker().window_started_at} | changes
    Breaker.objects.filter(tool_name=TOOL).update(**moment)
    barriers.forget()
    return breaker()


def queue(scene: Scene, count: int, **changes: object) -> list[Claimed]:
    """So many more due steps; all of them, locked."""
    for _ in range(count):
        journal.add_steps([step_row(scene.run(), **changes)], owner="", lease_s=None)
    return claiming.due("normal", limit=100, engine_version=1)


def test_while_all_is_well_counting_costs_one_query_a_second() -> None:
    note(OK)
    with CaptureQueriesContext(
        connection,
    ) as found:
        for _ in range(50):
            note(OK, OK)
            barriers.part([])

    assert len(found) == 0
    assert not Breaker.objects.exists()


def test_the_successes_kept_in_memory_count_when_a_call_fails() -> None:
    note(*[OK] * 11)

    note(*[FAILED] * 10)

    assert (breaker().state, breaker().calls, breaker().failures) == ("closed", 21, 10)
    note(FAILED)
    assert (breaker().state, breaker().reason) == ("open", "11 of 22 calls failed")
    assert Event.objects.get().kind == "breaker.opened"


def test_a_success_kept_in_memory_ends_a_row_of_timeouts() -> None:
    note(*[TIMEOUT] * 4)
    note(OK)
    note(*[TIMEOUT] * 4)

    assert (breaker().state, breaker().timeouts_in_a_row) == ("closed", 4)


def test_another_host_has_a_breaker_of_its_own() -> None:
    note(*[FAILED] * 10)

    breakers.note([(TOOL, "other.example", False, False)])

    assert barriers.read({"shop": "other.example"}).shut[TOOL][0].host == "tools.example"
    assert [b.state for b in Breaker.objects.all()] == ["open"]


def test_steps_before_an_open_breaker_wait_for_its_time(scene: Scene) -> None:
    opened(open_until=None)
    Breaker.objects.update(open_until=breaker().window_started_at.replace(year=2999))

    free, parked = barriers.part(queue(scene, 2) and queue(scene, 1, tool_name="look"))

    assert [w.tool_name for w in free] == ["look"]
    assert {p.waits_for for p in parked} == {f"breaker of {TOOL} is open"}
    assert all(p.retry_in_s and p.retry_in_s > 1e9 for p in parked)


def test_two_probes_go_through_and_the_rest_waits_a_little(scene: Scene) -> None:
    opened()
    works = queue(scene, 5)

    free, parked = barriers.part(works)
    claiming.lease(free, owner="w", lease_s=30)
    again = barriers.part([w for w in works if w not in free])

    assert free == works[:2]
    assert {(p.waits_for, p.retry_in_s) for p in parked} == {
        (f"breaker of {TOOL} is being tried", 3.0)
    }
    assert again[0] == [], "two are under way"
    assert breaker().state == "half_open"


def test_probes_that_are_not_written_yet_count(scene: Scene) -> None:
    opened()
    works = queue(scene, 4)

    first, _ = barriers.part(works[:1])
    second, _ = barriers.part(works[1:])

    assert (len(first), len(second)) == (1, 1)


def test_probes_that_were_leased_at_once_are_not_their_own_obstacle(scene: Scene) -> None:
    opened()
    works = claiming.lease(queue(scene, 3), owner="w", lease_s=30)

    kept = barriers.keep(works)

    assert kept == works[:2]
    back = Step.objects.get(pk=works[2].step_id)
    assert (back.state, back.lease_token, back.waits_for) == (
        "queued",
        None,
        f"breaker of {TOOL} is being tried",
    )


def test_probes_that_succeed_close_it_and_wake_who_waited(scene: Scene) -> None:
    opened()
    works = queue(scene, 4)
    free, parked = barriers.part(works)
    claiming.park(parked)
    claiming.lease(free, owner="w", lease_s=30)

    assert note(OK) == []
    closed = note(OK)
    lanes = barriers.wake_probers(closed)

    assert (closed, lanes) == ([TOOL], ["normal"])
    assert (breaker().state, breaker().failures) == ("closed", 0)
    assert len(claiming.due("normal", limit=9, engine_version=1)) == 2
    kinds = [e.kind for e in Event.objects.order_by("id")]
    assert kinds == ["breaker.opened", "breaker.half_open", "breaker.closed"]


def test_a_failed_probe_opens_it_again() -> None:
    opened()
    breakers.half_open_due()

    note(OK, FAILED)

    assert (breaker().state, breaker().reason) == ("open", "a probe failed")
    assert breaker().open_until > breaker().window_started_at


def test_one_that_a_person_opened_parks_steps_until_a_person_closes_it(scene: Scene) -> None:
    assert breakers.hold_open(NAME, reason="moving house", actor=Actor.user("Ida"))
    assert not breakers.hold_open(NAME, reason="again", actor=Actor.user("Bo"))
    barriers.forget()
    note(OK, FAILED)
    works = queue(scene, 1)

    _, parked = barriers.part(works)
    claiming.park(parked)

    assert (breakers.half_open_due(), breaker().actor, breaker().reason) == (
        0,
        "user:Ida",
        "moving house",
    )
    assert Step.objects.get().not_before >= PARKED_UNTIL
    assert barriers.wake_freed() == []
    assert breakers.let_probe(NAME, reason="moved", actor=Actor.user("Bo"))
    assert not breakers.let_probe(NAME, reason="again", actor=Actor.user("Ida"))
    assert barriers.wake_freed() == ["normal"]
    assert Step.objects.get().waits_for == ""


def test_one_opened_before_any_host_was_known_is_closed_by_probes_of_whichever_comes() -> None:
    breakers.hold_open((TOOL, ""), reason="no address yet", actor=Actor.user("Ida"))
    breakers.let_probe((TOOL, ""), reason="it has one", actor=Actor.user("Ida"))
    barriers.forget()

    assert note(OK, OK) == [TOOL]

    assert [(b.host, b.state) for b in Breaker.objects.all()] == [("", "closed")]


def test_a_step_parked_while_its_stop_was_lifted_is_freed_by_the_sweep(scene: Scene) -> None:
    [work] = queue(scene, 1)
    claiming.park([claiming.Parked(work.step_id, "tool shop/refund is stopped", None)])

    assert barriers.wake_freed() == ["normal"]
    assert barriers.wake_freed() == []


def test_a_breaker_that_nobody_needs_is_forgotten_after_a_day() -> None:
    note(FAILED)
    Breaker.objects.update(window_started_at=breaker().window_started_at.replace(year=2020))

    breakers.half_open_due()

    assert not Breaker.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_workers_that_ask_at_once_never_send_more_than_two_probes(make_scene) -> None:  # type: ignore[no-untyped-def]  # a fixture
    """Every worker claims one due step at the same moment; each then holds its transaction open
    until all have asked, so that nobody sees what the others lease."""
    scene, workers = make_scene(), 6
    with transaction.atomic():
        opened()
        for _ in range(workers):
            journal.add_steps([step_row(scene.run())], owner="", lease_s=None)
    start, asked = Barrier(workers), Barrier(workers)

    def ask(_: int) -> int:
        try:
            with transaction.atomic():
                start.wait(20)
                works = claiming.due("normal", limit=1, engine_version=1)
                free, _parked = barriers.part(works)
                claiming.lease(free, owner="w", lease_s=30)
                asked.wait(20)
                return len(free)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(workers) as pool:
        sent = sum(pool.map(ask, range(workers)))

    assert 1 <= sent <= 2
    with transaction.atomic():
        assert barriers.take_probes({NAME: 9}) == {NAME: 2 - sent}
