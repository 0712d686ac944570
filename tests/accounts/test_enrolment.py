"""From an admin's click to somebody who acts: a link, a password of one's own, a second admin."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db.models.functions import Now
from django.test import Client

from apps.accounts import services
from apps.accounts.domain import enrolment
from apps.accounts.domain.roles import Role
from apps.accounts.models import Enrolment, User
from apps.accounts.registry import permissions
from apps.audit.models import Event
from apps.kernel.errors import ConflictError, InvalidInputError, NotPermittedError
from tests.factories.accounts import PASSWORD, UserFactory

ClientAs = Callable[[str], Client]
People = dict[str, User]
pytestmark = pytest.mark.django_db
ENROL, LOG_IN, USERS = "/accounts/enrol/", "/accounts/login/", "/accounts/users/"


def text(response: Any) -> str:
    return " ".join(response.content.decode().split())


def code_on(page: str) -> str:
    found = re.search(r'id="new-link">http://[^<]+/accounts/enrol/#([A-Z2-7-]+)<', page)
    assert found, page
    return found[1]


def typed(code: str, password: str = PASSWORD, again: str | None = None) -> dict[str, str]:
    return {"token": code, "password": password, "again": password if again is None else again}


def kinds(user: User) -> list[str]:
    rows = Event.objects.filter(subject_type="user", subject_id=str(user.pk)).order_by("id")
    return list(rows.values_list("kind", flat=True))


def made_admin(by: User, name: str = "nora") -> User:
    user, code = services.create_user(actor=by, username=name, role="admin", full_name="Nora Beck")
    services.enrol(code=code, password=PASSWORD)
    user.refresh_from_db()
    return user


def test_an_admin_makes_an_account_and_sees_its_link_once(client_as: ClientAs) -> None:
    client = client_as("admin")

    made = client.post(f"{USERS}create/", {"username": "pat", "full_name": "", "role": "auditor"})
    code = code_on(text(made))
    enrolled = Client().post(ENROL, typed(code))
    inside = Client().post(LOG_IN, {"username": "pat", "password": PASSWORD})

    pat = User.objects.get(username="pat")
    assert made.status_code == 201
    assert code not in text(client.get(USERS))
    assert code not in Enrolment.objects.values_list("digest", flat=True)
    assert "password of" not in text(made).lower()
    assert enrolled["Location"] == LOG_IN
    assert inside.status_code == 302
    assert kinds(pat) == ["user.created", "user.enrolled", "user.logged_in"]
    assert pat.may("audit.view")


def test_nobody_gets_in_before_they_enrolled(people: People) -> None:
    user, _ = services.create_user(
        actor=people["admin"], username="pat", role="operator", full_name=""
    )

    for password in ("", PASSWORD, "!", user.password):
        answer = Client().post(LOG_IN, {"username": "pat", "password": password})
        assert answer.status_code == 200
    assert not user.may("approvals.decide")
    assert user.standing == "invited"


def test_a_code_works_once(people: People) -> None:
    _, code = services.reset_access(actor=people["admin"], user_id=people["operator"].pk)
    assert Client().post(ENROL, typed(code)).status_code == 302

    again = Client().post(ENROL, typed(code, "another-long-password"))

    assert again.status_code == 422
    assert "This code was used, replaced or has run out" in text(again)
    people["operator"].refresh_from_db()
    assert people["operator"].check_password(PASSWORD)


def test_a_code_runs_out(people: People, settings: Any) -> None:
    settings.ENROLMENT_HOURS = 2
    _, code = services.reset_access(actor=people["admin"], user_id=people["operator"].pk)
    row = Enrolment.objects.get()
    assert row.expires_at - row.created_at == timedelta(hours=2)
    Enrolment.objects.update(expires_at=Now() - timedelta(seconds=1))

    with pytest.raises(InvalidInputError, match="run out"):
        services.enrol(code=code, password=PASSWORD)


def test_a_new_code_replaces_the_one_before_and_disabling_takes_it(people: People) -> None:
    admin, pk = people["admin"], people["operator"].pk
    _, first = services.reset_access(actor=admin, user_id=pk)
    _, second = services.reset_access(actor=admin, user_id=pk)
    services.disable_user(actor=admin, user_id=pk)

    for code in (first, second, "", "nonsense", "\u2460" * 32):
        with pytest.raises(InvalidInputError):
            services.enrol(code=code, password=PASSWORD)


def test_a_code_is_read_however_it_was_typed(people: People) -> None:
    _, code = services.reset_access(actor=people["admin"], user_id=people["operator"].pk)

    services.enrol(code=f"  {code.lower().replace('-', ' ')} ", password=PASSWORD)

    people["operator"].refresh_from_db()
    assert people["operator"].check_password(PASSWORD)


def test_codes_are_of_160_random_bits() -> None:
    code = enrolment.mint(bytes(range(20)))

    assert re.fullmatch(r"([A-Z2-7]{4}-){7}[A-Z2-7]{4}", code)
    assert enrolment.digest_of(code) != enrolment.digest_of(enrolment.mint(bytes(20)))
    with pytest.raises(ValueError, match="20 random bytes"):
        enrolment.mint(b"short")


@pytest.mark.parametrize(
    ("password", "again", "said"),
    [
        ("password1234", None, "too common"),
        ("short-one", None, "at least 12 characters"),
        ("193728465012", None, "entirely numeric"),
        ("operator1234", None, "too similar to the username"),
        (PASSWORD, "another-long-one", "The two passwords differ"),
        ("", None, "required"),
    ],
)
def test_a_password_that_others_guess_is_refused_and_the_code_still_works(
    people: People, password: str, again: str | None, said: str
) -> None:
    _, code = services.reset_access(actor=people["admin"], user_id=people["operator"].pk)

    refused = Client().post(ENROL, typed(code, password, again))

    assert refused.status_code == 422
    assert said in text(refused)
    assert f'value="{password}"' not in text(refused)
    assert Client().post(ENROL, typed(code)).status_code == 302


def test_a_reset_ends_what_was_open_and_what_was_known(client_as: ClientAs, people: People) -> None:
    theirs = client_as("operator")
    assert theirs.get("/accounts/settings/").status_code == 200

    page = client_as("admin").post(f"{USERS}{people['operator'].pk}/reset/")

    assert theirs.get("/accounts/settings/").status_code == 302
    people["operator"].refresh_from_db()
    assert not people["operator"].may("approvals.decide")
    services.enrol(code=code_on(text(page)), password=PASSWORD)
    people["operator"].refresh_from_db()
    assert people["operator"].may("approvals.decide")
    assert kinds(people["operator"]) == ["user.password_reset", "user.enrolled"]


def test_enrolling_logs_nobody_else_in_or_on(client_as: ClientAs, people: People) -> None:
    _, code = services.reset_access(actor=people["admin"], user_id=people["operator"].pk)
    client = client_as("auditor")

    client.post(ENROL, typed(code))

    assert client.get("/accounts/settings/").status_code == 302


# --- a second admin -----------------------------------------------------------------------------


def acting() -> set[str]:
    return {p.name for p in permissions() if p.acts and Role.ADMIN in p.roles}


def test_an_admin_made_by_one_admin_acts_only_after_another_confirmed(
    client_as: ClientAs, people: People
) -> None:
    nora = made_admin(people["admin"])
    client = Client()
    client.post(LOG_IN, {"username": "nora", "password": PASSWORD})

    before = {name for name in acting() if nora.may(name)}
    page = client.get(USERS)
    home = text(client.get("/"))
    by_maker = client_as("admin").post(f"{USERS}{nora.pk}/confirm/")
    by_self = client.post(f"{USERS}{nora.pk}/confirm/")
    by_other = client_as("admin2").post(f"{USERS}{nora.pk}/confirm/")

    assert before == set()
    assert page.status_code == 403
    assert "Another admin has to confirm this admin account" in text(page)
    assert "Another admin has to confirm this admin account" in home
    assert (by_maker.status_code, by_self.status_code, by_other.status_code) == (409, 403, 302)
    nora.refresh_from_db()
    assert {name for name in acting() if nora.may(name)} == acting()
    assert client.get(USERS).status_code == 200
    assert kinds(nora)[-1] == "user.confirmed"


def test_the_confirmation_comes_after_its_person_enrolled(people: People) -> None:
    """Confirmed before, the code would still lie with the admin who made it."""
    nora, _ = services.create_user(
        actor=people["admin"], username="nora", role="admin", full_name=""
    )

    with pytest.raises(ConflictError, match="when its person has"):
        services.confirm(actor=people["admin2"], user_id=nora.pk)


@pytest.mark.parametrize("how", ["promoted", "reset", "enabled"])
def test_promoting_or_resetting_an_admin_needs_a_second_one(people: People, how: str) -> None:
    admin = people["admin"]
    target = people["operator"] if how == "promoted" else people["admin3"]
    if how == "promoted":
        services.change_role(actor=admin, user_id=target.pk, role="admin")
    else:
        if how == "enabled":
            services.disable_user(actor=admin, user_id=target.pk)
        _, code = services.reset_access(actor=admin, user_id=target.pk)
        services.enrol(code=code, password=PASSWORD)
    target.refresh_from_db()

    assert target.standing == "unconfirmed"
    assert not target.may("policy.edit")
    services.confirm(actor=people["admin2"], user_id=target.pk)
    target.refresh_from_db()
    assert target.may("policy.edit")


def test_the_same_role_again_takes_nothing_back(people: People) -> None:
    services.change_role(actor=people["admin"], user_id=people["admin2"].pk, role="admin")

    people["admin2"].refresh_from_db()
    assert people["admin2"].standing == "active"
    assert kinds(people["admin2"]) == []


def test_another_role_needs_no_second_admin(people: People) -> None:
    services.change_role(actor=people["admin"], user_id=people["operator"].pk, role="admin")
    services.change_role(actor=people["admin"], user_id=people["operator"].pk, role="auditor")

    people["operator"].refresh_from_db()
    assert people["operator"].standing == "active"


def test_who_is_not_confirmed_confirms_nobody(people: People) -> None:
    nora, ida = made_admin(people["admin"]), made_admin(people["admin2"], "ida")

    with pytest.raises(NotPermittedError, match="Another admin has to confirm"):
        services.confirm(actor=nora, user_id=ida.pk)


def test_an_admin_who_cannot_act_is_not_the_last_one(people: People) -> None:
    User.objects.filter(username__in=["admin2", "admin3"]).update(role="auditor")
    nora = made_admin(people["admin"])
    User.objects.filter(pk=people["admin"].pk).update(is_active=False)

    with pytest.raises(ConflictError, match="At least one administrator must remain"):
        services.change_role(actor=nora, user_id=people["admin"].pk, role="auditor")


# --- from the server ----------------------------------------------------------------------------


def run(*arguments: str) -> str:
    out = StringIO()
    call_command("people", *arguments, stdout=out)
    return out.getvalue()


def test_the_first_admin_of_a_tower_comes_from_the_server(settings: Any) -> None:
    settings.TOWER_ORIGIN = "https://tower.example.com"

    said = run("invite", "ida", "--role", "admin", "--full-name", "Ida Lund")
    found = re.search(r"https://tower.example.com/accounts/enrol/#([A-Z2-7-]+)", said)
    assert found
    services.enrol(code=found[1], password=PASSWORD)

    ida = User.objects.get(username="ida")
    assert ida.may("users.manage")
    assert Event.objects.get(kind="user.created").actor == "system:setup"
    assert run("list").split() == ["admin", "ida", "active"]


def test_a_single_admin_is_reset_and_a_second_confirmed_from_the_server() -> None:
    ida = UserFactory.create(username="ida", role="admin")
    code = run("invite", "ida").split("#")[1].strip()
    services.enrol(code=code, password=PASSWORD)
    ida.refresh_from_db()
    assert ida.may("users.manage")

    nora = made_admin(ida)
    assert "nora is confirmed" in run("confirm", "nora")
    nora.refresh_from_db()
    assert nora.may("users.manage")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("invite", "nobody"), "say which role"),
        (("invite", "operator", "--role", "admin"), "an admin changes roles on the site"),
        (("confirm", "nobody"), "There is no nobody"),
        (("confirm", "operator"), "needs no confirmation"),
    ],
)
def test_the_command_says_what_is_wrong(
    people: People, arguments: tuple[str, ...], said: str
) -> None:
    with pytest.raises(CommandError, match=said):
        run(*arguments)


def test_production_writes_no_passwords(settings: Any, tmp_path: Any) -> None:
    settings.PRODUCTION = True
    file = tmp_path / "logins.txt"
    out = StringIO()

    call_command("tower_users", passwords_file=file, stdout=out)

    assert not file.exists()
    assert User.objects.count() == 0
    assert "manage.py people invite" in out.getvalue()
