"""One's own sessions: they end by themselves, by hand, and with the password."""

from __future__ import annotations

import re
import time
from typing import Any

import pytest
from django.contrib.sessions.models import Session
from django.db.models.functions import Now
from django.test import Client

from apps.accounts import services
from apps.accounts.models import OpenSession, User
from apps.accounts.services import sessions
from apps.audit.models import Event
from tests.factories.accounts import PASSWORD, with_password

pytestmark = pytest.mark.django_db
REAL = time.time
LOG_IN, SECURITY, NEW = "/accounts/login/", "/accounts/security/", "another-long-password"


@pytest.fixture
def nora(db: None) -> User:
    return with_password("nora", role="admin")


def text(response: Any) -> str:
    return " ".join(response.content.decode().split())


def logged_in(agent: str = "Browser", password: str = PASSWORD) -> Client:
    client = Client(headers={"User-Agent": agent})
    client.post(LOG_IN, {"username": "nora", "password": password})
    return client


def is_in(client: Client) -> bool:
    return client.get(SECURITY).status_code == 200


def later(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """``seconds`` after now, for what measures sessions."""
    now = REAL() + seconds
    monkeypatch.setattr("apps.accounts.authn.time.time", lambda: now)
    monkeypatch.setattr(
        "apps.accounts.authn.session_limits",
        lambda: {"now_s": now, "idle_s": 30 * 60, "longest_s": 12 * 3600},
    )


def test_a_session_ends_when_nobody_does_anything(
    nora: User, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    settings.SESSION_IDLE_MINUTES = 30
    client = logged_in()
    later(monkeypatch, 29 * 60)
    assert is_in(client)
    later(monkeypatch, 58 * 60)
    assert is_in(client)
    later(monkeypatch, 89 * 60)

    assert not is_in(client)


def test_what_a_page_asks_for_by_itself_is_nobody_doing_something(
    nora: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    asks, acts = logged_in(), logged_in()
    later(monkeypatch, 20 * 60)
    asks.get("/approvals/", headers={"HX-Request": "true"})
    asks.get("/approvals/", headers={"Sec-Fetch-Mode": "cors"})
    acts.post("/accounts/active/")
    later(monkeypatch, 40 * 60)

    assert not is_in(asks)
    assert is_in(acts)


def test_a_session_ends_after_its_longest_time(nora: User, monkeypatch: pytest.MonkeyPatch) -> None:
    client = logged_in()
    for minutes in range(25, 12 * 60, 25):
        later(monkeypatch, minutes * 60)
        assert is_in(client)
    later(monkeypatch, 12 * 3600 + 5)

    assert not is_in(client)


def test_the_limits_are_the_settings(nora: User, settings: Any) -> None:
    client = logged_in()
    session = client.session
    session["seen"] = session["began"] = time.time() - 6 * 60
    session.save()
    assert is_in(client)

    session["seen"] = time.time() - 6 * 60
    session.save()
    settings.SESSION_IDLE_MINUTES = 5
    assert not is_in(client)


def test_one_sees_and_ends_ones_own_sessions(nora: User) -> None:
    here, there = logged_in("Desk"), logged_in("Phone <b>")
    page = text(here.get(SECURITY))
    assert "Desk" in page
    assert "Phone &lt;b&gt;" in page
    row = OpenSession.objects.get(agent="Phone <b>")

    assert here.post(f"{SECURITY}sessions/{row.pk}/end/").status_code == 302

    assert not is_in(there)
    assert is_in(here)
    assert "Phone" not in text(here.get(SECURITY))
    assert here.post(f"{SECURITY}sessions/{row.pk}/end/").status_code == 404


def test_logging_in_again_logs_out_first(nora: User) -> None:
    client = logged_in()

    assert SECURITY in client.post(f"{SECURITY}again/")["Location"]

    assert not is_in(client)
    assert not OpenSession.objects.exists()
    assert Event.objects.filter(kind="user.logged_out").count() == 1


def test_nobody_ends_another_persons_session(nora: User) -> None:
    mine = logged_in()
    with_password("ida")
    ida = Client()
    ida.post(LOG_IN, {"username": "ida", "password": PASSWORD})

    row = OpenSession.objects.get(user=nora)
    assert ida.post(f"{SECURITY}sessions/{row.pk}/end/").status_code == 404
    assert is_in(mine)
    assert "nora" not in text(ida.get(SECURITY))


def test_all_others_at_once(nora: User) -> None:
    here, others = logged_in(), [logged_in() for _ in range(3)]

    here.post(f"{SECURITY}sessions/end/")

    assert is_in(here)
    assert [is_in(other) for other in others] == [False] * 3


def test_changing_the_password_ends_every_other_session(nora: User) -> None:
    here, there = logged_in(), logged_in()
    typed = {"old": PASSWORD, "password": NEW, "again": NEW}

    assert here.post(f"{SECURITY}password/", typed)["Location"] == SECURITY

    assert is_in(here)
    assert not is_in(there)
    assert len(re.findall("this one", text(here.get(SECURITY)))) == 1
    assert is_in(logged_in(password=NEW))
    assert not is_in(logged_in())
    assert Event.objects.filter(kind="user.password_changed").count() == 1


@pytest.mark.parametrize(
    ("old", "password", "said"),
    [
        ("wrong", NEW, "This isn&#x27;t your password"),
        (PASSWORD, PASSWORD, "the password that you have"),
        (PASSWORD, "password1234", "too common"),
    ],
)
def test_a_password_is_not_changed_to_anything(
    nora: User, old: str, password: str, said: str
) -> None:
    client = logged_in()

    answer = client.post(
        f"{SECURITY}password/", {"old": old, "password": password, "again": password}
    )

    assert answer.status_code == 422
    assert said in text(answer)
    nora.refresh_from_db()
    assert nora.check_password(PASSWORD)


def test_guessing_the_present_password_is_locked_as_the_log_in_is(nora: User) -> None:
    client = logged_in()
    typed = {"old": "wrong", "password": NEW, "again": NEW}

    answers = [client.post(f"{SECURITY}password/", typed).status_code for _ in range(6)]

    assert answers == [422] * 5 + [429]


def test_a_disabled_persons_sessions_are_gone(nora: User, people: dict[str, User]) -> None:
    client = logged_in()

    services.disable_user(actor=people["admin"], user_id=nora.pk)

    assert not is_in(client)
    assert not OpenSession.objects.exists()


def test_what_is_over_is_taken_away_and_nothing_else(
    nora: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "CLEARED_AT_ONCE", 2)
    clients = [logged_in() for _ in range(4)]
    over = [client.session.session_key for client in clients[:3]]
    Session.objects.filter(session_key__in=over).update(expire_date=Now())

    assert [sessions.clear_ended() for _ in range(3)] == [2, 1, 0]

    assert is_in(clients[3])
    assert Session.objects.get().session_key == clients[3].session.session_key
    assert OpenSession.objects.get().key == clients[3].session.session_key
