"""Tables that are answered at once, on a real database: each request has one answer, and no table
waits for another without end."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from uuid import UUID

import pytest
from django.db import connection
from django.utils import timezone

from apps.accounts.models import User
from apps.audit.models import Event
from apps.oversight import services as single
from apps.oversight.models import Approval, Reading, Reversal, Table, Vote
from apps.oversight.services import together as services
from tests.factories.accounts import UserFactory
from tests.oversight.test_races import together
from tests.oversight.test_together import asked
from tests.tampering import past_triggers

ROUNDS = 6
pytestmark = pytest.mark.django_db(transaction=True)


def given(first: Approval, user: User) -> Table:
    """A table that was read a minute ago."""
    table = services.give_table(approval_id=first.pk, user=user)
    at = timezone.now() - timedelta(minutes=2)
    seen = dict.fromkeys(("opened_at", "arguments_at", "changes_at", "why_at"), at)
    Reading.objects.filter(user=user).update(**seen)
    with past_triggers("approvals_table"):
        Table.objects.filter(pk=table.pk).update(opened_at=at)
    return table


def answers(table: Table, *, approve: bool) -> Callable[[], str]:
    chosen = list(table.rows.values_list("approval", flat=True))

    def call() -> str:
        services.answer_table(
            table_id=table.pk, user=table.user, approve=approve, reason="race", chosen=chosen
        )
        return "answered"

    return call


def results(table: Table) -> dict[UUID, str]:
    return dict(table.rows.values_list("approval", "result"))


def test_of_two_tables_and_a_single_answer_one_has_each_request() -> None:
    users = UserFactory.create_batch(3)
    for _ in range(ROUNDS):
        rows = asked(6)
        tables = [given(rows[0], users[0]), given(rows[-1], users[1])]
        lone = rows[3]

        def alone(lone: Approval = lone) -> str:
            return single.decide(
                approval_id=lone.pk,
                user=users[2],
                approve=False,
                reason="race",
                digest=lone.digest,
                nonce="lone-nonce",
            ).state

        together([answers(tables[0], approve=True), answers(tables[1], approve=False), alone])

        for row in rows:
            now = Approval.objects.get(pk=row.pk)
            votes = Vote.objects.filter(approval=row)
            won = [table for table in tables if results(table)[row.pk] in {"granted", "rejected"}]
            assert votes.count() == 1
            assert len(won) == (0 if votes.get().user == users[2] else 1)
            assert all(results(table)[row.pk] == now.state for table in won)
            lost = [table for table in tables if table not in won]
            assert {results(table)[row.pk] for table in lost} == {"decided"}
            assert single.is_signed(now)
        Approval.objects.update(state="void")


def test_a_form_sent_ten_times_at_once_is_one_answer() -> None:
    user = UserFactory.create()
    rows = asked(5)
    table = given(rows[0], user)

    said = together([answers(table, approve=True)] * 10)

    assert said == ["answered"] * 10
    assert Vote.objects.count() == 5
    assert Event.objects.filter(kind="approval.granted").count() == 5
    assert Event.objects.filter(kind="table.answered").count() == 1


def test_approve_and_reject_of_one_table_never_mix() -> None:
    user = UserFactory.create()
    for _ in range(ROUNDS):
        table = given(asked(4)[0], user)

        said = together([answers(table, approve=True), answers(table, approve=False)])

        assert sorted(said) == ["answered", "decided"]
        assert len(set(results(table).values())) == 1
        Approval.objects.update(state="void")


def test_of_taking_a_table_back_and_letting_it_count_each_row_has_one() -> None:
    user, met = UserFactory.create(), set[str]()
    for _ in range(ROUNDS):
        rows = asked(8)
        table = given(rows[0], user)
        answers(table, approve=True)()
        with connection.cursor() as cursor:
            cursor.execute(
                "UPDATE approvals_approval SET not_before = clock_timestamp()"
                " + random() * interval '400 ms' WHERE state = 'granted'"
            )

        def undo(table: Table = table) -> str:
            services.undo_table(table_id=table.pk, user=user)
            return "undone"

        together([undo, lambda: str(single.release_due()), lambda: str(single.release_due())])

        for row in rows:
            state = Approval.objects.get(pk=row.pk).state
            result = results(table)[row.pk]
            assert (result == "undone") == (state == "pending")
            assert Reversal.objects.filter(approval=row).exists() == (result == "undone")
            assert result in {"undone", "late"}
            met.add(result)
        Approval.objects.update(state="void")
    assert met == {"undone", "late"}, "both happened, so that they have met"
