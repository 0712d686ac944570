"""How much a person sends: over HTTP, with the bucket in the database."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.db import close_old_connections, connection
from django.db.models import F
from django.test import Client
from django.urls import resolve, reverse

from apps.accounts.models import Sending, User
from apps.accounts.services.sending import spend
from apps.kernel.ids import new_id
from apps.oversight.models import Approval
from tests.factories.accounts import UserFactory
from tests.factories.approvals import ApprovalFactory

ClientAs = Callable[[str], Client]
pytestmark = pytest.mark.django_db
REASON = "She sent the receipt for 40 euros"


@pytest.fixture(autouse=True)
def few(settings: Any) -> None:
    settings.FORMS_PER_MINUTE = 4  # two at once, and one each 15 seconds


def send(client: Client, **headers: str) -> Any:
    return client.post(reverse("accounts:drop_kept"), headers=headers)


def time_passes(seconds: int) -> None:
    Sending.objects.update(filled_at=F("filled_at") - timedelta(seconds=seconds))


def test_whoever_sends_too_much_is_told_when_to_go_on(client_as: ClientAs) -> None:
    client, other = client_as("operator"), client_as("operator2")
    assert [send(client).status_code for _ in range(3)] == [302, 302, 429]

    refused = send(client)

    assert 1 <= int(refused["Retry-After"]) <= 15
    page = " ".join(refused.content.decode().split())
    assert f"you sent too much within a minute. Go on in {refused['Retry-After']} seconds." in page
    assert send(other).status_code == 302, "everybody has a bucket of their own"
    assert client.get("/").status_code == 200, "who reads sends nothing"
    time_passes(15)
    assert [send(client).status_code for _ in range(2)] == [302, 429]


def test_who_pauses_has_no_more_than_the_half_at_once(client_as: ClientAs) -> None:
    client = client_as("operator")
    send(client)
    time_passes(3600)

    assert [send(client).status_code for _ in range(3)] == [302, 302, 429]


@pytest.mark.parametrize("headers", [{"HX-Request": "true"}, {"Accept": "application/json"}])
def test_a_script_is_told_and_its_page_stays_as_it_is(
    client_as: ClientAs, headers: dict[str, str]
) -> None:
    client = client_as("operator")
    for _ in range(2):
        send(client)

    refused = send(client, **headers)

    assert refused.status_code == 429
    assert refused["HX-Reswap"] == "none"
    assert "Go on in" in refused["X-Tower-Notice"]
    assert refused.json()["message"].endswith("What you typed is kept.")


def typed(approval: Approval) -> dict[str, str]:
    return {"answer": "reject", "reason": REASON, "digest": approval.digest, "nonce": "n" * 16}


def test_what_was_typed_is_kept_and_stands_in_its_form_again(client_as: ClientAs) -> None:
    client, approval = client_as("operator"), ApprovalFactory.create()
    sheet = f"/approvals/{approval.pk}/"
    for _ in range(2):
        send(client)

    said = client.post(
        f"{sheet}decide/", typed(approval), headers={"Referer": f"http://testserver{sheet}"}
    )

    assert said.status_code == 429
    assert "it is in its form when you go back" in said.content.decode()
    assert f'href="{sheet}"' in said.content.decode()
    assert Approval.objects.get().state == "pending"
    page = client.get(sheet).content.decode()
    assert REASON in page.partition('id="kept-form"')[2].partition("</script>")[0]
    time_passes(15)
    assert client.post(f"{sheet}decide/", typed(approval)).status_code == 302
    assert "kept-form" not in client.get(sheet).content.decode()


def test_a_password_is_not_kept(client_as: ClientAs) -> None:
    client = client_as("operator")
    for _ in range(2):
        send(client)

    said = client.post(reverse("accounts:password"), {"password": "correct horse battery"})

    assert said.status_code == 429
    assert "Go back in your browser for what you typed." in said.content.decode()
    assert "correct horse" not in str(dict(client.session))


def test_what_a_page_tells_by_itself_counts_a_tenth(client_as: ClientAs) -> None:
    client, approval = client_as("operator"), ApprovalFactory.create()
    client.get(f"/approvals/{approval.pk}/")
    note = {"parts": ["why"], "digest": approval.digest}
    answers = [
        client.post(
            f"/approvals/{approval.pk}/seen/", note, headers={"Accept": "application/json"}
        ).status_code
        for _ in range(22)
    ]

    assert answers.count(200) == 20
    assert answers[-1] == 429


@pytest.mark.parametrize(
    ("name", "of"),
    [
        ("accounts:active", ()),
        ("approvals:seen", (new_id(),)),
        ("approvals:table_seen", (new_id(),)),
        ("catalog:draft_check", ("x",)),
        ("catalog:draft_save", ("x",)),
        ("policy:draft_check", ("x",)),
        ("policy:draft_save", ("x",)),
    ],
)
def test_notes_of_readers_and_of_editors_are_such(name: str, of: tuple[Any, ...]) -> None:
    assert resolve(reverse(name, args=of)).func.cost == 0.1  # type: ignore[attr-defined]


@pytest.mark.django_db(transaction=True)
def test_forms_that_are_sent_at_once_never_overspend_it(settings: Any) -> None:
    settings.FORMS_PER_MINUTE = 20
    user = UserFactory.create()
    barrier = threading.Barrier(8)

    def sender() -> int:
        close_old_connections()
        barrier.wait()
        try:
            return sum(not spend(user, 1.0) for _ in range(4))
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        sent = sum(pool.map(lambda _: sender(), range(8)))

    assert sent == 10


def test_a_bound_of_one_lets_one_through(people: dict[str, User], settings: Any) -> None:
    settings.FORMS_PER_MINUTE = 1

    assert spend(people["operator"], 1.0) == 0
    assert 58 <= spend(people["operator"], 1.0) <= 60
