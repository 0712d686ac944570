"""A form that came too late is not carried out, and nothing that was typed is lost."""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from apps.accounts.authn import seal, unseal
from apps.accounts.domain.keeping import Kept
from apps.accounts.models import User
from tests.conftest import BACKEND
from tests.factories.accounts import PASSWORD, with_password

ClientAs = Callable[[str], Client]
pytestmark = pytest.mark.django_db
HOME = "http://testserver"
TYPED = {"reason": "Fare rules <b>allow</b> it", "scope": "tool", "password": "hunter2"}


def log_in_fields(page: str) -> dict[str, str]:
    found = re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', page)
    return {name: html.unescape(value) for name, value in found}


@pytest.fixture
def nora(people: dict[str, User]) -> dict[str, str]:
    with_password("nora", role="admin", first_name="Nora", last_name="Beck")
    return {"username": "nora", "password": PASSWORD}


def test_a_form_of_an_ended_session_is_back_after_the_log_in(nora: dict[str, str]) -> None:
    client = Client()
    late = client.post("/load/caps/set/", TYPED, headers={"Referer": f"{HOME}/load/?x=1"})
    page = late.content.decode()

    inside = client.post("/accounts/login/", {**log_in_fields(page), **nora})
    form = client.get(inside["Location"]).content.decode()

    assert late.status_code == 401
    assert "You are logged out" in page
    assert "Fare rules &lt;b&gt;allow" in page
    assert inside["Location"] == "/load/?x=1"
    assert "What you typed is kept. It was not sent" in form
    assert '"reason", "Fare rules \\u003Cb\\u003Eallow' in form
    assert client.session["kept"]["action"] == "/load/caps/set/"
    assert "hunter2" not in page + form
    assert b"DEBUG" not in late.content


def test_a_wrong_password_keeps_what_is_kept(nora: dict[str, str]) -> None:
    client = Client()
    late = client.post("/load/caps/set/", TYPED, headers={"Referer": f"{HOME}/load/"})
    fields = log_in_fields(late.content.decode())

    wrong = client.post("/accounts/login/", {**fields, **nora, "password": "no"})
    inside = client.post("/accounts/login/", {**log_in_fields(wrong.content.decode()), **nora})

    assert inside["Location"] == "/load/"
    assert dict(client.session["kept"]["fields"])["reason"] == TYPED["reason"]


def test_what_is_kept_is_sent_or_dropped(nora: dict[str, str]) -> None:
    client = Client()
    late = client.post("/accounts/settings/", {"theme": "dark", "density": "compact"})
    client.post("/accounts/login/", {**log_in_fields(late.content.decode()), **nora})

    shown = client.get("/accounts/kept/").content.decode()
    sent = client.post("/accounts/settings/", {"theme": "dark", "density": "compact"})

    assert "logged in as <strong>Nora Beck</strong>" in shown
    assert 'action="/accounts/settings/"' in shown
    assert sent.status_code == 302
    assert "kept" not in client.session
    assert "Nothing is kept" in client.get("/accounts/kept/").content.decode()


def test_a_seal_of_somebody_else_opens_nothing(nora: dict[str, str]) -> None:
    client = Client()
    forged = seal(Kept("https://evil.example/", "/x/", (("a", "b"),)))[:-3] + "AAA"

    inside = client.post("/accounts/login/", {"kept": forged, **nora})

    assert inside["Location"] == "/"
    assert "kept" not in client.session


def test_what_was_not_sealed_is_nothing() -> None:
    for sealed in ("", "x", "a:b:c", seal(Kept("/", "/", ()))[1:]):
        assert unseal(sealed) is None


@pytest.mark.parametrize("said", ["https://evil.example/load/", "//evil.example/", "", "x:y"])
def test_only_pages_of_this_site_are_gone_back_to(nora: dict[str, str], said: str) -> None:
    client = Client()
    late = client.post("/load/caps/set/", TYPED, headers={"Referer": said})

    inside = client.post("/accounts/login/", {**log_in_fields(late.content.decode()), **nora})

    assert inside["Location"] == "/"


