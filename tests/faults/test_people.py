"""People who click twice, decide together, come late, or lose their role (faults 29 to 33), and
the rows they leave."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest
from django.db import connection, connections
from django.db.models.functions import Now

from apps.accounts.models import User
from apps.kernel.errors import TowerError
from apps.oversight import services
from apps.oversight.models import Approval, Vote
from apps.runs.models import Step
from tests.faults import shop
from tests.faults.people import Visitor, answer, person
from tests.faults.plant import Plant, until
from tests.faults.test_postgres import held
from tests.faults.test_workers import effects

ROUNDS = 12


@pytest.fixture
def busy(proved: Plant) -> Plant:
    proved.sweeper()
    proved.worker()
    return proved


@pytest.fixture
def site(proved: Plant) -> str:
    return proved.web()[1]


def together(calls: Sequence[Callable[[], Any]]) -> list[Any]:
    """Do all of these at the same moment, each in a thread of its own; errors are answers."""
    barrier = threading.Barrier(len(calls))

    def run(call: Callable[[], Any]) -> Any:
        barrier.wait()
        try:
            return call()
        except TowerError as error:
            return error
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(calls)) as pool:
        return [f.result() for f in [pool.submit(run, c) for c in calls]]


@pytest.fixture
def visitors(site: str) -> Iterator[list[Visitor]]:
    found = [Visitor(site, person()) for _ in range(4)]
    yield found
    for visitor in found:
        visitor.http.close()


def test_29_pressed_twenty_times(busy: Plant, visitors: list[Visitor]) -> None:
    """The same nonce is the same answer: one vote, and everybody gets the same page."""
    [question] = held(busy)
    presses = [lambda: visitors[0].decide(question, nonce="the-one") for _ in range(20)]
    said = together(presses)

    assert {r.status_code for r in said} == {200}
    assert len({r.headers.get("HX-Trigger", "") for r in said}) == 1
    assert Vote.objects.filter(approval=question).count() == 1
    busy.wait([question.run_id], {"succeeded"})
    assert effects(busy, [question.run_id]) == [1]


def test_30_two_at_once(busy: Plant, visitors: list[Visitor]) -> None:
    """Exactly one wins each round; the others are told who it was."""
    for question in held(busy, ROUNDS):
        said = together(
            [partial(v.decide, question, approve=n % 2 == 0) for n, v in enumerate(visitors)]
        )
        codes = Counter(r.status_code for r in said)
        assert codes == {200: 1, 409: 3}
        winner = Approval.objects.select_related("decided_by").get(pk=question.pk).decided_by
        assert winner is not None
        assert all(winner.display_name in r.text for r in said if r.status_code == 409)
        assert Vote.objects.filter(approval=question).count() == 1
    busy.wait(busy.accepted, {"succeeded", "failed"})


def test_31_too_late(busy: Plant, visitors: list[Visitor]) -> None:
    """After the time is up it is refused; at the very moment never both win."""
    [question] = held(busy)
    Approval.objects.filter(pk=question.pk).update(expires_at=Now())
    late = visitors[0].decide(question)
    assert late.status_code == 409

    for open_one in held(busy, 10):
        soon = Approval.objects.filter(pk=open_one.pk)
        with connection.cursor() as cursor:
            cursor.execute(
                "UPDATE approvals_approval SET expires_at = clock_timestamp() + '12 ms'"
                " WHERE id = %s",
                [open_one.pk],
            )
        said, _ = together([partial(visitors[1].decide, open_one), services.expire_due])
        until(soon.exclude(state="pending").exists, "it is decided")
        assert (said.status_code == 200) == (soon.get().state == "approved")
        assert Vote.objects.filter(approval=open_one).count() == int(said.status_code == 200)
    busy.wait(busy.accepted, {"succeeded", "failed"})


def test_32_approved_for_something_else(busy: Plant, visitors: list[Visitor]) -> None:
    """An answer holds for exactly what was looked at: other arguments, another policy or contract
    make another question."""
    other, changed, again = held(busy, 3)
    assert visitors[0].decide(other, digest="0" * 64).status_code == 409

    # Approved, and then the step's arguments change under it.
    busy.stop_workers()
    assert visitors[0].decide(changed).status_code == 200
    Step.objects.filter(pk=changed.step_id).update(
        arguments={**shop.RETURN, "payment_method_id": "gift"}
    )
    busy.worker()
    reasked = Approval.objects.filter(step_id=changed.step_id, state="pending")
    until(reasked.exists, "it is asked anew", plant=busy)
    assert effects(busy, [changed.run_id]) == [0]
    assert Approval.objects.get(pk=changed.pk).consumed_at is None

    # Asked again for the same step: the old question is void, and so is a vote for it.
    Step.objects.filter(pk=again.step_id).update(
        state="queued", arguments={**shop.RETURN, "payment_method_id": "gift"}
    )
    until(
        Approval.objects.filter(step_id=again.step_id, state="pending").exclude(pk=again.pk).exists,
        "the run step asks anew",
        plant=busy,
    )
    stale = visitors[1].decide(again)
    assert stale.status_code == 409
    assert effects(busy, [again.run_id]) == [0]
    for question in Approval.objects.filter(run_id__in=busy.accepted, state="pending"):
        answer(question, person(), approve=False)
    busy.wait(busy.accepted, {"succeeded", "failed"})


def test_33_no_longer_allowed(busy: Plant, visitors: list[Visitor]) -> None:
    """Who approved must still be allowed to when the answer is used."""
    demoted, disabled, fine = held(busy, 3)
    busy.stop_workers()
    for question, visitor in zip((demoted, disabled, fine), visitors, strict=False):
        assert visitor.decide(question).status_code == 200
    User.objects.filter(pk=visitors[0].user.pk).update(role="auditor")
    User.objects.filter(pk=visitors[1].user.pk).update(is_active=False)
    busy.worker()
    busy.wait([fine.run_id], {"succeeded"})
    lost = [demoted, disabled]
    until(
        lambda: (
            Approval.objects.filter(step_id__in=[q.step_id for q in lost], state="pending").count()
            == 2
        ),
        "both are asked again",
        plant=busy,
    )

    assert visitors[1].get("/approvals/").status_code in {302, 403}
    assert effects(busy, [q.run_id for q in lost]) == [0, 0]
    used = Approval.objects.filter(pk__in=[q.pk for q in lost], consumed_at__isnull=False)
    assert not used.exists()


def test_four_eyes_count_people(busy: Plant, visitors: list[Visitor]) -> None:
    """Fault 30's second half: two votes are two people's, however fast one clicks."""
    [question] = held(busy)
    Approval.objects.filter(pk=question.pk).update(votes_required=2)
    said = together([lambda: visitors[0].decide(question) for _ in range(4)])
    assert Counter(r.status_code for r in said)[200] == 1
    assert Approval.objects.get(pk=question.pk).state == "pending"
    assert visitors[1].decide(question).status_code == 200
    busy.wait([question.run_id], {"succeeded"})
    assert Vote.objects.filter(approval=question).values("user").distinct().count() == 2
