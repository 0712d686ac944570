"""The same request many times at once, lost answers and dead requests, on a real database."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import pytest
from django.db import OperationalError, connection
from django.db.models.functions import Now
from django.test import Client

from apps.accounts.models import ApiToken
from apps.api.models import Idempotency
from apps.api.services import idempotency
from apps.audit.models import Event
from apps.runs.models import Run
from tests.api.rest.conftest import Machine, Make
from tests.conftest import BACKEND
from tests.factories.accounts import UserFactory

pytestmark = pytest.mark.django_db(transaction=True)
MANY = 20


def together(call: Callable[[int], Any], count: int = MANY) -> list[Any]:
    """``call`` in threads that begin at the same moment, each on its own connection."""
    barrier = threading.Barrier(count)

    def run(number: int) -> Any:
        barrier.wait()
        try:
            return call(number)
        finally:
            connection.close()

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(run, range(count)))


def run_out() -> None:
    """Let the lease of every key end, as if its request had died long ago."""
    Idempotency.objects.filter(is_done=False).update(claimed_until=Now())


def test_of_twenty_identical_posts_one_starts_a_run(erp: Machine) -> None:
    answers = together(lambda _: erp.start("same"))

    codes = Counter(a.status_code for a in answers)
    assert codes[202] == 1
    assert codes.keys() <= {200, 202, 409}
    assert Run.objects.count() == 1
    assert Event.objects.filter(kind="run.accepted").count() == 1
    assert len({a.content for a in answers if a.status_code != 409}) == 1
    assert all(a["Retry-After"] for a in answers if a.status_code == 409)
    assert erp.start("same").content == next(a.content for a in answers if a.status_code == 202)


def test_of_twenty_bodies_under_one_key_one_wins(erp: Machine) -> None:
    answers = together(lambda n: erp.start("same", customer=f"customer {n}"))

    codes = Counter(a.status_code for a in answers)
    assert codes == {202: 1, 422: MANY - 1}
    assert Run.objects.count() == 1


def test_of_twenty_identical_cancels_one_cancels(erp: Machine) -> None:
    run_id = erp.start().json()["id"]

    answers = together(lambda _: erp.cancel(run_id, "same"))

    assert {a.status_code for a in answers} <= {200, 409}
    assert len({a.content for a in answers if a.status_code == 200}) == 1
    assert Event.objects.filter(kind="run.cancelled").count() == 1


@pytest.mark.parametrize("dies", ["before the work", "after the work"])
def test_a_request_that_died_is_gone_on_with(
    erp: Machine, monkeypatch: pytest.MonkeyPatch, dies: str
) -> None:
    """As ``kill -9`` would leave it: the key claimed, the work done or not, no answer stored."""

    def die(*_: Any, **__: Any) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as context:
        name = "running.start_run" if dies == "before the work" else "idempotency.settle"
        context.setattr(f"apps.api.services.{name}", die)
        with pytest.raises(KeyboardInterrupt):
            erp.start("k")
    promised = Idempotency.objects.get().resource_id
    assert Run.objects.count() == (dies == "after the work")
    assert erp.start("k").status_code == 409  # its lease has not ended
    run_out()

    answer = erp.start("k")

    assert answer.status_code == 202
    assert answer.json()["id"] == str(promised) == str(Run.objects.get().pk)
    assert erp.start("k").content == answer.content
    taken = Event.objects.get(kind="api.taken_over")
    assert taken.actor == "service:erp"


def test_many_who_find_a_dead_request_start_one_run(
    erp: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_: Any, **__: Any) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as context:
        context.setattr("apps.api.services.running.start_run", die)
        with pytest.raises(KeyboardInterrupt):
            erp.start("k")
    run_out()

    answers = together(lambda _: erp.start("k"))

    assert Counter(a.status_code for a in answers)[202] == 1
    assert Run.objects.count() == 1
    assert Idempotency.objects.get().claims == 2


def test_a_sleeper_that_wakes_up_finds_its_place_taken(
    erp: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first request is suspended longer than its lease, another one takes over and finishes;
    then the first goes on: no second run, and both give the same answer."""
    start, others = idempotency.claim, []

    def slowly(request: idempotency.KeyedRequest) -> Any:
        claimed = start(request)
        if not others:
            run_out()
            others.append(None)
            others[0] = erp.start("k")
        return claimed

    monkeypatch.setattr(idempotency, "claim", slowly)

    sleeper = erp.start("k")

    assert others[0].status_code == 202
    assert sleeper.content == others[0].content
    assert Run.objects.count() == 1
    assert Idempotency.objects.get().is_done


def test_a_database_that_fails_midway_leaves_the_question_open(
    erp: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reply to COMMIT was lost: the run is there, and the machine is told to ask again."""
    start = idempotency.settle

    def lose(*_: Any) -> Any:
        raise OperationalError("server closed the connection unexpectedly")

    monkeypatch.setattr(idempotency, "settle", lose)
    response = erp.start("k")
    monkeypatch.setattr(idempotency, "settle", start)
    run_out()

    assert response.status_code == 503
    assert response["Retry-After"] == "5"
    assert "Idempotency-Key" in response.json()["fix"]
    assert erp.start("k").json()["id"] == str(Run.objects.get().pk)


def test_a_cancel_that_died_after_its_work_is_still_ours(
    erp: Machine, machines: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = erp.start().json()["id"]

    def die(*_: Any, **__: Any) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as context:
        context.setattr(idempotency, "settle", die)
        with pytest.raises(KeyboardInterrupt):
            erp.cancel(run_id, "c")
    run_out()

    assert erp.cancel(run_id, "c").status_code == 200
    assert machines("crm").cancel(run_id, "c").status_code == 409  # somebody else did it


def test_a_bucket_is_never_overspent(erp: Machine) -> None:
    ApiToken.objects.update(rate_per_minute=5, allowance=5, refilled_at=Now())

    answers = together(lambda _: erp.get(f"/api/v1/runs/{uuid4()}"))

    codes = Counter(a.status_code for a in answers)
    # 5 in the bucket, and one more every 12 s
    assert 5 <= codes[404] <= 7
    assert codes[404] + codes[429] == MANY
    limited = next(a for a in answers if a.status_code == 429)
    assert 1 <= int(limited["Retry-After"]) <= 12
    assert limited.json()["code"] == "too_many"


def test_a_person_who_cancels_twice_is_told_once(erp: Machine) -> None:
    """Two clicks of one person: the second meets its own order, not a conflict."""
    person = UserFactory.create(role="operator")
    run_id = erp.start().json()["id"]
    clients = [Client() for _ in range(4)]
    for client in clients:
        client.force_login(person, backend=BACKEND)

    answers = together(
        lambda n: clients[n].post(f"/runs/{run_id}/cancel/", {"reason": "a mistake"}), len(clients)
    )

    assert {a.status_code for a in answers} == {302}
    assert Event.objects.filter(kind="run.cancelled").count() == 1
    assert clients[0].post(f"/runs/{run_id}/cancel/", {"reason": "another"}).status_code == 409
