"""Passwords that others try first are refused, wherever one is set."""

from __future__ import annotations

import hashlib
import logging
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import connection
from django.test import Client

from apps.accounts import services
from apps.accounts.adapters import leaks
from apps.accounts.domain.leaks import is_listed, parted, service_of
from apps.accounts.models import User
from apps.accounts.services import sessions
from apps.kernel.errors import InvalidInputError
from tests.factories.accounts import PASSWORD, with_password

LEAKED, FINE = "violin-teapot-harbour-9", "walnut-ladder-comet-31"
SECURITY = "/accounts/security/"
KEPT = hashlib.sha1(LEAKED.encode()).hexdigest().upper()[5:]  # noqa: S324  # the protocol's


class Service:
    """A service of the range protocol that knows one password, or answers as it is told."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.status = 200
        self.answer = f"{'0' * 35}:0\r\n{KEPT}:1,204\r\n{'A' * 35}:7".encode()
        self.address = ""
        self.meanwhile: Callable[[], object] = lambda: None  # done before each answer


@pytest.fixture
def service(settings: Any) -> Iterator[Service]:
    told = Service()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            told.asked.append((self.path, dict(self.headers)))
            told.meanwhile()
            self.send_response(told.status)
            self.send_header("Location", f"{told.address}elsewhere")
            self.send_header("Content-Length", str(len(told.answer)))
            self.end_headers()
            self.wfile.write(told.answer)

        def log_message(self, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    told.address = f"http://127.0.0.1:{server.server_address[1]}/range/"
    settings.LEAKED_PASSWORDS = told.address
    yield told
    server.shutdown()
    thread.join()
    server.server_close()


def warned(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [r.getMessage() for r in caplog.records if r.name == "apps.accounts.adapters.leaks"]


def enrols(code: str, password: str) -> Any:
    given = {"token": code, "password": password, "again": password}
    return Client().post("/accounts/enrol/", given)


@pytest.mark.django_db
def test_a_password_from_a_leak_is_refused_wherever_one_is_set(
    service: Service, people: dict[str, User]
) -> None:
    user, code = services.create_user(
        actor=people["admin"], username="pat", role="operator", full_name=""
    )
    refused = enrols(code, LEAKED)
    assert (refused.status_code, "known from a leak" in refused.content.decode()) == (422, True)
    assert enrols(code, FINE).status_code == 302

    client = Client()
    client.post("/accounts/login/", {"username": "pat", "password": FINE})
    given = {"old": FINE, "password": LEAKED, "again": LEAKED}
    refused = client.post(f"{SECURITY}password/", given)
    assert (refused.status_code, "known from a leak" in refused.content.decode()) == (422, True)
    user.refresh_from_db()
    assert user.check_password(FINE)

    _, code = services.reset_access(actor=people["admin"], user_id=user.pk)
    assert enrols(code, LEAKED).status_code == 422
    assert enrols(code, PASSWORD).status_code == 302


@pytest.mark.django_db(transaction=True)
def test_no_transaction_waits_for_the_service(service: Service, people: dict[str, User]) -> None:
    open_then: list[int] = []

    def count() -> None:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
                " AND pid <> pg_backend_pid() AND state LIKE 'idle in transaction%'"
            )
            open_then.append(cursor.fetchone()[0])
        connection.close()

    service.meanwhile = count
    user, code = services.create_user(
        actor=people["admin"], username="pat", role="operator", full_name=""
    )
    services.enrol(code=code, password=FINE)
    sessions.change_password(user=user, old=FINE, new=PASSWORD, session_key="")

    assert open_then == [0, 0]


@pytest.mark.django_db(transaction=True)
def test_what_changed_while_the_service_was_asked_counts(
    service: Service, people: dict[str, User]
) -> None:
    user, code = services.create_user(
        actor=people["admin"], username="pat", role="operator", full_name=""
    )

    def reset() -> None:
        services.reset_access(actor=people["admin"], user_id=user.pk)
        connection.close()

    service.meanwhile = reset
    with pytest.raises(InvalidInputError, match="replaced"):
        services.enrol(code=code, password=FINE)
    service.meanwhile = lambda: None
    _, code = services.reset_access(actor=people["admin"], user_id=user.pk)
    services.enrol(code=code, password=FINE)
    service.meanwhile = reset
    with pytest.raises(InvalidInputError, match="isn't your password"):
        sessions.change_password(user=user, old=FINE, new=PASSWORD, session_key="")

    user.refresh_from_db()
    assert not user.has_usable_password()


@pytest.mark.django_db
def test_a_code_that_does_not_count_has_nobody_asked(service: Service) -> None:
    assert enrols("x", FINE).status_code == 422
    assert service.asked == []


def test_five_digits_leave_this_machine_and_nothing_else(service: Service) -> None:
    with pytest.raises(ValidationError, match="known from a leak"):
        validate_password(LEAKED)

    ((path, headers),) = service.asked
    assert path == "/range/" + hashlib.sha1(LEAKED.encode()).hexdigest().upper()[:5]  # noqa: S324
    said = " ".join([path, *headers.values()])
    assert LEAKED not in said
    assert KEPT not in said
    assert headers["Add-Padding"] == "true"


@pytest.mark.parametrize(
    ("status", "answer"),
    [
        (200, b""),
        (200, b"<html>"),
        (200, b"\xff"),
        (200, f"{KEPT}:1\nnonsense".encode()),
        (200, b"A" * 600_000),
        (302, b""),
        (429, b""),
        (500, f"{KEPT}:1".encode()),
    ],
    ids=lambda value: str(value)[:20],
)
def test_a_service_that_does_not_answer_leaves_the_other_rules_alone(
    service: Service, status: int, answer: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    service.status, service.answer = status, answer
    with caplog.at_level(logging.WARNING):
        validate_password(LEAKED)
        with pytest.raises(ValidationError, match="too common"):
            validate_password("password1234")

    assert len(warned(caplog)) == 2
    assert all("other rules stand alone" in line for line in warned(caplog))
    assert all(LEAKED not in line and KEPT not in line for line in warned(caplog))
    assert len(service.asked) == 2  # no redirect is followed


def test_a_service_that_is_away_leaves_the_other_rules_alone(
    settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    settings.LEAKED_PASSWORDS = "http://127.0.0.1:1/range/"
    with caplog.at_level(logging.WARNING):
        validate_password(LEAKED)

    assert len(warned(caplog)) == 1


def test_nobody_is_asked_where_no_service_is_set(service: Service, settings: Any) -> None:
    settings.LEAKED_PASSWORDS = ""
    validate_password(LEAKED)
    assert service.asked == []


@pytest.mark.parametrize(
    "password",
    [
        "iloveyou2024!",
        "controltower1",
        "qwertyuiop12",
        "hunter2hunter2",
        "aaaaaaaaaaaaaaaa",
        "abcdefghijklmnop",
        "P@ssw0rd1234!",
        "x7Kq" * 50,
    ],
)
def test_what_is_quickly_guessed_is_refused_on_this_machine(password: str) -> None:
    with pytest.raises(ValidationError, match="quickly guessed"):
        validate_password(password)


@pytest.mark.parametrize(
    "password",
    [PASSWORD, FINE, "x7$kP2!mQ9zL", "\u00fcber-walnut-\u96ea-comet", "k" + "\ud83d\ude00-x9" * 40],
)
def test_what_is_not_is_taken(password: str) -> None:
    validate_password(password)


def test_many_at_once_are_judged_each_by_itself() -> None:
    def judged(n: int) -> bool:
        try:
            leaks.GuessablePasswordValidator().validate(FINE if n % 2 else "iloveyou2024!")
        except ValidationError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(judged, range(64))) == [bool(n % 2) for n in range(64)]


@pytest.mark.django_db
def test_a_password_that_is_set_goes_on(service: Service) -> None:
    with_password("nora")
    client = Client()
    answer = client.post("/accounts/login/", {"username": "nora", "password": PASSWORD})
    assert answer.status_code == 302
    assert service.asked == []


def test_a_padded_answer_lists_nothing() -> None:
    assert is_listed(f"{KEPT}:1".encode(), KEPT)
    assert not is_listed(f"{KEPT}:0".encode(), KEPT)
    assert not is_listed(f"{'B' * 35}:9".encode(), KEPT)
    assert parted("\ud800")[0]  # what no form lets through is no failure either


@pytest.mark.parametrize(
    "text",
    [
        "http://leaks.example/range/",
        "https://leaks.example/range",
        "https://leaks.example/?range=/",
        "leaks.example/",
        "ftp://127.0.0.1/",
    ],
)
def test_a_service_is_an_address_that_digits_can_follow(text: str) -> None:
    with pytest.raises(ValueError, match="must be an address of https that ends with /"):
        service_of(text)
