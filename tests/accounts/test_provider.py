"""Log-in at a real identity provider (oidc-provider-mock): accounts, roles, second factors."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from io import StringIO
from typing import Any

import pytest
from django.contrib.auth import SESSION_KEY
from django.contrib.sessions.models import Session
from django.core.exceptions import ImproperlyConfigured
from django.core.management import CommandError, call_command
from django.db import connection
from django.db.models.functions import Now
from django.test import Client

from apps.accounts import services
from apps.accounts.adapters import oidc
from apps.accounts.authn import seal
from apps.accounts.configuration import people_settings
from apps.accounts.domain.claims import Person, Told
from apps.accounts.domain.keeping import KEPT, Kept
from apps.accounts.domain.limits import PROVED
from apps.accounts.domain.provider import LogInError
from apps.accounts.models import Identity, OpenSession, User
from apps.accounts.services import doors, factors, provider
from apps.accounts.views import second
from apps.audit.models import Event
from apps.kernel.errors import ConflictError, InvalidInputError, NotPermittedError
from tests.accounts.providing import (
    BACK,
    Liar,
    asked_for,
    at_provider,
    configure,
    known,
    left,
    logs_in,
    lying_provider,
    real_provider,
    returned,
    text,
)
from tests.factories.accounts import PASSWORD, with_password

pytestmark = pytest.mark.django_db
LOG_IN, USERS, SECURITY = "/accounts/login/", "/accounts/users/", "/accounts/security/"


@pytest.fixture(scope="module")
def served() -> Iterator[str]:
    with real_provider() as issuer:
        yield issuer


@pytest.fixture
def issuer(served: str, settings: Any, monkeypatch: pytest.MonkeyPatch) -> str:
    configure(settings, served)
    monkeypatch.setattr(oidc, "_published", {})
    return served


@pytest.fixture
def liar(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Liar]:
    with lying_provider() as found:
        configure(settings, found.issuer)
        monkeypatch.setattr(oidc, "_published", {})
        yield found


def person(issuer: str, *roles: str, name: str = "nora", **claims: Any) -> str:
    """Somebody new whom the provider knows; their subject."""
    subject = secrets.token_hex(8)
    known(issuer, subject, preferred_username=name, name="Nora Beck", roles=list(roles), **claims)
    return subject


def again(issuer: str, subject: str, *roles: str, name: str = "nora", **claims: Any) -> Any:
    """The same person logs in once more, with these roles now."""
    known(issuer, subject, preferred_username=name, name="Nora Beck", roles=list(roles), **claims)
    client = Client()
    return client, logs_in(client, subject)


def events(*kinds: str) -> list[Event]:
    return list(Event.objects.filter(kind__in=kinds).order_by("id"))


def is_in(client: Client) -> bool:
    return SESSION_KEY in client.session


def test_whoever_comes_first_gets_an_account_with_the_role_of_the_claim(issuer: str) -> None:
    client = Client(headers={"User-Agent": "Browser"}, REMOTE_ADDR="192.0.2.7")
    answer = logs_in(client, person(issuer, "other", "ops"), next="/accounts/settings/")

    nora = User.objects.get(username="nora")
    assert (answer.status_code, answer["Location"]) == (302, "/accounts/settings/")
    assert client.get("/accounts/settings/").status_code == 200
    assert (nora.role, nora.get_full_name(), nora.has_usable_password()) == (
        "operator",
        "Nora Beck",
        False,
    )
    assert nora.may("approvals.decide")
    told = events("user.created", "user.logged_in")
    assert [(e.kind, e.actor) for e in told] == [
        ("user.created", "system:identity-provider"),
        ("user.logged_in", "user:nora"),
    ]
    assert told[0].payload["role"] == "operator"
    assert (told[1].payload["how"], told[1].payload["address"]) == (
        "identity provider",
        "192.0.2.7",
    )
    (session,) = OpenSession.objects.all()
    assert (session.user, session.how, session.agent) == (nora, "identity provider", "Browser")


def test_the_log_in_page_offers_the_provider_where_there_is_one(issuer: str, settings: Any) -> None:
    assert "Log in with Example ID" in text(Client().get(LOG_IN))
    assert "Log in with Example ID" in text(Client().post("/accounts/logout/", {"a": "b"}))
    settings.OIDC_ISSUER = ""
    assert "Example ID" not in text(Client().get(LOG_IN))


@pytest.mark.parametrize(
    ("following", "leads"),
    [
        ("/audit/?kind=x", "/audit/?kind=x"),
        ("https://evil.example/", "/"),
        ("//evil.example/", "/"),
        ("javascript:alert(1)", "/"),
        ("", "/"),
    ],
)
def test_next_is_a_page_of_ours_or_home(issuer: str, following: str, leads: str) -> None:
    answer = logs_in(Client(), person(issuer, "ops"), next=following)

    assert answer["Location"] == leads


def test_what_was_typed_stands_in_the_form_again(issuer: str) -> None:
    kept = Kept("/approvals/", "/approvals/1/approve/", (("reason", "as agreed"),))
    client = Client()
    answer = logs_in(client, person(issuer, "ops"), kept=seal(kept))
    assert answer["Location"] == "/approvals/"
    assert client.session[KEPT] == kept.to_json()

    long = Kept("/approvals/", "/x/", (("reason", secrets.token_hex(120_000)),))
    client = Client()
    answer = logs_in(client, person(issuer, "ops", name="ida"), kept=seal(long))
    assert answer["Location"] == "/"
    assert KEPT not in client.session
    assert "too long to be kept" in text(client.get("/accounts/settings/"))


def test_a_second_answer_to_somebody_who_is_in_leaves_them_in(issuer: str) -> None:
    client = Client()
    location = at_provider(left(client), person(issuer, "ops"))
    returned(client, location)

    answer = returned(client, location)

    assert answer["Location"] == "/"
    assert "logged in already, as Nora Beck" in text(client.get("/accounts/settings/"))
    assert client.post("/accounts/provider/", {"next": "/audit/"})["Location"] == "/audit/"


# --- roles ----------------------------------------------------------------------------------------


def test_each_log_in_takes_the_role_over_and_the_log_says_so(issuer: str) -> None:
    subject = person(issuer, "ops")
    first = Client()
    logs_in(first, subject)

    again(issuer, subject, "look")

    nora = User.objects.get()
    (changed,) = events("user.role_changed")
    assert nora.role == "auditor"
    assert not nora.may("approvals.decide")
    assert changed.actor == "system:identity-provider"
    assert (changed.payload["old"], changed.payload["new"]) == ("operator", "auditor")
    assert first.get("/audit/").status_code == 200  # also in the session that was open


def test_whoever_has_no_role_is_refused_and_the_log_says_so(issuer: str) -> None:
    client = Client(REMOTE_ADDR="192.0.2.7")

    answer = logs_in(client, person(issuer, "visitors"))

    assert answer.status_code == 403
    assert "You have no role here" in text(answer)
    assert not is_in(client)
    assert not User.objects.exists()
    (refused,) = events("user.login_refused")
    assert (refused.actor, refused.subject_type) == ("system:log-in", "identity")
    via = refused.payload.pop("via")
    assert via["from"] == "192.0.2.7"
    assert refused.payload == {
        "username": "nora",
        "issuer": issuer,
        "how": "identity provider",
        "address": "192.0.2.7",
        "why": "no role",
    }


def test_whoever_lost_every_role_is_refused_and_keeps_no_way_in(issuer: str) -> None:
    subject = person(issuer, "ops")
    before = Client()
    logs_in(before, subject)

    client, answer = again(issuer, subject)

    assert answer.status_code == 403
    assert not is_in(client)
    assert before.get("/accounts/settings/").status_code == 302
    (refused,) = events("user.login_refused")
    assert (refused.subject_type, refused.subject_id) == ("user", str(User.objects.get().pk))


def test_an_admin_by_claim_waits_for_an_admin_of_the_tower(
    issuer: str, people: dict[str, User]
) -> None:
    client = Client()
    logs_in(client, person(issuer, "boss"))
    nora = User.objects.get(username="nora")

    assert nora.hindrance.startswith("Another admin has to confirm")
    assert not nora.may("users.manage")
    with pytest.raises(NotPermittedError, match="Another admin has to confirm"):
        services.confirm(actor=nora, user_id=nora.pk)
    services.confirm(actor=people["admin"], user_id=nora.pk)
    nora.refresh_from_db()

    assert nora.may("users.manage")
    assert client.get(USERS).status_code == 200
    (told,) = events("user.confirmed")
    assert told.payload["granted_by"] == "system:identity-provider"


def test_whoever_a_claim_promotes_waits_and_whoever_it_demotes_does_not(
    issuer: str, people: dict[str, User]
) -> None:
    subject = person(issuer, "ops")
    logs_in(Client(), subject)
    again(issuer, subject, "boss")
    promoted = User.objects.get(username="nora")
    page = Client()
    page.force_login(people["admin"], backend="django.contrib.auth.backends.ModelBackend")

    assert (promoted.role, promoted.hindrance != "") == ("admin", True)
    assert "by the identity provider" in text(page.get(USERS))
    again(issuer, subject, "boss")
    assert User.objects.get(username="nora").hindrance != ""  # no log-in confirms it
    again(issuer, subject, "ops")
    demoted = User.objects.get(username="nora")
    assert (demoted.role, demoted.hindrance) == ("operator", "")


def test_an_admin_changes_no_role_that_the_provider_gives(
    issuer: str, people: dict[str, User]
) -> None:
    logs_in(Client(), person(issuer, "ops"))
    nora = User.objects.get(username="nora")

    with pytest.raises(ConflictError, match="Example ID says which role nora has"):
        services.change_role(actor=people["admin"], user_id=nora.pk, role="auditor")


# --- whose account it is --------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["nora", "NORA", "\uff4eora"])
def test_no_account_is_taken_over_by_a_name(issuer: str, name: str) -> None:
    before = with_password("nora", role="admin")
    client = Client()

    answer = logs_in(client, person(issuer, "ops", name=name))

    before.refresh_from_db()
    assert answer.status_code == 403
    assert "Your user name is somebody else" in text(answer)
    assert not is_in(client)
    assert (before.role, before.check_password(PASSWORD)) == ("admin", True)
    assert list(User.objects.all()) == [before]
    assert not Identity.objects.exists()


def test_the_subject_is_who_somebody_is_whatever_name_or_address_they_have(issuer: str) -> None:
    subject = person(issuer, "ops", email="nora@example.com")
    logs_in(Client(), subject)
    client, _ = again(issuer, subject, "ops", name="nora.beck-lee", email="other@example.com")
    assert is_in(client)
    assert [user.username for user in User.objects.all()] == ["nora"]

    stranger = person(issuer, "boss", email="nora@example.com")
    answer = logs_in(Client(), stranger)

    assert answer.status_code == 403
    assert User.objects.get().role == "operator"


@pytest.mark.parametrize("name", ["", "no spaces", "x" * 61, "a\u202eb", "<b>", "a\x00b", 7, None])
def test_a_name_that_can_not_be_one_is_refused(issuer: str, name: Any) -> None:
    answer = logs_in(Client(), person(issuer, "ops", name=name))

    assert answer.status_code == 403
    assert "no user name that can be used" in text(answer)
    assert not User.objects.exists()


def test_a_disabled_account_stays_disabled(issuer: str, people: dict[str, User]) -> None:
    subject = person(issuer, "ops")
    first = Client()
    logs_in(first, subject)
    nora = User.objects.get(username="nora")
    services.disable_user(actor=people["admin"], user_id=nora.pk)

    client, answer = again(issuer, subject, "boss")

    nora.refresh_from_db()
    assert answer.status_code == 403
    assert "Your account is disabled" in text(answer)
    assert (nora.is_active, nora.role) == (False, "operator")
    assert first.get("/accounts/settings/").status_code == 302
    assert not is_in(client)
    assert [e.payload["why"] for e in events("user.login_refused")] == ["disabled"]


def test_a_reset_ends_sessions_and_factors_and_makes_no_link(
    issuer: str, people: dict[str, User]
) -> None:
    subject = person(issuer, "boss")
    first = Client()
    logs_in(first, subject)
    nora = User.objects.get(username="nora")
    services.confirm(actor=people["admin2"], user_id=nora.pk)
    admin = Client()
    admin.force_login(people["admin"], backend="django.contrib.auth.backends.ModelBackend")

    page = text(admin.post(f"{USERS}{nora.pk}/reset/"))

    assert "logs in anew with Example ID" in page
    assert "new-link" not in page
    assert first.get("/accounts/settings/").status_code == 302
    nora.refresh_from_db()
    assert nora.standing == "invited"
    again(issuer, subject, "boss")
    nora.refresh_from_db()
    assert nora.standing == "unconfirmed"
    with pytest.raises(ConflictError, match="yourself: another admin"):
        services.confirm(actor=people["admin"], user_id=nora.pk)
    services.confirm(actor=people["admin2"], user_id=nora.pk)


def test_no_password_and_no_passkey_alone_opens_an_account_of_the_provider(
    issuer: str, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever is locked out there is locked out here, whatever they kept."""
    logs_in(Client(), person(issuer, "ops"))
    nora = User.objects.get()
    nora.set_password(PASSWORD)
    nora.save()
    client = Client()
    client.post(LOG_IN, {"username": "nora", "password": PASSWORD})
    assert not is_in(client)

    monkeypatch.setattr(factors, "prove_passkey", lambda **_: nora)
    monkeypatch.setattr(second, "answer_of", lambda request: {"id": "x"})
    session = client.session
    session["asked"] = {"challenge": "x"}
    session.save()
    answer = client.post("/accounts/passkey/show/", follow=True)
    assert not is_in(client)
    assert "your passkey is your second step" in text(answer)

    settings.OIDC_ISSUER = ""
    client.post(LOG_IN, {"username": "nora", "password": PASSWORD})
    assert is_in(client)


