"""One event's trouble stays that event's: the others are sealed in the same pass."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.urls import reverse

from apps.audit import selectors, services
from apps.audit.domain import chain
from apps.audit.domain.actors import SWEEPER
from apps.audit.models import NOT_SHOWN, Event
from apps.audit.services import verifying
from tests.refusing import refused

pytestmark = pytest.mark.django_db(transaction=True)
DEEP = '{"v": ' + "[" * 300 + "1" + "]" * 300 + "}"
DEEPER = '{"v": ' + "[" * 3000 + "1" + "]" * 3000 + "}"
NOW = "2026-01-02 03:04:05.000006+00"
ODD = {
    "a level too deep": ('{"v": ' + "[" * 252 + "]" * 252 + "}", NOW),
    "deep": (DEEP, NOW),
    "deeper than Python reads": (DEEPER, NOW),
    "beyond the calendar": ("{}", "20000-01-01 00:00+00"),
    "before the calendar": ("{}", "0044-03-15 00:00+00 BC"),
    "at no time": ("{}", "infinity"),
}
FINE = {
    "a number beyond all others": ('{"v": 1e131071, "w": -1e-16383}', NOW),
    "odd text": ('{"\\u0001": "\\ufffd\\ud83d\\ude00", "": []}', NOW),
    "deeper than it is let in": ('{"v": ' + "[" * 99 + "]" * 99 + "}", NOW),
    "just deep enough": ('{"v": ' + "[" * 251 + "]" * 251 + "}", NOW),
    "a text": ('"x"', NOW),
    "the first of days": ("{}", "0001-01-03 00:00+00"),
}


@pytest.fixture(autouse=True)
def nothing_is_aside() -> None:
    services.UNSEALABLE.forget()


def event(n: int) -> Event:
    return Event.objects.create(
        kind="x", actor="x", subject_type="x", subject_id=str(n), payload={"n": n}
    )


def odd(payload: str, at: str) -> int:
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO audit_event (at, kind, actor, subject_type, subject_id, payload, hash)"
            " VALUES (%s, 'odd', 'x', 'x', '1', %s, '') RETURNING id",
            [at, payload],
        )
        return cursor.fetchone()[0]


def change(sql: str, *values: Any) -> None:
    """As somebody would who may do anything to the database."""
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE audit_event DISABLE TRIGGER audit_event_append_only")
        cursor.execute(sql, values)
        cursor.execute("ALTER TABLE audit_event ENABLE TRIGGER audit_event_append_only")


def sealed() -> dict[int, tuple[int | None, str]]:
    rows = Event.objects.values_list("pk", "position", "sealed_as")
    return {pk: (position, how) for pk, position, how in rows}


@pytest.mark.parametrize("case", ODD)
def test_an_event_that_cant_be_digested_is_sealed_by_its_texts(case: str) -> None:
    first, bad, last = event(1).pk, odd(*ODD[case]), event(2).pk

    assert services.seal() == 3

    assert sealed() == {first: (1, ""), bad: (2, chain.AS_TEXTS), last: (3, "")}
    assert services.verify() == (3, None)


@pytest.mark.parametrize("case", FINE)
def test_what_is_only_odd_is_sealed_like_any_other(case: str) -> None:
    bad = odd(*FINE[case])

    assert services.seal() == 1

    assert sealed()[bad] == (1, "")
    assert services.verify() == (1, None)


def rewrite(pk: int) -> None:
    change("UPDATE audit_event SET payload = payload || '{\"w\": 1}' WHERE id = %s", pk)


def rename(pk: int) -> None:
    change("UPDATE audit_event SET actor = 'eve' WHERE id = %s", pk)


def move(pk: int) -> None:
    change("UPDATE audit_event SET at = at + interval '1 microsecond' WHERE id = %s", pk)


def say_value(pk: int) -> None:
    change("UPDATE audit_event SET sealed_as = '' WHERE id = %s", pk)


def say_something_new(pk: int) -> None:
    change("UPDATE audit_event SET sealed_as = 'later' WHERE id = %s", pk)


def make_plain(pk: int) -> None:
    change("UPDATE audit_event SET payload = '{}', sealed_as = '' WHERE id = %s", pk)


def drop(pk: int) -> None:
    change("DELETE FROM audit_event WHERE id = %s", pk)


@pytest.mark.parametrize(
    "tamper", [rewrite, rename, move, say_value, say_something_new, make_plain, drop]
)
@pytest.mark.parametrize("payload", [DEEP, DEEPER])
def test_tampering_with_such_an_event_is_noticed(
    tamper: Callable[[int], None], payload: str
) -> None:
    event(1)
    bad = odd(payload, NOW)
    event(2)
    services.seal()

    tamper(bad)

    last, broken = services.verify()
    assert last == 3
    assert broken is not None
    assert broken.position == 2


def test_an_event_sealed_as_a_value_cant_be_called_one_sealed_by_its_texts() -> None:
    first = event(1).pk
    services.seal()

    change("UPDATE audit_event SET sealed_as = 'texts' WHERE id = %s", first)

    assert services.verify()[1] == chain.Break(1, "the content doesn't fit its hash")


def test_how_an_event_was_sealed_is_never_changed() -> None:
    first = event(1).pk
    services.seal()

    with connection.cursor() as cursor, pytest.raises(Exception, match="append-only"):
        cursor.execute("UPDATE audit_event SET sealed_as = 'texts' WHERE id = %s", [first])


def test_a_chain_of_an_older_release_still_fits() -> None:
    """Hashes as they were made before events were read as texts."""
    rows = [event(n) for n in (1, 2)]
    previous = chain.GENESIS
    for position, row in enumerate(rows, start=1):
        row.refresh_from_db()
        previous = chain.link(previous, position, selectors.content(row))
        Event.objects.filter(pk=row.pk).update(position=position, hash=previous)
    event(3)

    assert services.seal() == 1
    assert services.verify() == (3, None)


def test_a_row_that_is_refused_leaves_the_others_to_be_sealed() -> None:
    ids = [event(n).pk for n in range(20)]

    with refused("audit_event", f"NEW.id IN ({ids[3]}, {ids[17]})"):
        assert services.seal() == 18
        assert services.seal() == 0
        told = services.UNSEALABLE.told()
    assert [what for what, _ in told] == [f"event {ids[3]}", f"event {ids[17]}"]
    assert "hostile" in str(told[0][1])
    positions = sealed()
    assert [positions[i][0] for i in (ids[3], ids[17])] == [None, None]
    assert sorted(p for p, _ in positions.values() if p) == list(range(1, 19))
    assert services.verify() == (18, None)

    services.UNSEALABLE.forget()  # as a minute does
    assert services.seal() == 2
    assert services.verify() == (20, None)


@pytest.mark.parametrize("payload", [DEEP, DEEPER, *(p for p, _ in FINE.values())])
def test_pages_show_a_log_with_such_an_event(client_as: Any, payload: str) -> None:
    event(1)
    odd(payload, NOW)
    services.seal()
    client = client_as("auditor")

    page = client.get(reverse("audit:list")).content.decode()
    lines = client.get(reverse("audit:export")).getvalue().decode().splitlines()
    row = verifying.ask_for_all(SWEEPER)
    verifying.go_on(row, budget_s=5)
    verified = " ".join(client.get(reverse("audit:verified")).content.decode().split())

    assert "odd" in page
    rows = [json.loads(line, parse_int=str) for line in lines[:-1]]
    exported = rows.pop(0)  # that somebody takes the log out is an event of its own
    assert exported["kind"] == "evidence.exported"
    assert [row["kind"] for row in rows] == ["odd", "x"]
    assert "up to #2" in verified
    if payload in (DEEP, DEEPER):
        assert "by its texts" in page
        assert "nested" in rows[0]["payload"][NOT_SHOWN]
        assert rows[0]["sealed_as"] == "texts"
        assert "1 of the events by its texts" in verified
    assert [e.kind for e in selectors.feed(0, kinds=("odd",), run_id=None, limit=9).rows] == ["odd"]
