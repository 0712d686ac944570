"""One process holds the duties, by the database's clock and word."""

from __future__ import annotations

import threading
import time
from datetime import timedelta

import pytest
from django.db import connection
from django.db.models import F

from apps.audit.domain.duty import Done, Duty, Term
from apps.audit.models import DutyLease, DutyStanding
from apps.audit.selectors import duties
from apps.audit.services import leading, sweep
from apps.audit.services.performing import keep
from apps.kernel.errors import ConflictError
from apps.ops.selectors import health, troubles
from apps.runs.services import beat

pytestmark = pytest.mark.django_db(transaction=True)


def taken(holder: str = "a") -> Term:
    term = leading.take(holder)
    assert term is not None
    return term


def lapse() -> None:
    DutyLease.objects.update(until=F("until") - timedelta(minutes=1))


def test_one_of_many_who_take_at_once_holds() -> None:
    found: list[Term | None] = []
    ready = threading.Barrier(8)

    def take(n: int) -> None:
        ready.wait()
        found.append(leading.take(f"holder {n}"))
        connection.close()

    for round_ in range(5):
        found.clear()
        threads = [threading.Thread(target=take, args=(n,)) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        [term] = [t for t in found if t]
        assert term.token == round_ + 1
        lapse()


def test_a_holder_holds_on_and_knows_its_end_before_the_database_does() -> None:
    term = taken()
    assert leading.take("b") is None
    [row] = DutyLease.objects.all()
    held = duties.holder()
    assert held is not None
    assert (row.holder, held.is_holding) == ("a", True)
    assert term.until - time.monotonic() < held.left_s

    renewed = leading.renew(term)

    assert renewed is not None
    assert renewed.token == term.token
    assert DutyLease.objects.get().until > row.until


def test_one_that_lapsed_goes_on_unless_another_took_over() -> None:
    term = taken()
    lapse()
    assert leading.renew(term) is not None
    lapse()
    other = taken("b")

    assert leading.renew(term) is None
    leading.let_go(term)

    held = duties.holder()
    assert held is not None
    assert (held.name, held.token, held.is_holding) == ("b", other.token, True)


def test_letting_go_lets_the_next_take_over_at_once() -> None:
    leading.let_go(taken())

    assert taken("b").token == 2


def test_what_a_former_holder_says_of_duties_is_refused() -> None:
    duty = Duty("d", "", int)
    former = taken()
    assert keep([Done(duty, 1)], former)
    lapse()
    taken("b")

    assert not keep([Done(duty, 2, "it failed")], former)

    row = DutyStanding.objects.get()
    assert (row.did, row.failures, row.token) == (1, 0, former.token)


def test_tokens_go_on_when_the_lease_is_lost() -> None:
    for _ in range(3):
        term = taken()
        lapse()
    keep([Done(Duty("d", "", int))], term)
    DutyLease.objects.all().delete()

    assert taken().token == 4


def test_tokens_go_on_when_an_older_lease_comes_back() -> None:
    keep([Done(Duty("d", "", int))], taken())
    DutyStanding.objects.update(token=50)
    lapse()

    term = taken("b")

    assert term.token == 51
    assert keep([Done(Duty("d", "", int), 7)], term), "else nothing is ever written down again"


@pytest.mark.parametrize("later", ["now() + interval '1 hour'", "'infinity'"])
def test_a_lease_from_before_the_databases_clock_was_put_back_keeps_nobody_away(later: str) -> None:
    former = taken()
    with connection.cursor() as cursor:
        cursor.execute(f"UPDATE audit_dutylease SET until = {later}")

    assert leading.take("b") is not None
    assert leading.renew(former) is None


def test_a_sweep_by_hand_leaves_the_duties_to_their_holder() -> None:
    leading.let_go(taken())
    assert sweep(waiting=False).failed == {}
    taken("b")

    with pytest.raises(ConflictError):
        sweep(waiting=False)


def test_nobody_who_holds_them_is_noticed() -> None:
    beat("s", "sweeper", "", 0, 1)
    keep([Done(Duty("d", "", int, every_s=1000))], taken())
    lapse()
    assert not [t for t in troubles.readiness().troubles if t.kind == "holder"]

    DutyStanding.objects.update(ran_at=F("ran_at") - timedelta(seconds=30))

    [told] = [t for t in troubles.readiness().troubles if t.kind == "holder"]
    assert told.is_grave
    assert "No sweeper has held the duties for 30 s" in told.sentence
    assert health.overview().holder is not None