@pytest.mark.django_db(transaction=True)
def test_two_first_log_ins_at_once_make_one_account(transactional_db: None) -> None:
    people = [
        Person(Told("https://id.example", subject, "nora", ""), "operator", False, 0.0)
        for subject in ("s-1", "s-1", "s-1", "s-2", "s-2", "s-2")
    ]
    barrier = threading.Barrier(len(people))

    def come(one: Person) -> str:
        try:
            barrier.wait()
            return f"{one.identity.subject} {provider.arrive(one).username}"
        except LogInError as error:
            return f"{one.identity.subject} {error.problem}"
        finally:
            connection.close()

    with ThreadPoolExecutor(len(people)) as pool:
        found = sorted(pool.map(come, people))

    winner = Identity.objects.get().subject
    loser = {"s-1": "s-2", "s-2": "s-1"}[winner]
    assert found == sorted([f"{winner} nora"] * 3 + [f"{loser} taken"] * 3)
    assert len(events("user.created")) == 1


# --- second factors -------------------------------------------------------------------------------


def test_a_second_factor_at_the_provider_counts_where_it_is_said(
    issuer: str, settings: Any
) -> None:
    settings.REQUIRE_MFA = True
    subject = person(issuer, "ops", amr=["pwd", "mfa"])
    logs_in(Client(), subject)
    before = User.objects.get().hindrance
    settings.OIDC_MFA = ["mfa", "phr"]
    again(issuer, subject, "ops", amr=["pwd", "mfa"])
    with_it = User.objects.get().hindrance
    again(issuer, subject, "ops", acr="phr")
    by_class = User.objects.get().hindrance
    again(issuer, subject, "ops", amr=["pwd"])
    without = User.objects.get().hindrance

    assert before.startswith("Add a second factor")
    assert (with_it, by_class) == ("", "")
    assert without.startswith("Add a second factor")
    settings.OIDC_MFA = []
    again(issuer, subject, "ops", amr=["mfa"])
    assert User.objects.get().hindrance.startswith("Add a second factor")


