"""Production's own settings: what each answer of the site then says to browsers."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from tests.architecture.test_variables import loaded, production
from tests.architecture.variables import ROOT
from tests.factories.accounts import PASSWORD, with_password

PROTECTED = ("SECURE_", "SESSION_", "CSRF_", "X_FRAME", "CONTENT_SECURITY", "ALLOWED_HOSTS")
YEAR_S = 31_536_000


@pytest.fixture
def as_in_production(monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    """The settings as the file has them for ``https://tower.example``."""
    production(monkeypatch)
    monkeypatch.setenv("ALLOWED_HOSTS", "tower.example")
    monkeypatch.setenv("TOWER_ORIGIN", "https://tower.example")
    for name, value in loaded().items():
        if name.startswith(PROTECTED):
            setattr(settings, name, value)


def browser(**options: Any) -> Client:
    return Client(headers={"host": "tower.example"}, **options)


@pytest.mark.django_db
def test_cookies_are_of_this_host_and_out_of_reach(as_in_production: None) -> None:
    with_password("ida")
    client = browser()
    client.get("/accounts/login/", secure=True)

    client.post("/accounts/login/", {"username": "ida", "password": PASSWORD}, secure=True)

    session, token = client.cookies["__Host-sessionid"], client.cookies["__Host-csrftoken"]
    assert session["httponly"]
    for cookie in (session, token):
        assert cookie["secure"]
        assert cookie["samesite"] == "Lax"
        assert cookie["path"] == "/"
        assert cookie["domain"] == ""
    assert set(client.cookies) == {"__Host-sessionid", "__Host-csrftoken"}


@pytest.mark.parametrize(
    ("prefix", "name"), [("", "__Host-csrftoken"), ("/tower", "__Secure-csrftoken")]
)
def test_scripts_find_the_token_of_forms_whatever_it_is_called(
    prefix: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    production(monkeypatch)
    monkeypatch.setenv("TOWER_PREFIX", prefix)
    script = (ROOT / "static" / "js" / "app.js").read_text()
    (pattern,) = re.findall(r"/([^\n]*csrftoken[^\n]*)/\.exec\(document\.cookie\)", script)

    assert loaded()["CSRF_COOKIE_NAME"] == name
    for cookies in (f"{name}=abc", f"x=1; {name}=abc; y=2"):
        assert re.search(pattern, cookies).group(1) == "abc"  # type: ignore[union-attr]
    assert not re.search(pattern, f"x{name}=abc")


def got(client: Client, address: str, **options: Any) -> Any:
    """An answer, whose file is closed again."""
    answer = client.get(address, **options)
    if answer.streaming:
        list(answer.streaming_content)
    return answer


@pytest.mark.parametrize("address", ["/static/css/app.css", "/healthz", "/nowhere/"])
@pytest.mark.django_db
def test_browsers_are_told_to_come_by_https_for_a_year(
    address: str, as_in_production: None
) -> None:
    answer = got(browser(), address, secure=True)

    said = answer["Strict-Transport-Security"].split("; ")
    assert int(said[0].removeprefix("max-age=")) >= YEAR_S
    assert "includeSubDomains" in said
    assert browser().get(address).status_code == 301


def assert_headers(answer: Any) -> None:
    policy = answer["Content-Security-Policy"]
    assert "frame-ancestors 'none'" in policy
    assert "object-src 'none'" in policy
    assert answer["X-Frame-Options"] == "DENY"
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["Referrer-Policy"] == "same-origin"
    assert answer["Cross-Origin-Opener-Policy"] == "same-origin"


@pytest.mark.parametrize(
    "name", ["css/app.css", "js/app.js", "plotly/plotly.min.js", "icons/favicon.svg", "nowhere.js"]
)
def test_static_files_bear_the_headers_of_pages(name: str) -> None:
    answer = got(Client(), f"/static/{name}")

    assert answer.status_code == (404 if name == "nowhere.js" else 200)
    assert_headers(answer)


@pytest.mark.django_db
def test_pages_that_say_what_went_wrong_bear_them_too(client_as: Callable[[str], Client]) -> None:
    answers = [
        client_as("auditor").get("/nowhere/"),
        client_as("auditor").post("/accounts/users/create/"),
        Client(enforce_csrf_checks=True).post("/accounts/login/"),
        Client(headers={"host": "evil.example"}).get("/accounts/login/"),
        Client().get("/api/v1/nowhere"),
    ]

    assert [answer.status_code for answer in answers] == [404, 403, 403, 400, 404]
    for answer in answers:
        assert_headers(answer)


@pytest.mark.parametrize("kind", ["production", "development"])
def test_no_page_shows_the_inside_whatever_is_set(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    production(monkeypatch)
    monkeypatch.setenv("TOWER_ENV", kind)
    for name in ("DEBUG", "DJANGO_DEBUG", "TOWER_DEBUG"):
        monkeypatch.setenv(name, "1")

    found = loaded()

    assert found["DEBUG"] is False
    assert not any("debug_toolbar" in name or "silk" in name for name in found["INSTALLED_APPS"])
