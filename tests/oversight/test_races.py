"""Many at once on a real database: exactly one wins, everybody else is told."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from functools import partial
from uuid import UUID

import pytest
from django.db import close_old_connections, connection, transaction
from django.test import Client
from django.utils import timezone

from apps.accounts.models import User
from apps.audit.models import Event
from apps.kernel.errors import ConflictError
from apps.oversight import services
from apps.oversight.models import Approval, Reversal, Vote
from tests.conftest import BACKEND
from tests.factories.accounts import UserFactory
from tests.factories.approvals import USUAL_LADDER, ApprovalFactory, has_read

ROUNDS = 12
# The age of things, which grows while twenty are answered, and each answer's own token.
VARIES = re.compile(r'\d+ s( ago)?|name="csrfmiddlewaretoken" value="\w+"')
pytestmark = pytest.mark.django_db(transaction=True)


def together(calls: Sequence[Callable[[], str]]) -> list[str]:
    """Run ``calls`` in threads that start at the same moment, each on its own connection."""
    barrier = threading.Barrier(len(calls))

    def run(call: Callable[[], str]) -> str:
        close_old_connections()
        barrier.wait()
        try:
            return call()
        except ConflictError as error:
            return error.code
        finally:
            connection.close()

    with ThreadPoolExecutor(len(calls)) as pool:
        return [future.result() for future in [pool.submit(run, call) for call in calls]]


def decider(approval: Approval, user: User, approve: bool, nonce: str = "") -> Callable[[], str]:
    def call() -> str:
        return services.decide(
            approval_id=approval.pk,
            user=user,
            approve=approve,
            reason="race",
            digest=approval.digest,
            nonce=nonce or f"nonce-{user.pk}",
        ).state

    return call


def test_of_four_who_decide_at_once_one_wins() -> None:
    users = UserFactory.create_batch(4)
    for _ in range(ROUNDS):
        approval = ApprovalFactory.create()

        said = together([decider(approval, u, i % 2 == 0) for i, u in enumerate(users)])

        state = Approval.objects.get(pk=approval.pk).state
        assert sorted(said) == sorted([state, "decided", "decided", "decided"])
        assert Vote.objects.filter(approval=approval).count() == 1


def test_whoever_comes_second_is_told_who_was_first() -> None:
    users = UserFactory.create_batch(4)
    for _ in range(ROUNDS):
        approval = ApprovalFactory.create()
        told: list[str] = []

        def call(user: User, approval: Approval = approval, told: list[str] = told) -> str:
            try:
                return decider(approval, user, True)()
            except ConflictError as error:
                told.append(str(error.detail["who"]))
                raise

        together([partial(call, user) for user in users])

        decided_by = Approval.objects.get(pk=approval.pk).decided_by
        assert decided_by is not None
        assert told == [decided_by.display_name] * 3


def test_a_double_click_is_one_answer() -> None:
    user = UserFactory.create()
    for _ in range(ROUNDS):
        approval = ApprovalFactory.create()

        said = together([decider(approval, user, True, "one") for _ in range(3)])

        assert said == ["approved"] * 3
        assert Vote.objects.filter(approval=approval).count() == 1


def test_an_approval_is_consumed_once() -> None:
    user = UserFactory.create()

    def use(approval: Approval) -> Callable[[], str]:
        def call() -> str:
            with transaction.atomic():
                return str(services.consume(approval.pk, approval.digest))

        return call

    for _ in range(ROUNDS):
        approval = ApprovalFactory.create()
        decider(approval, user, True)()

        said = together([use(approval) for _ in range(3)])

        assert sorted(said) == ["False", "False", "True"]


def test_the_clock_and_a_person_never_both_win() -> None:
    user = UserFactory.create()
    for _ in range(ROUNDS):
        approval = ApprovalFactory.create(expires_at=timezone.now() + timedelta(milliseconds=15))

        said = together([decider(approval, user, True), lambda: str(services.expire_due())])

        state = Approval.objects.get(pk=approval.pk).state
        assert (said[0] == "approved") == (state == "approved")
        assert Vote.objects.filter(approval=approval).count() == (state == "approved")
        services.expire_due()


def test_of_sweepers_and_a_person_one_climbs_a_rung() -> None:
    user = UserFactory.create()

    def by_hand(approval: Approval) -> Callable[[], str]:
        def call() -> str:
            services.escalate(approval_id=approval.pk, user=user, note="look", rung=0)
            return "by hand"

        return call

    for _ in range(ROUNDS):
        now = timezone.now()
        approval = ApprovalFactory.create(
            created_at=now - timedelta(minutes=6),
            expires_at=now + timedelta(minutes=4),
            ladder=USUAL_LADDER,
            rung_at=now - timedelta(minutes=1),
        )
        sweep = [lambda: str(services.escalate_due())] * 3

        said = together([*sweep, by_hand(approval)])

        call = approval.escalations.get(rung=0)
        kinds = list(Event.objects.filter(subject_id=str(approval.pk)).values_list("kind"))
        assert kinds == [("approval.escalated",)]
        assert said[3] == ("escalated" if call.by is None else "by hand")
        assert said[:3].count("1") == (call.by is None)


def test_a_decision_and_an_escalation_never_contradict() -> None:
    users = UserFactory.create_batch(2)
    for _ in range(ROUNDS):
        approval = ApprovalFactory.create(ladder=USUAL_LADDER)

        def escalate(approval: Approval = approval) -> str:
            services.escalate(approval_id=approval.pk, user=users[1], note="look", rung=0)
            return "escalated"

        said = together([decider(approval, users[0], True), escalate])

        kinds = Event.objects.filter(subject_id=str(approval.pk)).order_by("id")
        told = [e.kind.split(".")[1] for e in kinds]
        assert said[0] == "approved"
        assert told == (["approved"] if said[1] == "decided" else ["escalated", "approved"])


def test_one_of_two_claims_holds() -> None:
    users = UserFactory.create_batch(2)

    def claim(approval: Approval, user: User) -> Callable[[], str]:
        def call() -> str:
            services.claim(approval_id=approval.pk, user=user)
            return "mine"

        return call

    for _ in range(ROUNDS):
        approval = ApprovalFactory.create()

        said = together([claim(approval, user) for user in users])

        assert sorted(said) == ["claimed", "mine"]


@pytest.mark.parametrize(("word", "votes"), [("approve", 1), ("approve", 2), ("reject", 1)])
def test_a_form_sent_twenty_times_at_once_is_one_decision(word: str, votes: int) -> None:
    """Fault 29: double click, double submit, a browser that tries again. One nonce, one answer."""
    user = UserFactory.create()
    approval = ApprovalFactory.create(votes_required=votes)
    clients = [Client() for _ in range(20)]
    for client in clients:
        client.force_login(user, backend=BACKEND)
    has_read(approval, user)
    form = {"answer": word, "reason": "twice", "digest": approval.digest, "nonce": "one-click-1"}

    def send(client: Client) -> Callable[[], str]:
        def call() -> str:
            path = f"/approvals/{approval.pk}/decide/"
            response = client.post(path, form, headers={"HX-Request": "true"})
            assert response.status_code == 200
            return VARIES.sub("", response.content.decode())

        return call

    said = together([send(client) for client in clients])

    assert len(set(said)) == 1
    assert Vote.objects.filter(approval=approval).count() == 1
    events = Event.objects.filter(subject_id=str(approval.pk))
    assert [e.kind.split(".")[1] for e in events] == [
        "rejected" if word == "reject" else "approved" if votes == 1 else "voted"
    ]


def test_of_taking_back_and_letting_it_count_exactly_one_happens() -> None:
    """Two thousand windows end within the race: the clock of one guarded statement decides."""
    user, rounds, lot = UserFactory.create(role="operator"), 20, 100
    taken_back = counted = 0
    for _ in range(rounds):
        ids = _granted(lot, user)

        together([_undoer(ids[::2], user), _undoer(ids[1::2], user), *[_releaser(ids)] * 2])

        rows = Reversal.objects.filter(approval__in=ids).values_list("approval", flat=True)
        undone = set(rows)
        subjects = [str(pk) for pk in ids]
        told = Event.objects.filter(kind="approval.approved", subject_id__in=subjects)
        released = [UUID(event.subject_id) for event in told]
        states = dict(Approval.objects.filter(pk__in=ids).values_list("pk", "state"))
        assert len(released) == len(set(released))
        assert undone.isdisjoint(released)
        assert undone | set(released) == set(ids)
        assert {pk for pk, state in states.items() if state == "pending"} == undone
        assert {pk for pk, state in states.items() if state == "approved"} == set(released)
        taken_back += len(undone)
        counted += len(released)

    assert min(taken_back, counted) > rounds, "both happened often enough to have met"


def _granted(lot: int, user: User) -> list[UUID]:
    """Approvals whose windows end at some moment of the next half second."""
    ids = [a.pk for a in ApprovalFactory.create_batch(lot, undo_s=1, decided_by=user)]
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE approvals_approval SET state = 'granted', decided_at = clock_timestamp(),"
            " not_before = clock_timestamp() + random() * interval '0.5 s' WHERE id = ANY(%s)",
            [ids],
        )
    return ids


def _undoer(ids: Sequence[UUID], user: User) -> Callable[[], str]:
    def call() -> str:
        for pk in ids:
            with suppress(ConflictError):
                services.undo(approval_id=pk, user=user)
        return "over"

    return call


def _releaser(ids: Sequence[UUID]) -> Callable[[], str]:
    def call() -> str:
        end = time.monotonic() + 30
        while time.monotonic() < end and _are_granted(ids):
            services.release_due()
        return "over"

    return call


def _are_granted(ids: Sequence[UUID]) -> bool:
    return Approval.objects.filter(pk__in=ids, state="granted").exists()
