"""Second factors: a password alone opens no account that has one, and where one is required nobody
acts without."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any

import pyotp
import pytest
from django.db.models.functions import Now
from django.test import Client

from apps.accounts import services
from apps.accounts.domain import totp
from apps.accounts.models import RecoveryCode, Totp, User
from apps.accounts.registry import permissions
from apps.accounts.services import factors
from apps.audit.models import Event
from apps.kernel.errors import ConflictError, NotPermittedError
from apps.oversight import services as oversight
from tests.factories.accounts import PASSWORD, with_password
from tests.factories.approvals import ApprovalFactory

ClientAs = Callable[[str], Client]
pytestmark = pytest.mark.django_db
LOG_IN, SECOND, SECURITY = "/accounts/login/", "/accounts/second/", "/accounts/security/"


@pytest.fixture
def nora(db: None) -> User:
    return with_password("nora", role="operator")


def text(response: Any) -> str:
    return " ".join(response.content.decode().split())


def logged_in(**more: str) -> Client:
    client = Client()
    client.post(LOG_IN, {"username": "nora", "password": PASSWORD, **more})
    return client


def code_of(secret: str, steps: int = 0) -> str:
    return pyotp.HOTP(secret).at(int(time.time() // 30) + steps)


def with_app(client: Client) -> tuple[str, list[str]]:
    """Add an authenticator app on the page; its secret and the recovery codes."""
    page = text(client.post(f"{SECURITY}totp/"))
    secret = re.search(r'id="totp-key">([A-Z2-7 ]+)<', page)[1].replace(" ", "")  # type: ignore[index]
    sealed = re.search(r'name="token" value="([^"]+)"', page)[1]  # type: ignore[index]
    done = client.post(f"{SECURITY}totp/add/", {"token": sealed, "code": code_of(secret, -1)})
    assert done.status_code == 201, text(done)
    return secret, re.findall(r"\b(?:[A-Z2-7]{4}-){3}[A-Z2-7]{4}\b", done.content.decode())


def kinds() -> list[str]:
    return list(Event.objects.order_by("id").values_list("kind", flat=True))


def test_a_password_alone_opens_nothing_that_has_a_second_factor(nora: User) -> None:
    secret, _ = with_app(logged_in())

    client = Client()
    first = client.post(LOG_IN, {"username": "nora", "password": PASSWORD, "next": "/runs/"})
    still_out = client.get(SECURITY)
    wrong = client.post(SECOND, {"code": "000000"})
    right = client.post(SECOND, {"code": code_of(secret)})

    assert first["Location"] == SECOND
    assert still_out.status_code == 302
    assert wrong.status_code == 422
    assert right["Location"] == "/runs/"
    assert client.get(SECURITY).status_code == 200
    assert kinds()[-2:] == ["user.login_refused", "user.logged_in"]
    assert Event.objects.last().payload["how"] == "password, authenticator app"  # type: ignore[union-attr]


def test_the_log_says_that_a_password_was_right_though_nobody_came_in(nora: User) -> None:
    with_app(logged_in())
    stranger = Client(REMOTE_ADDR="192.0.2.7")
    stranger.post(LOG_IN, {"username": "nora", "password": PASSWORD})

    told = Event.objects.get(kind="user.second_step_asked")
    assert (told.subject_id, told.payload["address"]) == (str(nora.pk), "192.0.2.7")


def test_a_code_of_the_app_counts_once(nora: User) -> None:
    secret, _ = with_app(logged_in())
    code = code_of(secret)

    assert logged_in().post(SECOND, {"code": code}).status_code == 302
    assert logged_in().post(SECOND, {"code": code}).status_code == 422
    assert logged_in().post(SECOND, {"code": code_of(secret, -1)}).status_code == 422


def test_a_recovery_code_counts_once(nora: User) -> None:
    _, codes = with_app(logged_in())
    assert len(set(codes)) == 10
    assert not RecoveryCode.objects.filter(digest__in=codes).exists()

    assert logged_in().post(SECOND, {"code": codes[0].lower()}).status_code == 302
    assert logged_in().post(SECOND, {"code": codes[0]}).status_code == 422
    assert logged_in().post(SECOND, {"code": codes[1]}).status_code == 302
    client = logged_in()
    client.post(SECOND, {"code": codes[2]})
    assert "7 recovery codes left" in text(client.get(SECURITY))


def test_guessing_codes_is_locked_too(nora: User) -> None:
    with_app(logged_in())
    answers = [logged_in().post(SECOND, {"code": f"00000{n}"}).status_code for n in range(6)]

    assert answers == [422, 422, 422, 422, 422, 429]


def test_a_stranger_uses_up_no_tries_of_a_second_step(nora: User) -> None:
    secret, _ = with_app(logged_in())
    for typed in (f"second factor of {nora.pk}", f"\x00second factor of {nora.pk}"):
        for _ in range(6):
            Client().post(LOG_IN, {"username": typed, "password": "wrong"})

    assert logged_in().post(SECOND, {"code": code_of(secret)}).status_code == 302


@pytest.mark.parametrize("change", ["none", "late", "reset"])
def test_the_second_step_is_of_somebody_who_just_gave_the_password(
    nora: User, people: dict[str, User], change: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret, _ = with_app(logged_in())
    client = Client() if change == "none" else logged_in()
    if change == "late":
        now = time.time() + 301
        monkeypatch.setattr("apps.accounts.views.entering.time.time", lambda: now)
    if change == "reset":
        services.reset_access(actor=people["admin"], user_id=nora.pk)

    answer = client.post(SECOND, {"code": code_of(secret)})

    assert answer["Location"] == LOG_IN
    assert client.get(SECURITY).status_code == 302


def test_what_was_typed_survives_both_steps(nora: User) -> None:
    secret, _ = with_app(logged_in())
    client = Client()
    home = {"Referer": "http://testserver/load/?x=1"}
    late = client.post("/load/caps/set/", {"reason": "kept"}, headers=home).content.decode()
    sealed = re.search(r'name="kept" value="([^"]+)"', late)[1]  # type: ignore[index]
    client.post(LOG_IN, {"username": "nora", "password": PASSWORD, "kept": sealed})

    inside = client.post(SECOND, {"code": code_of(secret)})

    assert inside["Location"] == "/load/?x=1"
    assert client.session["kept"]["action"] == "/load/caps/set/"


def test_a_session_without_the_factor_ends_when_it_is_added(nora: User) -> None:
    elsewhere, here = logged_in(), logged_in()
    with_app(here)

    assert elsewhere.get(SECURITY).status_code == 302
    assert here.get(SECURITY).status_code == 200


def test_a_log_in_on_its_way_does_not_outlive_the_factor_either(
    nora: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The password was right while the account had no factor, and then it had one."""

    def meanwhile(name: str) -> None:
        User.objects.filter(pk=nora.pk).update(mfa_since=Now())

    monkeypatch.setattr("apps.accounts.views.sessions.doors.forget", meanwhile)
    client = Client()
    answer = client.post(LOG_IN, {"username": "nora", "password": PASSWORD})

    assert answer.status_code == 409
    assert "Log in again" in text(answer)
    assert client.get(SECURITY).status_code == 302
    assert "user.logged_in" not in kinds()


