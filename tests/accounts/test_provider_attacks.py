"""An identity provider, or whoever stands between, that lies: nobody is logged in by it."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from django.contrib.auth import SESSION_KEY
from django.test import Client

from apps.accounts.adapters import oidc
from apps.accounts.models import User
from apps.accounts.views import provider as views
from tests.accounts.providing import (
    BACK,
    CLIENT,
    PROOF,
    Liar,
    asked_for,
    configure,
    left,
    lying_provider,
    text,
)

pytestmark = pytest.mark.django_db
UNTRUSTED = "The answer of Example ID can&#x27;t be trusted"
AWAY = "Example ID can&#x27;t be reached"
CLOCKS = "The clocks differ"
LOST = "This log-in can&#x27;t be finished here"


@pytest.fixture
def liar(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Liar]:
    with lying_provider() as found:
        configure(settings, found.issuer)
        monkeypatch.setattr(oidc, "_published", {})
        yield found


def refused(client: Client, answer: Any, words: str, status: int) -> None:
    assert (answer.status_code, words in text(answer)) == (status, True), text(answer)[-900:]
    assert SESSION_KEY not in client.session
    assert not User.objects.exists()


def hmac_with_the_public_key(liar: Liar) -> str:
    """The oldest trick: the published key as the secret of an algorithm that shares one."""
    public = liar.key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    signed = liar.forged({"alg": "HS256", "typ": "JWT", "kid": "k1"}).rpartition(".")[0]
    mark = hmac.new(public, signed.encode(), hashlib.sha256).digest()
    return f"{signed}.{base64.urlsafe_b64encode(mark).rstrip(b'=').decode()}"


def edited(liar: Liar) -> str:
    head, _, mark = liar.signed().split(".")
    claims = json.dumps({**liar.told(), "roles": ["boss"]}).encode()
    return f"{head}.{base64.urlsafe_b64encode(claims).rstrip(b'=').decode()}.{mark}"


OTHER = rsa.generate_private_key(public_exponent=65537, key_size=2048)
TOKENS: dict[str, Callable[[Liar], object]] = {
    "signed with another key": lambda liar: liar.signed(OTHER),
    "signed with a key that is not published": lambda liar: liar.signed(kid="k2"),
    "of another kind of key": lambda liar: liar.signed(
        ec.generate_private_key(ec.SECP256R1()), "ES256"
    ),
    "not signed": lambda liar: liar.forged({"alg": "none", "kid": "k1"}),
    "not signed, in other letters": lambda liar: liar.forged({"alg": "nOnE", "kid": "k1"}),
    "signed with the public key": hmac_with_the_public_key,
    "edited": edited,
    "without its end": lambda liar: liar.signed().rpartition(".")[0],
    "with a head that demands more": lambda liar: liar.signed(crit=["x"], x=1),
    "no text": lambda liar: {"id_token": liar.signed()},
    "empty": lambda liar: "",
    "no token": lambda liar: "\ud83d\ude00.e30.e30",
}


@pytest.mark.parametrize("name", TOKENS)
def test_a_token_that_is_not_the_providers_logs_nobody_in(liar: Liar, name: str) -> None:
    client = Client()
    asked = asked_for(left(client))
    liar.nonce = asked["nonce"]
    liar.token = TOKENS[name](liar)

    answer = client.get(BACK, {"code": "c", "state": asked["state"]})

    refused(client, answer, UNTRUSTED, 502)


@pytest.mark.parametrize(
    "claims",
    [
        {"nonce": "another"},
        {"nonce": None},
        {"nonce": ["x"]},
        {"aud": "another"},
        {"aud": None},
        {"aud": []},
        {"aud": [CLIENT, "another"]},
        {"aud": [CLIENT, "another"], "azp": "another"},
        {"azp": "another"},
        {"iss": "http://127.0.0.1:1"},
        {"iss": None},
        {"sub": None},
        {"sub": 7},
        {"exp": None},
        {"exp": "soon"},
        {"iat": None},
        {"nbf": "then"},
    ],
    ids=str,
)
def test_a_token_that_does_not_hold_logs_nobody_in(liar: Liar, claims: dict[str, Any]) -> None:
    client = Client()
    liar.claims = claims

    refused(client, liar.comes_back(client), UNTRUSTED, 502)


@pytest.mark.parametrize(
    "claims",
    [{"exp": time.time() - 60}, {"iat": time.time() + 7200}, {"nbf": time.time() + 7200}],
    ids=["run out", "issued later", "not yet"],
)
def test_a_token_of_another_time_says_that_the_clocks_differ(
    liar: Liar, claims: dict[str, Any]
) -> None:
    client = Client()
    liar.claims = claims

    refused(client, liar.comes_back(client), CLOCKS, 502)


@pytest.mark.parametrize("claims", [{"sub": ""}, {"sub": "x" * 256}, {"sub": "a\x00b"}], ids=str)
def test_nobody_is_logged_in_without_a_subject(liar: Liar, claims: dict[str, Any]) -> None:
    client = Client()
    liar.claims = claims

    refused(client, liar.comes_back(client), "who you are", 403)


def test_several_audiences_are_taken_if_it_was_issued_to_us(liar: Liar) -> None:
    liar.claims = {"aud": [CLIENT, "another"], "azp": CLIENT}

    assert liar.comes_back(Client()).status_code == 302
    assert User.objects.get().username == "nora"


def test_the_browser_is_sent_off_with_all_that_binds_the_answer_to_it(
    liar: Liar, settings: Any
) -> None:
    settings.OIDC_SCOPES = "profile groups"
    first, second = asked_for(left(Client())), asked_for(left(Client()))

    once = {"state", "nonce", "code_challenge"}
    assert {name: first[name] for name in first if name not in once} == {
        "response_type": "code",
        "client_id": CLIENT,
        "redirect_uri": f"{settings.TOWER_ORIGIN}{BACK}",
        "scope": "openid profile groups",
        "code_challenge_method": "S256",
    }
    assert all(len(first[name]) == 43 and first[name] != second[name] for name in once)


def test_the_code_is_exchanged_with_the_secret_and_the_verifier_of_this_log_in(
    liar: Liar, settings: Any
) -> None:
    client = Client()
    asked = asked_for(left(client))
    liar.nonce = asked["nonce"]
    client.get(BACK, {"code": "c-7", "state": asked["state"]})

    ((_, headers, form),) = [one for one in liar.asked if one[0] == "/token"]
    digest = hashlib.sha256(form.pop("code_verifier").encode()).digest()
    assert base64.urlsafe_b64encode(digest).rstrip(b"=").decode() == asked["code_challenge"]
    assert form == {
        "grant_type": "authorization_code",
        "code": "c-7",
        "redirect_uri": f"{settings.TOWER_ORIGIN}{BACK}",
    }
    basic = base64.b64decode(headers["Authorization"].removeprefix("Basic ")).decode()
    assert basic == f"{CLIENT}:{PROOF}"


def test_a_provider_that_wants_the_secret_in_the_form_gets_it_there(liar: Liar) -> None:
    liar.published = {"token_endpoint_auth_methods_supported": ["client_secret_post"]}
    assert liar.comes_back(Client()).status_code == 302

    ((_, headers, form),) = [one for one in liar.asked if one[0] == "/token"]
    assert "Authorization" not in headers
    assert (form["client_id"], form["client_secret"]) == (CLIENT, PROOF)


def test_an_answer_that_this_browser_did_not_ask_for_is_refused(liar: Liar) -> None:
    """Somebody else's code, sent to a person by a link, would log them in as that somebody."""
    attacker, victim = Client(), Client()
    asked = asked_for(left(attacker))
    liar.nonce = asked["nonce"]
    own = asked_for(left(victim))

    for sent in (
        {"code": "c", "state": asked["state"]},
        {"code": "c", "state": own["state"] + "x"},
        {"code": "c", "state": "\u00e9"},
        {"code": "c"},
        {},
    ):
        refused(victim, victim.get(BACK, sent), LOST, 400)
    refused(Client(), Client().get(BACK, {"code": "c", "state": own["state"]}), LOST, 400)
    assert [path for path, _, _ in liar.asked if path == "/token"] == []


