"""The log-in: who gets in, how often somebody may try, and what the log says of it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection
from django.test import Client

from apps.accounts import services
from apps.accounts.domain import limits
from apps.accounts.models import LogInGuard, User
from apps.accounts.services import doors
from apps.audit.models import Event
from tests.factories.accounts import PASSWORD, with_password

ClientAs = Callable[[str], Client]
pytestmark = pytest.mark.django_db
LOG_IN = "/accounts/login/"


@pytest.fixture
def nora(db: None) -> User:
    return with_password("nora", role="operator")


def attempt(client: Client, password: str, name: str = "nora", **headers: str) -> Any:
    return client.post(LOG_IN, {"username": name, "password": password}, headers=headers)


def open_up() -> None:
    """As if the wait were over."""
    with connection.cursor() as cursor:
        cursor.execute("UPDATE accounts_loginguard SET locked_until = clock_timestamp()")


def said(kind: str) -> list[dict[str, Any]]:
    return list(Event.objects.filter(kind=kind).order_by("id").values_list("payload", flat=True))


def test_five_wrong_passwords_lock_the_account_whatever_headers_say(nora: User) -> None:
    answers = [
        attempt(Client(REMOTE_ADDR=f"10.0.0.{n}"), "wrong", **{"X-Forwarded-For": f"9.9.9.{n}"})
        for n in range(6)
    ]
    right = attempt(Client(REMOTE_ADDR="10.9.9.9"), PASSWORD)

    assert [a.status_code for a in answers] == [200, 200, 200, 200, 200, 429]
    assert right.status_code == 429
    assert int(right["Retry-After"]) <= 30
    assert "Too many tries" in right.content.decode()


def test_a_name_typed_otherwise_is_the_same_account(nora: User) -> None:
    for name in ("nora", "NORA", " nora ", "\uff4eora", "Nora"):
        attempt(Client(), "wrong", name)

    assert attempt(Client(), PASSWORD).status_code == 429


@pytest.mark.parametrize("typed", [" nora", "NORA", "\uff4eora", f"{' ' * 148}nora", "nora\u2003"])
def test_however_the_name_is_typed_it_is_counted_and_told(nora: User, typed: str) -> None:
    for _ in range(5):
        attempt(Client(), "wrong", typed)

    assert attempt(Client(), PASSWORD).status_code == 429
    assert len(said("user.login_refused")) == 5
    assert [told["username"] for told in said("user.locked_out")] == ["nora"]


def test_the_wait_doubles_to_a_quarter_of_an_hour_and_trying_does_not_lengthen_it(
    nora: User,
) -> None:
    found = []
    for _ in range(12):
        tries, wait = doors.spend("nora")
        found.append(doors.spend("nora")[1] if tries >= 5 else wait)
        before = LogInGuard.objects.get().locked_until
        if tries >= 5:
            doors.spend("nora")
        assert LogInGuard.objects.get().locked_until == before
        open_up()

    assert found == [limits.wait_after(n) for n in range(1, 13)]
    assert found[4:11] == [30, 60, 120, 240, 480, 900, 900]


def test_the_right_password_forgets_the_wrong_ones(nora: User) -> None:
    for _ in range(4):
        attempt(Client(), "wrong")
    assert attempt(Client(), PASSWORD).status_code == 302

    assert [attempt(Client(), "wrong").status_code for _ in range(4)] == [200] * 4


def test_an_unknown_name_is_answered_and_locked_like_a_known_one(nora: User) -> None:
    known = [attempt(Client(), "wrong").content.count(b"Wrong user name") for _ in range(5)]
    unknown = [attempt(Client(), "wrong", "x").content.count(b"Wrong user name") for _ in range(5)]

    assert known == unknown
    assert attempt(Client(), "wrong", "x").status_code == 429


def test_a_reset_opens_a_locked_account(people: dict[str, User], nora: User) -> None:
    for _ in range(6):
        attempt(Client(), "wrong")
    _, code = services.reset_access(actor=people["admin"], user_id=nora.pk)
    services.enrol(code=code, password=PASSWORD)

    assert attempt(Client(), PASSWORD).status_code == 302


@pytest.mark.django_db(transaction=True)
def test_of_many_guesses_at_once_no_more_are_tried(transactional_db: None) -> None:
    with_password("nora", role="operator")
    barrier = threading.Barrier(16)

    def guess(n: int) -> tuple[int, int]:
        try:
            barrier.wait()
            return doors.spend("nora")
        finally:
            connection.close()

    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(guess, range(16)))

    assert sorted(tries for tries, _ in found if tries) == [1, 2, 3, 4, 5]


def test_the_log_says_who_came_in_and_who_was_refused_and_whence(nora: User) -> None:
    stranger = Client(REMOTE_ADDR="192.0.2.7")
    for _ in range(5):
        attempt(stranger, "wrong", **{"X-Forwarded-For": "203.0.113.9"})
    attempt(stranger, "a-password-by-mistake", "my-secret-passphrase")
    open_up()
    attempt(stranger, PASSWORD)
    stranger.post("/accounts/logout/")

    assert [p["address"] for p in said("user.login_refused")] == ["192.0.2.7"] * 5
    (locked,) = said("user.locked_out")
    assert locked.pop("via")["from"] == "192.0.2.7"
    assert locked == {"username": "nora", "tries": 5, "seconds": 30}
    (came_in,) = said("user.logged_in")
    assert came_in.pop("via")["from"] == "192.0.2.7"
    assert came_in == {"username": "nora", "address": "192.0.2.7", "how": "password"}
    refused = Event.objects.filter(kind="user.login_refused").values_list("actor", flat=True)
    assert set(refused) == {"system:log-in"}
    assert [e.actor for e in Event.objects.filter(kind="user.logged_out")] == ["user:nora"]
    assert "my-secret" not in str(list(Event.objects.values_list("payload", flat=True)))