def test_no_session_begun_with_one_factor_gains_from_a_later_one_with_two(
    issuer: str, settings: Any
) -> None:
    """Whoever has somebody's password there, and not the device, waits in vain."""
    settings.OIDC_MFA, settings.REQUIRE_MFA = ["mfa"], True
    subject = person(issuer, "ops", amr=["pwd"])
    thief = Client()
    logs_in(thief, subject)

    nora, _ = again(issuer, subject, "ops", amr=["mfa"])

    assert nora.get("/accounts/settings/").status_code == 200
    assert thief.get("/accounts/settings/").status_code == 302


def test_a_log_in_with_one_factor_that_was_on_its_way_is_refused(
    issuer: str, settings: Any
) -> None:
    settings.OIDC_MFA = ["mfa"]
    subject = person(issuer, "ops")
    logs_in(Client(), subject)
    on_its_way = User.objects.get()
    again(issuer, subject, "ops", amr=["mfa"])

    with pytest.raises(ConflictError, match="Log in again"):
        doors.entered(user=on_its_way, key="k", how="x", address="", agent="")


def test_a_second_factor_of_the_tower_is_asked_unless_the_provider_had_one(
    issuer: str, settings: Any
) -> None:
    settings.OIDC_MFA = ["mfa"]
    subject = person(issuer, "ops")
    logs_in(Client(), subject)
    User.objects.update(mfa_since=Now())

    client, answer = again(issuer, subject, "ops")
    assert answer["Location"] == "/accounts/second/"
    assert not is_in(client)
    assert "You are <strong>nora</strong>" in text(client.get("/accounts/second/"))
    assert len(events("user.second_step_asked")) == 1

    client, answer = again(issuer, subject, "ops", amr=["mfa"])
    assert answer["Location"] == "/"
    assert is_in(client)


