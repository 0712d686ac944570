"""Sockets that drop, ticks that are lost, and sites that are replaced in the midst of work (faults
35, 36, 37)."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime

import httpx
import pytest
from django.conf import settings

from apps.audit import selectors as log
from apps.oversight.models import Approval
from tests.faults.browsers import A_USER, STREAMS, Caller, Herd
from tests.faults.checker import check
from tests.faults.evidence import Evidence, database_now
from tests.faults.people import Visitor, person
from tests.faults.plant import HERE, Child, Plant, until
from tests.faults.proxy import Proxy
from tests.faults.test_workers import LOOK, MOVE, RETURN, effects, states

CLIENTS = int(os.environ.get("TOWER_TEST_CLIENTS", "60"))


@dataclass
class Scene:
    """The site behind a proxy, and a herd of clients before it."""

    plant: Plant
    site: Child
    url: str
    proxy: Proxy
    herd: Herd
    visitor: Visitor
    since: datetime

    def wait_equal(self, seconds: float = 60) -> None:
        """Wait until every client knows what the database knows."""
        until(
            lambda: (
                self.herd.alive == len(self.herd.seen)
                and self.herd.are_at(log.heads(frozenset(STREAMS)))
            ),
            "all clients are equal to the database",
            seconds=seconds,
            where=lambda: f"{self.herd.alive} alive, {log.heads(STREAMS)} {self.herd.seen[:2]}",
            plant=self.plant,
        )

    def prove(self) -> None:
        found = check(Evidence.gather(self.plant, since=self.since, sockets=self.herd.seen))
        assert not found, "\n".join(map(str, found[:12]))


@pytest.fixture
def scene(plant: Plant) -> Iterator[Scene]:
    since = database_now()
    site, url = plant.web()
    proxy = Proxy(int(url.rpartition(":")[2])).start()
    people = [Visitor(url, person()) for _ in range(-(-CLIENTS // A_USER))]
    cookies = ["; ".join(f"{k}={v}" for k, v in p.cookies.items()) for p in people]
    plant.sweeper()
    plant.worker()
    front = f"http://{HERE}:{proxy.port}"
    with Herd(front, url, cookies, count=CLIENTS) as herd:
        made = Scene(plant, site, url, proxy, herd, people[0], since)
        until(lambda: herd.alive == CLIENTS, "all clients are there", plant=plant)
        yield made
    for visitor in people:
        visitor.http.close()
    proxy.stop()


def test_35_sockets_cut_and_the_site_restarted(scene: Scene) -> None:
    """The herd comes back by itself, misses nothing, and does not trample the site."""
    runs = scene.plant.start_runs([MOVE] * 10)
    scene.wait_equal()
    with Caller(lambda: scene.visitor.get("/events/head/?streams=runs").raise_for_status()) as api:
        scene.proxy.cut()
        runs += scene.plant.start_runs([MOVE] * 10)
        scene.plant.wait(runs)
        scene.wait_equal(seconds=30)
    assert api.errors == 0
    assert api.p95() < 5.0  # 1 s on a machine of its own; here others work beside it

    scene.site.signal(signal.SIGTERM)
    until(lambda: not scene.site.is_alive, "the site has ended", seconds=20)
    runs += scene.plant.start_runs([MOVE] * 5)
    scene.plant.wait(runs)
    port = scene.url.rpartition(":")[2]
    scene.plant.fork("web", port, TOWER_ORIGIN=scene.url)
    scene.wait_equal()

    assert scene.herd.connects >= 3 * CLIENTS
    assert effects(scene.plant, runs) == [1] * 25
    scene.prove()


def test_36_ticks_lost(scene: Scene) -> None:
    """Whatever the channel drops, the gap in the numbers shows, and the heartbeat closes it."""
    scene.wait_equal()
    scene.plant.redis_proxy.switches.blackhole = True
    runs = scene.plant.start_runs([LOOK] * 5)  # the sweeper can't ring, the site hears nothing
    scene.wait_equal(seconds=20)
    scene.plant.redis_proxy.cut()
    scene.plant.redis_proxy.calm()
    scene.plant.wait(runs)
    scene.wait_equal()
    scene.prove()


def test_37_everything_replaced_under_load(proved: Plant) -> None:
    """Two sites and two workers, each told to end and started anew, one of them as the next
    release: runs finish, decisions are taken, nothing is lost or doubled."""
    proved.sweeper()
    sites = [proved.web() for _ in range(2)]
    workers = [proved.worker(), proved.worker(ENGINE_VERSION=settings.ENGINE_VERSION + 1)]
    user = person()
    runs = proved.start_runs([MOVE] * 40)
    held = proved.start_runs([RETURN] * 8)
    questions = Approval.objects.filter(run_id__in=held, state="pending")
    until(lambda: questions.count() == 8, "all questions are asked", plant=proved)
    took: list[float] = []
    codes: list[int] = []
    pending = list(questions.order_by("pk"))

    def decide_two() -> None:
        for question in (pending.pop(), pending.pop()):
            answer = _as_the_proxy_does([url for _, url in sites], user, question)
            codes.append(answer.status_code)
            took.append(answer.elapsed.total_seconds())

    steps: list[Callable[[], None]] = []
    for n in (0, 1):
        steps += [_replace_site(proved, sites, n), _replace_worker(proved, workers, n)]
    for replace in steps:
        replace()
        decide_two()
        runs += proved.start_runs([MOVE] * 10)
    proved.wait([*runs, *held])

    assert codes == [200] * 8
    assert max(took) < 2.0 or sorted(took)[-2] < 2.0
    assert states([*runs, *held]) == {"succeeded"}
    assert effects(proved, [*runs, *held]) == [1] * (len(runs) + len(held))


def _replace_site(plant: Plant, sites: list[tuple[Child, str]], number: int) -> Callable[[], None]:
    def replace() -> None:
        sites[number][0].signal(signal.SIGTERM)
        until(lambda: not sites[number][0].is_alive, "the old site has ended")
        sites[number] = plant.web()

    return replace


def _replace_worker(plant: Plant, workers: list[Child], number: int) -> Callable[[], None]:
    def replace() -> None:
        workers[number].signal(signal.SIGTERM)
        until(lambda: not workers[number].is_alive, "the old worker has ended", plant=plant)
        workers[number] = plant.worker()

    return replace


def _as_the_proxy_does(urls: list[str], user: object, question: Approval) -> httpx.Response:
    """Ask the next upstream when one isn't there, as nginx does with a POST that was not sent."""
    for url in urls:
        visitor = Visitor(url, user)  # type: ignore[arg-type]  # a User
        try:
            return visitor.decide(question)
        except httpx.ConnectError:
            continue
        finally:
            visitor.http.close()
    raise AssertionError("no site answers")
