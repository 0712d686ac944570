"""A form that is sent twice, at once or later, is carried out once: the database closes it."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any
from uuid import UUID

import pytest
from django.db import connections
from django.test import Client
from django.urls import reverse

from apps.accounts.models import User
from apps.audit.domain.actors import Actor
from apps.audit.models import Event
from apps.kernel.errors import ConflictError
from apps.kernel.ids import new_id
from apps.runs import services
from apps.runs.domain.finding import FindingVerdict
from apps.runs.models import Finding, Run, Ticket
from apps.runs.selectors.undo_plans import plan_of
from tests.factories.runs import DecisionFactory
from tests.runs.conftest import Scene
from tests.runs.test_forking import parent_run
from tests.runs.test_reconcile import lost_step, say
from tests.runs.test_undoing import after, fail, press, refunded, undoings

pytestmark = pytest.mark.django_db(transaction=True)
AT_ONCE = 5


@pytest.fixture(autouse=True)
def rung(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("apps.runs.dispatch.ring", lambda lane: None)


def at_once(order: Callable[[], Any]) -> list[Any]:
    """What each of several who do the same at the same moment gets."""
    barrier = Barrier(AT_ONCE)

    def one(_: int) -> Any:
        barrier.wait()
        try:
            return order()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(one, range(AT_ONCE)))


def ticket_in(page: str, form: str) -> UUID:
    """The ticket that a page gives to one of its forms."""
    return UUID(page.partition(f'action="{form}"')[2].partition('name="ticket" value="')[2][:36])


def test_a_fork_that_is_sent_many_times_is_one_branch() -> None:
    parent, ticket = parent_run(), new_id()

    branches = at_once(
        lambda: services.fork_run(
            parent.id, 2, None, actor=Actor.user("dana"), reason="x", ticket=ticket
        )
    )

    assert branches == [ticket] * AT_ONCE
    assert Run.objects.filter(parent_id=parent.id).count() == 1


def test_an_undoing_that_is_ordered_many_times_begins_once(
    scene: Scene, people: dict[str, User]
) -> None:
    run, ticket = refunded(scene), new_id()
    digest = plan_of(run).digest

    at_once(lambda: press(run, people["operator"], plan_digest=digest, ticket=ticket))

    assert len(undoings(run)) == 1
    assert Event.objects.filter(kind="run.compensating").count() == 1


def test_a_failed_undoing_is_tried_again_once(scene: Scene, people: dict[str, User]) -> None:
    run, ticket = refunded(scene), new_id()
    press(run, people["operator"])
    failed = fail(run)
    said = {"actor": people["operator"], "reason": "mended", "ticket": ticket}

    at_once(lambda: services.try_undoing_again(run.pk, failed.seq, **said))

    assert len(undoings(run)) == 2


def test_what_becomes_of_a_failed_undoing_is_said_once(
    scene: Scene, people: dict[str, User]
) -> None:
    run, ticket = refunded(scene), new_id()
    press(run, people["operator"])
    failed = fail(run)
    said = {"verdict": FindingVerdict.GIVE_UP, "evidence": "too late", "ticket": ticket}

    settled = at_once(
        lambda: services.settle_failed_undoing(
            run.pk, failed.seq, person=people["operator"], **said
        )
    )

    assert settled == [True] * AT_ONCE
    assert Finding.objects.count() == 1
    assert after(run).state == "compensating"


@pytest.mark.parametrize(("risk", "settles"), [(1, True), (3, False)])
def test_a_word_about_a_lost_call_counts_once(
    scene: Scene, people: dict[str, User], risk: int, settles: bool
) -> None:
    step, ticket = lost_step(scene), new_id()
    DecisionFactory.create(run_id=step.run_id, step_id=step.id, risk=risk)

    said = at_once(lambda: say(step, people["operator"], ticket=ticket))

    assert said == [settles] * AT_ONCE
    assert Finding.objects.count() == 1
    assert Event.objects.filter(kind__in=["step.finding", "step.reconciled"]).count() == 1


def test_a_form_that_was_refused_can_be_sent_again(scene: Scene, people: dict[str, User]) -> None:
    run, ticket = refunded(scene), new_id()
    with pytest.raises(ConflictError):
        press(run, people["operator"], plan_digest="old", ticket=ticket)
    assert not Ticket.objects.exists()

    press(run, people["operator"], ticket=ticket)

    assert len(undoings(run)) == 1


def test_a_ticket_serves_one_person_and_one_thing(scene: Scene, people: dict[str, User]) -> None:
    run, other, ticket = refunded(scene), lost_step(scene), new_id()
    press(run, people["operator"], ticket=ticket)

    for spend in (
        lambda: press(run, people["operator2"], ticket=ticket),
        lambda: say(other, people["operator"], ticket=ticket),
    ):
        with pytest.raises(ConflictError, match="something else already"):
            spend()
    assert not Finding.objects.exists()


def test_a_page_that_is_sent_twice_leads_to_the_same_place(
    scene: Scene, client_as: Callable[[str], Client]
) -> None:
    run = refunded(scene)
    client, url = client_as("operator"), reverse("runs:undo_begin", args=[run.pk])
    page = client.get(reverse("runs:undo", args=[run.pk])).content.decode()
    form = {"plan": plan_of(run).digest, "reason": "x", "ticket": str(ticket_in(page, url))}

    answers = [client.post(url, form) for _ in range(2)]

    assert [(a.status_code, a["Location"]) for a in answers] == [
        (302, reverse("runs:detail", args=[run.pk]))
    ] * 2
    assert len(undoings(run)) == 1


def test_a_form_without_a_ticket_is_not_carried_out(
    scene: Scene, client_as: Callable[[str], Client]
) -> None:
    client, run, parent = client_as("operator"), refunded(scene), parent_run()
    step = lost_step(scene)
    forms = {
        reverse("runs:undo_begin", args=[run.pk]): {"plan": plan_of(run).digest, "reason": "x"},
        reverse("runs:start_fork", args=[parent.pk]): {"after": "2", "reason": "x"},
        reverse("runs:resolve", args=[step.run_id, 1]): {
            "verdict": "happened", "evidence": "x", "round": "1",
        },
    }  # fmt: skip

    answers = {client.post(url, form).status_code for url, form in forms.items()}

    assert answers == {422}
    assert not undoings(run)
    assert not Run.objects.filter(parent_id=parent.pk).exists()
    assert not Finding.objects.exists()
