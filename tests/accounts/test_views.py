"""Log-in and the pages about people."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.test import Client

from apps.accounts.models import User
from tests.factories.accounts import PASSWORD, with_password

ClientAs = Callable[[str], Client]
pytestmark = pytest.mark.django_db


def test_login_page_has_the_fields_and_no_frame() -> None:
    response = Client().get("/accounts/login/")

    page = response.content.decode()
    assert response.status_code == 200
    assert 'name="username"' in page
    assert 'id="palette"' not in page
    assert response["Cache-Control"].startswith(("no-store", "max-age=0"))


def test_a_person_logs_in_and_out(people: dict[str, User], client: Client) -> None:
    with_password("nora", first_name="Nora", last_name="Beck")

    inside = client.post("/accounts/login/", {"username": "nora", "password": PASSWORD})
    settings = client.get("/accounts/settings/")
    out = client.post("/accounts/logout/")
    after = client.get("/accounts/settings/")

    assert inside.status_code == 302
    assert settings.status_code == 200
    assert "Nora Beck" in settings.content.decode()
    assert out["Location"] == "/accounts/login/"
    assert after["Location"] == "/accounts/login/?next=/accounts/settings/"


def test_logging_out_needs_a_post(client_as: ClientAs) -> None:
    assert client_as("operator").get("/accounts/logout/").status_code == 405


def test_settings_are_kept_for_the_person_and_set_the_cookie(
    client_as: ClientAs, people: dict[str, User]
) -> None:
    client = client_as("operator")

    response = client.post("/accounts/settings/", {"theme": "dark", "density": "compact"})

    people["operator"].refresh_from_db()
    assert response.status_code == 302
    assert people["operator"].preferences == {
        "theme": "dark",
        "density": "compact",
        "single_keys": False,
    }
    page = client.get("/accounts/settings/").content.decode()
    assert 'data-theme="dark"' in page
    assert 'data-keys="off"' in page


def test_a_cookie_with_nonsense_falls_back(client_as: ClientAs) -> None:
    client = client_as("operator")
    client.cookies["theme"] = '"><script>'

    assert 'data-theme="auto"' in client.get("/accounts/settings/").content.decode()


def test_a_taken_name_is_a_conflict(client_as: ClientAs) -> None:
    response = client_as("admin").post(
        "/accounts/users/create/", {"username": "operator", "full_name": "", "role": "auditor"}
    )

    assert response.status_code == 409
    assert "is taken" in response.content.decode()


def test_disabling_closes_open_sessions_for_good(
    client_as: ClientAs, people: dict[str, User]
) -> None:
    theirs, admin = client_as("operator"), client_as("admin")
    assert theirs.get("/accounts/settings/").status_code == 200

    admin.post(f"/accounts/users/{people['operator'].pk}/disable/")
    closed = theirs.get("/accounts/settings/")
    admin.post(f"/accounts/users/{people['operator'].pk}/enable/")
    still_closed = theirs.get("/accounts/settings/")

    assert closed.status_code == still_closed.status_code == 302


def test_nobody_changes_their_own_account(client_as: ClientAs, people: dict[str, User]) -> None:
    response = client_as("admin").post(f"/accounts/users/{people['admin'].pk}/disable/")

    assert response.status_code == 422


def test_one_administrator_remains(client_as: ClientAs, people: dict[str, User]) -> None:
    people["admin"].is_active = True
    client = client_as("admin")
    assert client.post(f"/accounts/users/{people['admin2'].pk}/disable/").status_code == 302

    from_last = client_as("admin2").get("/accounts/users/")

    assert from_last.status_code == 302  # admin2 is out; admin can't remove themselves (above)


def test_others_do_not_see_the_users_page(client_as: ClientAs) -> None:
    response = client_as("operator").get("/accounts/users/")

    assert response.status_code == 403
    assert "open to: admin" in response.content.decode()