def test_an_answer_counts_once_and_for_ten_minutes(
    liar: Liar, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = Client()
    liar.claims = {"nonce": "another"}
    asked = asked_for(left(client))
    client.get(BACK, {"code": "c", "state": asked["state"]})
    liar.claims, liar.nonce = {}, asked["nonce"]
    refused(client, client.get(BACK, {"code": "c", "state": asked["state"]}), LOST, 400)

    asked = asked_for(left(client))
    liar.nonce, now = asked["nonce"], time.time()
    monkeypatch.setattr(views.time, "time", lambda: now + views.AWAY_S + 1)
    refused(client, client.get(BACK, {"code": "c", "state": asked["state"]}), LOST, 400)


@pytest.mark.parametrize(
    ("sent", "words", "status"),
    [
        ({"error": "access_denied"}, "was cancelled", 403),
        ({"error": "invalid_scope"}, "Example ID didn&#x27;t log you in", 403),
        ({"error": "<b>x</b>"}, "Example ID didn&#x27;t log you in", 403),
        ({"error": "temporarily_unavailable"}, AWAY, 503),
        ({"code": ""}, UNTRUSTED, 502),
        ({"code": "c" * 5000}, UNTRUSTED, 502),
        ({"code": "c", "iss": "https://other.example"}, UNTRUSTED, 502),
    ],
    ids=str,
)
def test_whoever_comes_back_without_a_log_in_is_told_what_to_do(
    liar: Liar, sent: dict[str, str], words: str, status: int
) -> None:
    client = Client()
    asked = asked_for(left(client, next="/audit/"))

    answer = client.get(BACK, {**sent, "state": asked["state"]})

    refused(client, answer, words, status)
    assert "<b>x</b>" not in text(answer)
    assert 'name="next" value="/audit/"' in text(answer)
    assert "Try again with Example ID" in text(answer)


def test_a_refusal_without_a_state_is_said_and_uses_nothing_up(liar: Liar) -> None:
    client = Client()
    asked = asked_for(left(client))
    liar.nonce = asked["nonce"]

    refused(client, client.get(BACK, {"error": "access_denied"}), "was cancelled", 403)

    assert client.get(BACK, {"code": "c", "state": asked["state"]}).status_code == 302
    assert SESSION_KEY in client.session


@pytest.mark.parametrize(
    "published",
    [
        {"issuer": "https://other.example"},
        {"issuer": None},
        {"token_endpoint": "http://192.0.2.1/token"},
        {"jwks_uri": "http://169.254.169.254/latest"},
        {"authorization_endpoint": "javascript:alert(1)"},
        {"authorization_endpoint": 'https://x.example/"><script>'},
        {"authorization_endpoint": "https://user:pw@x.example/"},
        {"authorization_endpoint": ["https://x.example"]},
        {"jwks_uri": "file:///etc/passwd"},
    ],
    ids=str,
)
def test_what_another_issuer_or_no_safe_address_publishes_is_not_used(
    liar: Liar, published: dict[str, Any]
) -> None:
    liar.published = published
    client = Client()

    refused(client, client.post("/accounts/provider/"), UNTRUSTED, 502)
    assert [path for path, _, _ in liar.asked] == ["/.well-known/openid-configuration"]


PLACES = ["/.well-known/openid-configuration", "/token", "/keys"]
ANSWERS = {
    "no json": (200, b"<html>", UNTRUSTED, 502),
    "a list": (200, b"[]", UNTRUSTED, 502),
    "a key twice": (200, b'{"issuer": 1, "issuer": 2}', UNTRUSTED, 502),
    "deep": (200, b'{"a":' * 5000 + b"1" + b"}" * 5000, UNTRUSTED, 502),
    "long": (200, b'{"a": "' + b"x" * 300_000 + b'"}', UNTRUSTED, 502),
    "elsewhere": (302, b"http://127.0.0.1:1/", UNTRUSTED, 502),
    "an error": (400, b'{"error": "invalid_grant"}', "didn&#x27;t log you in", 403),
    "down": (503, b"", AWAY, 503),
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", ANSWERS)
def test_whatever_it_answers_is_a_page_that_says_what_to_do(
    liar: Liar, place: str, name: str
) -> None:
    status, body, words, shown = ANSWERS[name]
    client = Client()
    if place == PLACES[0]:
        liar.answers[place] = (status, body)
        refused(client, client.post("/accounts/provider/"), words, shown)
        return
    asked = asked_for(left(client))
    liar.nonce, liar.answers[place] = asked["nonce"], (status, body)

    refused(client, client.get(BACK, {"code": "c", "state": asked["state"]}), words, shown)


@pytest.mark.parametrize(
    "answer",
    [
        {"keys": []},
        {"keys": [7]},
        {"keys": {}},
        {"keys": [{"kty": "RSA", "kid": "k1", "n": "x", "e": "AQAB"}]},
        {"keys": [{"kty": "oct", "kid": "k1", "k": "c2VjcmV0"}]},
    ],
    ids=str,
)
def test_keys_that_are_none_are_refused(liar: Liar, answer: Any) -> None:
    liar.answers["/keys"] = (200, json.dumps(answer).encode())
    client = Client()

    refused(client, liar.comes_back(client), UNTRUSTED, 502)


def test_a_key_that_anybody_could_break_is_refused(liar: Liar) -> None:
    liar.key = rsa.generate_private_key(public_exponent=65537, key_size=1024)  # noqa: S505
    client = Client()
    asked = asked_for(left(client))
    liar.nonce = asked["nonce"]
    with pytest.warns(Warning, match="1024"):
        liar.token = liar.signed()

    refused(client, client.get(BACK, {"code": "c", "state": asked["state"]}), UNTRUSTED, 502)


def test_two_keys_of_one_name_are_none(liar: Liar) -> None:
    liar.answers["/keys"] = (
        200,
        json.dumps({"keys": liar.jwks()["keys"] + liar.jwks(OTHER)["keys"]}).encode(),
    )
    client = Client()

    refused(client, liar.comes_back(client), UNTRUSTED, 502)


@pytest.mark.parametrize("what", ["text", "head", "interim"])
def test_a_provider_that_drips_is_not_waited_for(
    liar: Liar, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(oidc, "TIMEOUT_S", 0.5)
    liar.drips, client, began = what, Client(), time.monotonic()

    refused(client, client.post("/accounts/provider/"), AWAY, 503)
    assert time.monotonic() - began < 5


def test_a_provider_that_is_away_is_a_page_and_passwords_go_on(settings: Any) -> None:
    configure(settings, "http://127.0.0.1:1")
    client = Client()

    refused(client, client.post("/accounts/provider/"), AWAY, 503)
    assert 'name="password"' in text(client.get("/accounts/login/"))


def test_without_a_provider_there_is_nothing_to_log_in_at(db: None) -> None:
    assert Client().post("/accounts/provider/").status_code == 404
    assert Client().get(BACK, {"code": "c", "state": "s"}).status_code == 404
    assert "provider/" not in text(Client().get("/accounts/login/"))