def test_second_factors_are_changed_only_by_whoever_just_proved_who_they_are(liar: Liar) -> None:
    """The provider may know a browser for hours; whoever finds it open proves nothing by that."""
    client = Client()
    liar.comes_back(client)
    assert client.session[PROVED] == 0
    assert "within 15 minutes of a log-in only" in text(client.get(SECURITY))

    client = Client()
    liar.claims = {"auth_time": int(time.time()) - 3600}
    liar.comes_back(client)
    assert "within 15 minutes of a log-in only" in text(client.get(SECURITY))

    client = Client()
    liar.claims = {"auth_time": int(time.time()) - 60}
    asked = asked_for(left(client, next=SECURITY))
    liar.nonce = asked["nonce"]
    client.get(BACK, {"code": "c", "state": asked["state"]})
    assert asked["max_age"] == "900"
    assert "within 15 minutes of a log-in only" not in text(client.get(SECURITY))
    assert "max_age" not in asked_for(left(Client(), next="/"))

    client = Client()
    liar.claims = {"auth_time": int(time.time()) + 10**6}
    liar.comes_back(client)
    assert client.session[PROVED] <= time.time()


def test_what_a_stranger_left_behind_is_gone_after_ten_minutes(issuer: str, settings: Any) -> None:
    client = Client()
    known(issuer, "s-1", preferred_username="nora", roles=["ops"])
    address = left(client)
    now, found = time.time(), Session.objects.get()
    assert abs(found.expire_date.timestamp() - now - 600) < 30
    assert client.cookies[settings.SESSION_COOKIE_NAME]["max-age"] == 600

    returned(client, at_provider(address, "s-1"))

    assert is_in(client)
    found = Session.objects.get(pk=client.session.session_key)
    assert abs(found.expire_date.timestamp() - now - settings.SESSION_COOKIE_AGE) < 60
    age = client.cookies[settings.SESSION_COOKIE_NAME]["max-age"]
    assert age == settings.SESSION_COOKIE_AGE


