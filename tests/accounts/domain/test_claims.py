"""What an identity provider says of a person, and what is set about it."""

from __future__ import annotations

from typing import Any

import pytest

from apps.accounts.domain.claims import ClaimTerms, identity_of, person_of
from apps.accounts.domain.provider import (
    SAID,
    LogInError,
    LogInProblem,
    is_trusted_address,
    issuer_of,
    roles_of,
)

TERMS = ClaimTerms(
    role_claim="roles",
    roles={"boss": "admin", "ops": "operator", "look": "auditor"},
    name_claim="preferred_username",
    second_factors=frozenset({"mfa"}),
)
SOMEBODY = {"iss": "https://id.example", "sub": "s-1", "preferred_username": "nora"}


def role(value: Any, terms: ClaimTerms = TERMS, claim: str = "roles") -> str:
    return person_of({**SOMEBODY, claim: value}, terms).role


def test_the_first_role_of_the_setting_wins() -> None:
    """Roles are no ladder: whoever set them wrote down which one counts."""
    assert role(["look", "ops", "boss"]) == "admin"
    assert role(["look", "ops"]) == "operator"
    assert role("look") == "auditor"


@pytest.mark.parametrize(
    "value",
    [
        None,
        "",
        [],
        {},
        {"ops": True},
        7,
        True,
        ["OPS"],
        "ops ",
        "ops,boss",
        ["oops"],
        [["ops"]],
        [{"ops": 1}],
        ["x"] * 2000 + ["ops"],
        "operator",
        "admin",
    ],
    ids=lambda value: str(value)[:20],
)
def test_what_is_not_mapped_gives_no_role(value: Any) -> None:
    with pytest.raises(LogInError) as caught:
        role(value)
    assert caught.value.problem == LogInProblem.NO_ROLE


def test_a_path_leads_into_a_claim() -> None:
    def at(path: str) -> ClaimTerms:
        return ClaimTerms(path, TERMS.roles, "preferred_username", frozenset())

    assert role({"roles": ["ops"]}, at("/realm_access/roles"), "realm_access") == "operator"
    assert role({"a/b": "ops"}, at("/x/a~1b"), "x") == "operator"
    assert role(["ops"], at("https://x.example/roles"), "https://x.example/roles") == "operator"
    for found in ([], {"roles": {}}, "roles", None):
        with pytest.raises(LogInError):
            role(found, at("/realm_access/roles"), "realm_access")


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("nora", "nora"),
        (" Nora ", "nora"),
        ("\uff2eora", "nora"),
        ("Nora.Beck@example.com", "nora.beck@example.com"),
        ("ma\u00dfen", "massen"),
        ("x" * 60, "x" * 60),
        ("x" * 61, ""),
        ("no ra", ""),
        ("a\u202eb", ""),
        ("a\u200bb", ""),
        ("a\x00b", ""),
        ("\ud800", ""),
        ("a/b", ""),
        ("user:nora", ""),
        ("", ""),
        (None, ""),
        (7, ""),
        (["nora"], ""),
    ],
)
def test_a_user_name_is_in_one_form_or_none(given: Any, kept: str) -> None:
    told = {**SOMEBODY, "preferred_username": given}
    assert identity_of(told, TERMS).username == kept
    assert (
        identity_of({**SOMEBODY, "mail": given}, ClaimTerms("r", {}, "mail", frozenset())).username
        == kept
    )


@pytest.mark.parametrize("name", ["iss", "sub"])
@pytest.mark.parametrize("value", [None, "", "x" * 256, 7, ["s"], "a\nb", "\ud800"], ids=repr)
def test_nobody_is_named_without_issuer_and_subject(name: str, value: Any) -> None:
    with pytest.raises(LogInError) as caught:
        identity_of({**SOMEBODY, name: value}, TERMS)
    assert caught.value.problem == LogInProblem.NOBODY


def test_nothing_unseen_stands_in_a_full_name() -> None:
    told = {**SOMEBODY, "name": " Nora\u202e\n\x00 \ud800Beck " + "x" * 500}
    shown = identity_of(told, TERMS).full_name
    assert shown.startswith("Nora Beck x")
    assert len(shown) == 120
    assert identity_of({**SOMEBODY, "name": {"a": 1}}, TERMS).full_name == ""


@pytest.mark.parametrize(
    ("claims", "has"),
    [
        ({"amr": ["pwd", "mfa"]}, True),
        ({"acr": "mfa"}, True),
        ({"amr": "mfa"}, True),
        ({"amr": ["pwd"]}, False),
        ({"amr": {"mfa": True}}, False),
        ({"amr": [["mfa"]]}, False),
        ({}, False),
    ],
    ids=str,
)
def test_a_second_factor_counts_when_it_is_said(claims: dict[str, Any], has: bool) -> None:
    told = {**SOMEBODY, "roles": "ops", **claims}
    assert person_of(told, TERMS).has_second_factor is has
    assert not person_of(
        told, ClaimTerms("roles", TERMS.roles, "sub", frozenset())
    ).has_second_factor


@pytest.mark.parametrize(
    ("said", "moment"),
    [
        (1_700_000_000, 1_700_000_000),
        (None, 0),
        ("1700000000", 0),
        (True, 0),
        (-5, 0),
        (float("nan"), 0),
        (float("inf"), 0),
        (10**400, 0),
    ],
    ids=lambda value: repr(value)[:12] if isinstance(value, float) else type(value).__name__,
)
def test_when_it_was_proved_is_a_moment_or_long_past(said: Any, moment: float) -> None:
    assert person_of({**SOMEBODY, "roles": "ops", "auth_time": said}, TERMS).proved_at == moment


@pytest.mark.parametrize(
    "text",
    [
        "http://login.example.com",
        "http://10.0.0.1",
        "http://127.0.0.1.evil.example",
        "ftp://127.0.0.1",
        "https://",
        "https://user@id.example",
        "https://id.example/#x",
        "https://id.example/?tenant=1",
        "https://id.example:port",
        "https://id example",
        "https://id.example/\u00e9",
        "login.example.com",
    ],
)
def test_an_issuer_is_of_https_or_of_this_machine(text: str) -> None:
    with pytest.raises(ValueError, match="must be the issuer's address"):
        issuer_of(text)


@pytest.mark.parametrize(
    "text", ["", "https://id.example", "https://x.eu.example/a/", "http://127.0.0.1:9400"]
)
def test_an_issuer_is_kept_as_it_is_written(text: str) -> None:
    assert issuer_of(text) == text


def test_an_issuer_elsewhere_publishes_no_address_of_this_machine() -> None:
    assert is_trusted_address("http://localhost/token")
    assert not is_trusted_address("http://localhost/token", is_loopback=False)
    assert is_trusted_address("https://localhost/token", is_loopback=False)
    assert not is_trusted_address("https://id.example/'x")


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        "ops",
        '{"ops": "boss"}',
        '{"ops": 1}',
        '{"ops": ["operator"]}',
        '{"ops": {}}',
        '{"": "operator"}',
        '{"ops": "operator", "ops": "admin"}',
    ],
)
def test_roles_are_read_strictly(text: str) -> None:
    with pytest.raises(ValueError, match="must be a JSON object of values and roles, like"):
        roles_of(text)


def test_roles_keep_their_order() -> None:
    text = '{"z": "admin", "a": "operator", "m": "auditor"}'
    assert list(roles_of(text).items()) == [("z", "admin"), ("a", "operator"), ("m", "auditor")]
    assert roles_of("") == {}


def test_every_problem_has_words() -> None:
    assert set(SAID) == set(LogInProblem)