@pytest.mark.parametrize("said", [f"{HOME}//evil.example/x", f"{HOME}///evil.example/"])
def test_no_page_of_this_site_is_read_as_another_site(nora: dict[str, str], said: str) -> None:
    client = Client()
    late = client.post("/load/caps/set/", TYPED, headers={"Referer": said})

    inside = client.post("/accounts/login/", {**log_in_fields(late.content.decode()), **nora})
    dropped = client.post("/accounts/kept/drop/", headers={"Referer": said})

    assert inside["Location"].startswith("/%2F")
    assert dropped["Location"].startswith("/%2F")


def test_a_part_of_a_page_is_told_and_stays(people: dict[str, User]) -> None:
    for headers in ({"HX-Request": "true"}, {"Accept": "application/json"}):
        answer = Client(headers=headers).post("/load/caps/set/", TYPED)

        assert answer.status_code == 403
        assert answer["X-Tower-Login"] == "required"
        assert answer.json()["message"].startswith("You are logged out. Nothing was done")
        assert answer["X-Tower-Notice"] == answer.json()["message"]
        assert answer["HX-Reswap"] == "none"


# --- a token that doesn't fit -------------------------------------------------------------------


def strict(person: User | None = None) -> Client:
    client = Client(enforce_csrf_checks=True)
    if person:
        client.force_login(person, backend=BACKEND)
    client.get("/accounts/login/")
    return client


def test_a_page_older_than_the_log_in_offers_to_send_again(people: dict[str, User]) -> None:
    client = strict(people["admin"])
    client.get("/load/")

    answer = client.post("/load/caps/set/", TYPED, headers={"Referer": f"{HOME}/load/"})

    page = answer.content.decode()
    assert answer.status_code == 403
    assert "older than your log-in" in page
    assert 'action="/load/caps/set/"' in page
    assert "Fare rules &lt;b&gt;allow&lt;/b&gt; it</textarea>" in page
    assert "CSRF" not in page.replace("X-CSRFToken", "")
    assert "DEBUG" not in page


def test_two_log_in_pages(nora: dict[str, str]) -> None:
    client = strict()
    first = client.get("/accounts/login/").content.decode()
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', first)
    assert token
    client.post("/accounts/login/", {"csrfmiddlewaretoken": token[1], **nora})

    second = client.post("/accounts/login/", {"csrfmiddlewaretoken": token[1], **nora}, follow=True)

    assert second.status_code == 200
    assert "You were logged in already, as Nora Beck." in second.content.decode()


def test_an_old_log_in_page_asks_again_and_keeps_the_name(nora: dict[str, str]) -> None:
    answer = strict().post("/accounts/login/", {"csrfmiddlewaretoken": "x" * 64, **nora})

    page = answer.content.decode()
    assert answer.status_code == 403
    assert "too old to be used" in page
    assert 'value="nora"' in page
    assert nora["password"] not in page


@pytest.mark.parametrize(
    "headers",
    [{"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}],
)
def test_nothing_of_another_site_is_kept(people: dict[str, User], headers: dict[str, str]) -> None:
    client = strict(people["admin"])
    client.get("/load/")

    answer = client.post("/load/caps/set/", TYPED, headers=headers)

    page = answer.content.decode()
    assert answer.status_code == 403
    assert "This was sent from another site" in page
    assert "Fare rules" not in page


@pytest.mark.parametrize("how", [{"headers": {"X-Opened-By": "0"}}, {"data": {"opened_by": "0"}}])
def test_what_another_person_opened_is_not_done_in_my_name(
    client_as: ClientAs, people: dict[str, User], how: dict[str, Any]
) -> None:
    body = {"theme": "dark", "density": "compact", **how.get("data", {})}

    answer = client_as("admin").post("/accounts/settings/", body, headers=how.get("headers"))

    assert answer.status_code == 409
    assert "opened by another" in answer.content.decode()
    people["admin"].refresh_from_db()
    assert people["admin"].preferences == {}


def test_a_nul_in_a_form_is_named(client_as: ClientAs) -> None:
    answer = client_as("admin").post("/load/caps/set/", {"reason": "a\x00b"})

    assert answer.status_code == 422
    assert "“reason”" in answer.content.decode()


def test_a_nul_in_an_address_is_left_out_and_named(client_as: ClientAs) -> None:
    page = client_as("admin").get("/runs/?q=a%00b&state=failed")

    assert page.status_code == 200
    assert "Left out: q." in " ".join(page.content.decode().split())
    assert client_as("admin").get("/runs/a%00b/").status_code == 404
    assert client_as("admin").get("/api/v1/runs?x=%00").json()["field"] == "x"