# --- settings -------------------------------------------------------------------------------------


def test_passwords_can_be_switched_off(issuer: str, settings: Any) -> None:
    admin = with_password("ida", role="admin")
    settings.PASSWORDS = False
    client = Client()

    page = text(client.get(LOG_IN))
    answer = client.post(LOG_IN, {"username": "ida", "password": PASSWORD})

    assert 'name="password"' not in page
    assert "Log in with Example ID" in page
    assert answer.status_code == 403
    assert "people log in with Example ID" in text(answer)
    assert not is_in(client)
    with pytest.raises(ConflictError, match="people log in with Example ID"):
        services.create_user(actor=admin, username="pat", role="operator", full_name="")
    assert not User.objects.filter(username="pat").exists()
    with pytest.raises(InvalidInputError, match="people log in with Example ID"):
        services.enrol(code="x", password=PASSWORD)
    client.force_login(admin, backend="django.contrib.auth.backends.ModelBackend")
    assert "Add a person" not in text(client.get(USERS))


def test_without_passwords_no_link_is_offered_that_would_be_refused(
    issuer: str, settings: Any
) -> None:
    client = Client()
    client.force_login(
        with_password("ida", role="admin"), backend="django.contrib.auth.backends.ModelBackend"
    )
    local, gone = with_password("lars"), with_password("gail")
    User.objects.filter(pk=gone.pk).update(is_active=False)
    known(issuer, "s-1", preferred_username="nora", roles=["ops"])
    logs_in(Client(), "s-1")
    nora = User.objects.get(username="nora")
    resets = {user: f'action="{USERS}{user.pk}/reset/"' for user in (local, nora)}
    enables = f'action="{USERS}{gone.pk}/enable/"'
    page = text(client.get(USERS))
    assert all(way in page for way in (*resets.values(), enables))

    settings.PASSWORDS = False
    page = text(client.get(USERS))

    assert (resets[local] in page, resets[nora] in page, enables in page) == (False, True, False)
    assert f'action="{USERS}{local.pk}/disable/"' in page
    assert "The tower's own accounts get no new link" in page