@pytest.mark.parametrize("taken", ["reset", "disabled"])
def test_a_request_on_its_way_leaves_no_factor_on_an_account_taken_back(
    nora: User, people: dict[str, User], taken: str
) -> None:
    """Else whoever held the account still got in after its person enrolled anew."""
    as_it_was = User.objects.get(pk=nora.pk)
    take = services.reset_access if taken == "reset" else services.disable_user
    take(actor=people["admin"], user_id=nora.pk)
    secret = totp.new_secret()

    with pytest.raises(ConflictError):
        factors.add_totp(user=as_it_was, secret=secret, code=code_of(secret), session_key="")

    assert not Totp.objects.exists()


def test_factors_are_changed_soon_after_a_log_in_only(
    nora: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = logged_in()
    now = time.time() + 15 * 60 + 5
    monkeypatch.setattr("apps.accounts.views.entering.time.time", lambda: now)

    for path in ("totp/", "totp/add/", "passkey/add/", "remove/", "codes/"):
        assert client.post(f"{SECURITY}{path}")["Location"] == SECURITY
    asked = client.post(f"{SECURITY}passkey/", headers={"Accept": "application/json"})
    assert asked.status_code == 403
    assert "Log in again" in text(client.get(SECURITY))
    assert not Totp.objects.exists()


def test_two_towers_of_one_host_do_not_replace_each_others_passkeys(
    nora: User, settings: Any
) -> None:
    """A device keeps one passkey of each host and handle (WebAuthn, 6.3.2): the next replaces it.
    Another tower has another key."""
    client = logged_in()

    def handle() -> str:
        asked = client.post(f"{SECURITY}passkey/", headers={"Accept": "application/json"})
        return str(asked.json()["publicKey"]["user"]["id"])

    here = handle()
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "another", [settings.SECRET_KEY]

    assert len(here) == 43
    assert handle() != here


def test_removing_the_last_factor_takes_the_codes_with_it(nora: User) -> None:
    client = logged_in()
    with_app(client)
    client.post(f"{SECURITY}remove/", {"what": "totp"})

    nora.refresh_from_db()
    assert nora.mfa_since is None
    assert not RecoveryCode.objects.exists()
    assert logged_in().get(SECURITY).status_code == 200
    assert client.post(f"{SECURITY}remove/", {"what": "totp"}).status_code == 404
    assert [k for k in kinds() if "mfa" in k] == ["user.mfa_added", "user.mfa_removed"]


def test_nobody_removes_what_is_another_persons(nora: User) -> None:
    with_app(logged_in())
    with_password("ida")
    ida = Client()
    ida.post(LOG_IN, {"username": "ida", "password": PASSWORD})

    assert ida.post(f"{SECURITY}remove/", {"what": "totp"}).status_code == 404
    assert Totp.objects.filter(user=nora).exists()


def test_a_reset_takes_every_factor_away(nora: User, people: dict[str, User]) -> None:
    """Whoever lost the device enrols anew; an admin's account then waits for a second admin."""
    with_app(logged_in())
    _, code = services.reset_access(actor=people["admin"], user_id=nora.pk)
    services.enrol(code=code, password=PASSWORD)

    assert logged_in().get(SECURITY).status_code == 200
    assert not RecoveryCode.objects.exists()


def test_the_secret_of_an_app_is_sealed_and_an_old_key_reads_it(nora: User, settings: Any) -> None:
    settings.SECRET_KEY = "old-key"
    secret, _ = with_app(logged_in())
    assert secret not in Totp.objects.get().secret
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "new-key", ["old-key"]
    assert factors.prove_code(user=nora, code=code_of(secret)) == "authenticator app"
    settings.SECRET_KEY_FALLBACKS = []
    assert factors.prove_code(user=nora, code=code_of(secret, 1)) == ""


@pytest.mark.parametrize("code", ["", "abc", "12345", "1234567", "१२३४५६", "\x00" * 6])
def test_what_is_no_code_is_none(code: str) -> None:
    assert totp.step_of(totp.new_secret(), code, now_s=time.time(), after=0) is None


def test_codes_are_those_of_the_rfc() -> None:
    """RFC 6238, appendix B, SHA-1, cut to six digits."""
    secret = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
    for moment, code in ((59, "287082"), (1111111109, "081804"), (2000000000, "279037")):
        assert totp.step_of(secret, code, now_s=moment, after=0) == moment // 30
        assert totp.step_of(secret, code, now_s=moment + 61, after=0) is None
        assert totp.step_of(secret, code, now_s=moment, after=moment // 30) is None


def test_without_a_second_factor_nobody_acts_where_one_is_required(
    nora: User, settings: Any
) -> None:
    client = logged_in()
    settings.REQUIRE_MFA = True
    acting = {p.name for p in permissions() if p.acts and nora.role in p.roles}
    before = {name for name in acting if nora.may(name)}
    with pytest.raises(NotPermittedError, match="Add a second factor"):
        oversight.claim(approval_id=ApprovalFactory.create().pk, user=nora)
    page = text(client.get("/approvals/"))

    with_app(client)

    nora.refresh_from_db()
    assert before == set()
    assert nora.may("approvals.view")
    assert "Add a second factor" in page
    assert {name for name in acting if nora.may(name)} == acting
    assert "Add a second factor" not in text(client.get("/approvals/"))


def test_elsewhere_one_is_offered(nora: User) -> None:
    client = logged_in()
    assert "Add a passkey or an authenticator app" in text(client.get("/"))
    with_app(client)
    assert "Add a passkey or an authenticator app" not in text(client.get("/"))
