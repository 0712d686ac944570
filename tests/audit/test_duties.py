"""Duties are done apart: one that fails is told with its reason, and the others are done."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import DatabaseError, connection
from django.urls import reverse
from django.utils import timezone

from apps.audit import registry
from apps.audit import services as audit
from apps.audit.domain.duty import Duty, Term
from apps.audit.models import DutyLease, Event
from apps.audit.models import DutyStanding as Row
from apps.audit.services import leading, sweep
from apps.audit.services.performing import perform, perform_all
from apps.kernel.apart import MOST_AT_ONCE
from apps.ops.selectors import health, troubles
from apps.runs.models import Worker
from apps.runs.services import beat
from tests.factories.accounts import UserFactory
from tests.refusing import refused

pytestmark = pytest.mark.django_db(transaction=True)


def holding() -> Term:
    """This process has the duties, whoever had them."""
    DutyLease.objects.all().delete()
    term = leading.take("test")
    assert term is not None
    return term


class Panic(BaseException):
    """What a library in Rust raises when it panics is no Exception."""


def ask(sql: str) -> Callable[[], Any]:
    def work() -> Any:
        with connection.cursor() as cursor:
            cursor.execute(sql)
            return cursor.fetchone()[0]

    return work


def fail(error: BaseException) -> Callable[[], Any]:
    def work() -> Any:
        raise error

    return work


@pytest.mark.parametrize(
    "broken",
    [
        fail(ValueError("could not convert string to float: 'x\x00\ud800'")),
        fail(RecursionError()),
        fail(Panic("called `Option::unwrap()` on a `None` value")),
        fail(SystemExit(1)),
        fail(GeneratorExit()),
        ask("SELECT 1 / 0"),
        ask("SELECT nothing FROM nowhere"),
        ask("SET LOCAL statement_timeout = 10; SELECT pg_sleep(2)"),
        ask("SELECT pg_terminate_backend(pg_backend_pid())"),
    ],
)
def test_whatever_a_duty_raises_the_others_are_done(broken: Callable[[], Any]) -> None:
    duties = [
        Duty("first", "", ask("SELECT 3")),
        Duty("broken", "", broken),
        Duty("last", "", ask("SELECT 4")),
    ]

    done = perform_all(duties, holding())

    assert [(d.count, bool(d.error)) for d in done] == [(3, False), (None, True), (4, False)]
    rows = {row.name: row for row in Row.objects.all()}
    assert rows["broken"].error
    assert (rows["broken"].failures, rows["broken"].succeeded_at) == (1, None)
    assert rows["first"].did == 3
    assert rows["last"].succeeded_at is not None
    assert rows["last"].failed_at is None


@pytest.mark.parametrize("found", [2**63, -(2**70), True, 1.5, "x\0", {1: 2}, object()])
def test_whatever_a_duty_returns_how_it_and_the_others_went_is_kept(found: object) -> None:
    duties = [Duty("first", "", lambda: 3), Duty("odd", "", lambda: found)]

    perform_all(duties, holding())

    rows = {row.name: row for row in Row.objects.all()}
    assert (rows["first"].did, rows["odd"].did) == (3, None)
    assert rows["odd"].succeeded_at is not None


def test_what_a_duty_set_aside_and_cannot_be_told_is_told_as_that() -> None:
    lost = Duty("lost", "", int, aside="apps.audit.services.NOTHING_OF_THE_KIND")

    perform_all([Duty("first", "", int), lost], holding())

    assert Row.objects.count() == 2
    assert Row.objects.get(name="lost").aside.startswith("what it set aside: ImportError")


@pytest.mark.parametrize(
    "odd",
    [
        {"name": ""},
        {"name": "d" * 61},
        {"words": "w" * 201},
        {"every_s": float("nan")},
        {"every_s": float("inf")},
        {"every_s": -1.0},
    ],
)
def test_a_duty_that_no_round_could_deal_with_is_refused_where_it_is_named(odd: Any) -> None:
    with pytest.raises(ValueError, match="a duty"):
        Duty(**{"name": "d", "words": "", "work": int, **odd})


def test_failures_are_counted_until_it_goes_well_and_its_last_error_is_kept() -> None:
    perform_all([Duty("d", "", fail(ValueError("no")))] * 1, holding())
    perform_all([Duty("d", "", fail(ValueError("not yet")))], holding())
    assert Row.objects.get().failures == 2

    perform_all([Duty("d", "", lambda: (1, 2))], holding())

    row = Row.objects.get()
    assert (row.failures, row.error, row.did) == (0, "ValueError: not yet", 2)


def test_a_round_ends_when_the_database_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []

    def away(*_: Any, **__: Any) -> Any:
        raise DatabaseError("away")

    def break_it() -> None:
        monkeypatch.setattr(connection, "cursor", away)
        raise DatabaseError("away")

    duties = [Duty("a", "", break_it), Duty("b", "", lambda: done.append("b"))]
    with pytest.raises(DatabaseError):
        perform_all(duties, holding())

    assert done == []


@pytest.fixture
def sealable() -> Any:
    audit.UNSEALABLE.forget()
    yield
    audit.UNSEALABLE.forget()


def event(kind: str = "x") -> int:
    return Event.objects.create(kind=kind, actor="x", subject_type="x", subject_id="x").pk


def test_rows_without_end_that_are_refused_stop_their_own_duty_only(
    sealable: None, client: Any
) -> None:
    beat("old", "drainer", "normal", 0, 1)
    Worker.objects.update(seen_at=timezone.now() - timedelta(hours=1))
    for _ in range(MOST_AT_ONCE + 10):
        event()

    with refused("audit_event", "true"):
        swept = sweep()

    assert list(swept.failed) == ["sealed"]
    assert not Worker.objects.exists()
    names = {duty.name for duty in registry.duties()}
    well = {d.name for d in health.overview().duties if d.standing == "well"}
    assert well == names - {"sealed"}
    [told] = [t for t in troubles.readiness().troubles if t.kind == "duty"]
    assert "“Sealed” failed when last tried, so the audit log is not linked" in told.sentence
    assert "hostile" in told.detail
    answer = client.get(reverse("api:ready"))
    assert answer.status_code == 503
    assert "hostile" not in answer.content.decode()
    client.force_login(UserFactory.create(role="admin"))
    page = client.get(reverse("api:system")).content.decode()
    assert "this row is &lt;b&gt;hostile&lt;/b&gt;" in page
    assert "Failed 1 time in a row" in " ".join(page.split())


def test_a_row_that_is_refused_stops_no_duty_and_is_named(sealable: None, client: Any) -> None:
    beat("s", "sweeper", "", 0, 1)
    event(), event("hostile"), event()
    hostile = Event.objects.get(kind="hostile").pk

    with refused("audit_event", "NEW.kind = 'hostile'"):
        swept = sweep()

    assert swept.failed == {}
    assert swept.sealed == 2
    row = Row.objects.get(name="sealed")
    assert (row.set_aside, row.failures) == (1, 0)
    assert row.aside.startswith(f"event {hostile}: ProgrammingError: this row is <b>hostile</b>")
    [told] = [t for t in troubles.readiness().troubles if t.kind == "aside"]
    assert not told.is_grave
    assert told.sentence == "The duty “Sealed” set 1 row aside that it can't deal with"
    client.force_login(UserFactory.create(role="admin"))
    page = client.get(reverse("api:system")).content.decode()
    assert "1 set aside" in page
    assert f"event {hostile}: ProgrammingError: this row is &lt;b&gt;hostile&lt;/b&gt;" in page

    audit.UNSEALABLE.forget()
    sweep()
    assert Row.objects.get(name="sealed").set_aside == 0


def test_a_duty_that_is_not_done_is_late() -> None:
    beat("s", "sweeper", "", 0, 1)
    perform_all([Duty("d", "", int)], holding())
    Row.objects.update(succeeded_at=timezone.now() - timedelta(seconds=60))

    [told] = [t for t in troubles.troubles(health.overview()) if t.kind == "duty"]

    assert "has not been done for 60 s" in told.sentence


def test_what_ends_the_process_is_not_kept_from_it() -> None:
    with pytest.raises(KeyboardInterrupt):
        perform(Duty("d", "", fail(KeyboardInterrupt())))