@pytest.mark.parametrize(
    ("missing", "name"),
    [
        ("TOWER_OIDC_CLIENT", "CLIENT"),
        ("TOWER_OIDC_SECRET", "SECRET"),
        ("TOWER_OIDC_ROLES", "ROLES"),
    ],
)
def test_half_of_the_settings_is_told_at_the_start(
    missing: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = {
        "TOWER_OIDC_ISSUER": "https://login.example.com",
        "TOWER_OIDC_CLIENT": "tower",
        "TOWER_OIDC_SECRET": "x",
        "TOWER_OIDC_ROLES": '{"ops": "operator"}',
    }
    for key, value in whole.items():
        monkeypatch.setenv(key, value)
    assert people_settings(production=True)["OIDC_ISSUER"] == "https://login.example.com"

    monkeypatch.delenv(missing)

    with pytest.raises(ImproperlyConfigured, match=f"TOWER_OIDC_ISSUER needs TOWER_OIDC_{name}"):
        people_settings(production=True)


def test_a_command_says_whether_the_provider_answers(issuer: str, settings: Any) -> None:
    said = StringIO()
    call_command("people", "provider", stdout=said)
    assert f"{issuer} answers, with 1 key that signs." in said.getvalue()
    assert f"{settings.TOWER_ORIGIN}{BACK}" in said.getvalue()

    settings.OIDC_ISSUER = f"{issuer}/"
    with pytest.raises(CommandError, match="not TOWER_OIDC_ISSUER"):
        call_command("people", "provider", stdout=said)
