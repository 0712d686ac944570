"""An agent that asks too much waits for its turn: on a real database, through the gate."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.db import close_old_connections, connection, transaction
from django.db.models import F
from django.test import Client

from apps.audit.models import Event
from apps.kernel.ids import new_id
from apps.oversight import services
from apps.oversight.domain.turns import BUSY_S, PutOff
from apps.oversight.gate import GateDecision, GateRequest, gate_batch
from apps.oversight.models import Approval, AskingTurn
from tests.factories.approvals import bound
from tests.factories.policy import published
from tests.policy.texts import SCHEMA, document, refund

ClientAs = Callable[[str], Client]
pytestmark = pytest.mark.django_db
UNKNOWN = {"own": True}  # facts with which it is held


@pytest.fixture(autouse=True)
def few(settings: Any) -> None:
    settings.QUESTIONS_PER_MINUTE = 3


@pytest.fixture
def toys() -> None:
    published("toys", text=document(), schema=SCHEMA)


def ask(
    step_id: UUID | None = None,
    *,
    agent: str = "toy-agent",
    approval_id: UUID | None = None,
    is_undoing: bool = False,
    facts: Any = UNKNOWN,
) -> GateRequest:
    run_id = new_id()
    return GateRequest(
        step_id=step_id or new_id(),
        run_id=run_id,
        policy_slug="toys",
        request=refund(agent=agent, facts=facts),
        binding=lambda: bound(run_id),
        question=lambda: {"sentence": "Refund it", "domain_slug": "toys", "agent_slug": agent},
        approval_id=approval_id,
        is_undoing=lambda: is_undoing,
    )


def at_the_gate(*asks: GateRequest) -> list[GateDecision]:
    with transaction.atomic():
        return gate_batch(asks)


def time_passes(by: timedelta) -> None:
    AskingTurn.objects.update(at=F("at") - by, given_at=F("given_at") - by)


def test_beyond_the_bound_each_has_its_turn_and_nothing_is_lost(toys: None) -> None:
    asks = [ask() for _ in range(8)]

    answers = at_the_gate(*asks)

    assert {a.answer for a in answers} == {"hold"}
    assert [a.approval_id is not None for a in answers] == [True] * 3 + [False] * 5
    waits = [a.later for a in answers if a.later]
    assert {w.waits_for for w in waits} == {"3 questions a minute of agent toy-agent"}
    assert [round(w.wait_s) for w in waits] == [60, 60, 60, 120, 120]
    assert Approval.objects.count() == 3

    early = at_the_gate(*asks[3:])
    assert [a.approval_id for a in early] == [None] * 5
    assert AskingTurn.objects.count() == 8, "nobody is given a second turn"

    time_passes(timedelta(seconds=61))
    newcomer, *later = at_the_gate(ask(), *asks[3:])
    assert [a.approval_id is not None for a in later] == [True] * 3 + [False] * 2
    assert newcomer.later, "nobody comes before those that wait"
    time_passes(timedelta(seconds=61))
    assert all(a.approval_id for a in at_the_gate(*asks[6:]))


def test_other_agents_go_on(toys: None) -> None:
    at_the_gate(*(ask() for _ in range(9)))

    (other,) = at_the_gate(ask(agent="another-agent"))

    assert other.approval_id


def test_what_people_were_asked_about_or_undo_waits_for_no_turn(toys: None) -> None:
    at_the_gate(*(ask() for _ in range(3)))

    again, undoing = at_the_gate(ask(approval_id=new_id()), ask(is_undoing=True))

    assert again.approval_id
    assert undoing.approval_id
    assert AskingTurn.objects.count() == 3


def test_what_needs_no_person_takes_no_turn(toys: None) -> None:
    permitted, denied = at_the_gate(
        ask(facts={"amount_cents": 1_000, "own": True}),
        ask(facts={"amount_cents": 1_000, "own": False}),
    )

    assert (permitted.answer, denied.answer) == ("permit", "deny")
    assert not AskingTurn.objects.exists()


def test_it_is_told_once_a_minute(toys: None) -> None:
    for _ in range(3):
        at_the_gate(*(ask() for _ in range(4)))
    told = Event.objects.filter(kind="agent.asks_too_much")
    event = told.get()
    assert (event.subject_type, event.subject_id) == ("agent", "toy-agent")
    assert event.payload == {"a_minute": 3, "waiting": 1}

    time_passes(timedelta(seconds=61))
    at_the_gate(*(ask() for _ in range(4)))

    assert told.count() == 2


def test_what_is_rolled_back_takes_no_turn(toys: None) -> None:
    with transaction.atomic():
        gate_batch([ask() for _ in range(3)])
        transaction.set_rollback(True)

    assert all(a.approval_id for a in at_the_gate(*(ask() for _ in range(3))))


def test_turns_that_passed_long_ago_are_forgotten(toys: None) -> None:
    at_the_gate(ask(), ask(agent="another-agent"))
    time_passes(timedelta(hours=2))

    at_the_gate(ask())

    assert sorted(AskingTurn.objects.values_list("agent_slug", flat=True)) == [
        "another-agent",
        "toy-agent",
    ]


def test_a_run_that_ended_keeps_its_agent_from_no_question(client_as: ClientAs, toys: None) -> None:
    """Its steps waited for their turns; they need none any more."""
    first, ended = [ask() for _ in range(3)], [ask() for _ in range(4)]
    living = ask()
    at_the_gate(*first, *ended, living)

    with transaction.atomic():
        for asked in (*first, *ended):
            services.void_for_run(asked.run_id)

    assert set(AskingTurn.objects.values_list("step_id", flat=True)) == {
        a.step_id for a in (*first, living)
    }, "what was asked was asked"
    page = " ".join(client_as("operator").get("/approvals/").content.decode().split())
    assert "1 more has its turn by" in page
    time_passes(timedelta(seconds=61))
    assert [a.approval_id is not None for a in at_the_gate(*(ask() for _ in range(3)))] == [
        True,
        True,
        False,
    ], "the one that lives keeps its turn"


def _until_given(step_id: UUID) -> PutOff | None:
    """As a worker that comes back while another gives this agent's turns."""
    while True:
        with transaction.atomic():
            later = services.give_turns([services.Asker("toy-agent", new_id(), step_id)]).get(
                step_id
            )
        if later is None or later.wait_s != BUSY_S:
            return later


@pytest.mark.django_db(transaction=True)
def test_workers_that_ask_at_once_share_the_bound() -> None:
    barrier = threading.Barrier(6)

    def worker() -> list[PutOff | None]:
        close_old_connections()
        barrier.wait()
        try:
            return [_until_given(new_id()) for _ in range(4)]
        finally:
            connection.close()

    with ThreadPoolExecutor(6) as pool:
        given = [later for some in pool.map(lambda _: worker(), range(6)) for later in some]

    assert given.count(None) == 3
    turns = sorted(AskingTurn.objects.values_list("at", flat=True))
    assert len(turns) == 24
    assert all(b - a >= timedelta(minutes=1) for a, b in zip(turns, turns[3:], strict=False))


def test_the_queue_says_which_agent_asks_too_much(client_as: ClientAs, toys: None) -> None:
    at_the_gate(*(ask() for _ in range(7)))

    page = " ".join(client_as("operator").get("/approvals/").content.decode().split())

    told = page.partition('class="notice warn row turns"')[2].partition("</div>")[0]
    assert "asks more than 3 questions a minute: 4 more have their turn by" in told
    assert "Stop this agent…" in told
    assert "Stop this agent…" not in client_as("auditor").get("/approvals/").content.decode()
    time_passes(timedelta(minutes=5))
    assert "row turns" not in client_as("operator").get("/approvals/").content.decode()
