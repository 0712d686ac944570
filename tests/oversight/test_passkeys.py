"""Where the policy asks for a passkey, an approval is what a person's device signed, or none."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.db import transaction
from django.test import Client
from fido2.utils import websafe_encode
from fido2.webauthn import AuthenticatorData

from apps.accounts.models import Passkey, User
from apps.accounts.services.factors import ShownPasskey
from apps.audit.models import Event
from apps.kernel.errors import InvalidInputError
from apps.oversight import services
from apps.oversight.domain.passkey import challenge_of
from apps.oversight.models import Approval, Reversal, Vote
from apps.oversight.services.passkeys import without_passkey
from apps.oversight.services.together import give_table
from tests.factories.approvals import ApprovalFactory, decide, has_read
from tests.factories.passkeys import SITE, Device

pytestmark = pytest.mark.django_db
People = dict[str, User]
ClientAs = Callable[[str], Client]
RULES = [{"id": "bank", "reason": "Transfers are signed", "observed": [], "passkey": True}]
NONCE = "nonce-of-this-sheet"


@pytest.fixture
def asked() -> Approval:
    return ApprovalFactory.create(rules=RULES, undo_s=0)


def challenge(approval: Approval, user: User, nonce: str = NONCE) -> bytes:
    return challenge_of(
        approval_id=str(approval.pk), asked=approval.digest, user_id=user.pk, nonce=nonce
    )


def approve(approval: Approval, user: User, shown: ShownPasskey | None, **more: Any) -> Approval:
    given = {"nonce": NONCE, "page": services.PageAnswer(passkey=shown)}
    return decide(approval, user, **{**given, **more})


def test_what_the_device_signed_is_kept_and_counts(asked: Approval, people: People) -> None:
    user = people["operator"]
    device = Device(user)

    assert approve(asked, user, device.shown(challenge(asked, user))).state == "approved"

    vote = Vote.objects.get()
    assert vote.passkey["credential"] == websafe_encode(device.credential_id)
    assert without_passkey(Approval.objects.get(), [vote]) == set()
    assert services.is_signed(Approval.objects.get())
    told = Event.objects.get(kind="approval.approved").payload
    assert told["passkey"] == vote.passkey["credential"]
    with transaction.atomic():
        assert services.consume(asked.pk, asked.digest)


def test_without_it_nothing_is_recorded(asked: Approval, people: People) -> None:
    Device(people["operator"])

    with pytest.raises(InvalidInputError, match="asks for your passkey, and none was shown"):
        approve(asked, people["operator"], None)
    with pytest.raises(InvalidInputError, match="none was shown"):  # a scripted reviewer
        approve(asked, people["operator"], None, page=None)

    assert not Vote.objects.exists()


def test_a_rejection_needs_none(asked: Approval, people: People) -> None:
    assert approve(asked, people["operator"], None, approve=False).state == "rejected"


OTHERS: dict[str, Callable[[Device, Approval, User], ShownPasskey]] = {
    "another sheet": lambda d, a, u: d.shown(challenge(a, u, "nonce-of-another-one")),
    "another person's answer": lambda d, a, u: d.shown(
        challenge_of(approval_id=str(a.pk), asked=a.digest, user_id=u.pk + 1, nonce=NONCE)
    ),
    "another request": lambda d, a, u: d.shown(challenge(ApprovalFactory.create(), u)),
    "any challenge": lambda d, a, u: d.shown(b"\0" * 32),
    "another page": lambda d, a, u: d.shown(challenge(a, u), origin="https://evil.example"),
    "nobody verified": lambda d, a, u: d.shown(challenge(a, u), flags=AuthenticatorData.FLAG.UP),
    "a new passkey": lambda d, a, u: d.shown(challenge(a, u), what="create"),
    "somebody else's device": lambda d, a, u: Device(User.objects.get(username="operator2")).shown(
        challenge(a, u)
    ),
    "nothing": lambda d, a, u: ShownPasskey(SITE, {}),
    "no object": lambda d, a, u: ShownPasskey(SITE, {"rawId": d.row.credential_id, "response": 7}),
}


@pytest.mark.parametrize("what", OTHERS)
def test_what_was_signed_for_something_else_is_refused(
    asked: Approval, people: People, what: str
) -> None:
    user = people["operator"]
    device = Device(user)

    with pytest.raises(InvalidInputError, match="Approve again") as refused:
        approve(asked, user, OTHERS[what](device, asked, user))

    assert refused.value.code == "passkey"
    assert not Vote.objects.exists()
    assert Approval.objects.get(pk=asked.pk).state == "pending"


def used(approval: Approval) -> bool:
    with transaction.atomic():
        return services.consume(approval.pk, approval.digest)


def test_a_vote_of_a_site_that_knows_no_passkeys_is_not_used(
    asked: Approval, people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While a release is rolled out, a site process of the one before takes answers too."""
    with monkeypatch.context() as before:
        before.setattr(services.deciding, "signed_with_passkey", lambda *_, **__: None)
        assert approve(asked, people["operator"], None).state == "approved"

    assert not used(asked)


def test_a_passkey_that_was_taken_away_proves_nothing_any_more(
    asked: Approval, people: People
) -> None:
    user = people["operator"]
    device = Device(user)
    approve(asked, user, device.shown(challenge(asked, user)))
    Passkey.objects.all().delete()

    assert not used(asked)


def test_a_signature_of_one_answer_makes_no_other(asked: Approval, people: People) -> None:
    """Written into the table beside another vote, by whoever has the key of the tower too."""
    user = people["operator"]
    device = Device(user)
    approve(asked, user, device.shown(challenge(asked, user)))
    other = ApprovalFactory.create(rules=RULES, undo_s=0)
    vote = Vote.objects.get()
    moved = Vote(approval=other, user=user, approve=True, nonce=NONCE, passkey=vote.passkey, pk=9)

    assert without_passkey(other, [moved]) == {9}


@pytest.mark.parametrize("part", ["credential", "clientDataJSON", "authenticatorData", "signature"])
@pytest.mark.parametrize("value", [None, "", "AAAA", 7, {}])
def test_a_proof_that_was_changed_is_none(
    asked: Approval, people: People, part: str, value: Any
) -> None:
    user = people["operator"]
    approve(asked, user, Device(user).shown(challenge(asked, user)))
    vote = Vote.objects.get()
    vote.passkey = {**vote.passkey, part: value}

    assert without_passkey(asked, [vote]) == {vote.pk}


def test_each_of_several_signs(people: People) -> None:
    asked = ApprovalFactory.create(rules=RULES, undo_s=0, votes_required=2)
    one, two = people["operator"], people["operator2"]
    assert approve(asked, one, Device(one).shown(challenge(asked, one))).state == "pending"

    with pytest.raises(InvalidInputError, match="none was shown"):
        approve(asked, two, None)
    assert approve(asked, two, Device(two).shown(challenge(asked, two))).state == "approved"
    assert used(asked)


def test_taken_back_it_is_kept_with_what_was_signed(people: People) -> None:
    asked, user = ApprovalFactory.create(rules=RULES, undo_s=60), people["operator"]
    approve(asked, user, Device(user).shown(challenge(asked, user)))

    services.undo(approval_id=asked.pk, user=user)

    assert Reversal.objects.get().votes[0]["passkey"]["signature"]


def test_it_stands_in_no_table(people: People) -> None:
    rows = [ApprovalFactory.create(rules=RULES, job_slug="one") for _ in range(3)]

    table = give_table(approval_id=rows[0].pk, user=people["operator"])

    assert {row.singly for row in table.rows.all()} == {
        "It is signed with a passkey: decide it by itself."
    }


def sent(client: Client, approval: Approval, **more: str) -> Any:
    given = {"digest": approval.digest, "nonce": NONCE, **more}
    return client.post(f"/approvals/{approval.pk}/passkey/", given, HTTP_HOST="localhost")


def test_the_device_is_asked_to_sign_this_answer(
    asked: Approval, people: People, client_as: ClientAs
) -> None:
    user = people["operator"]
    device = Device(user, host="localhost")

    options = sent(client_as("operator"), asked).json()["publicKey"]

    assert options["challenge"] == websafe_encode(challenge(asked, user))
    assert options["userVerification"] == "required"
    assert [c["id"] for c in options["allowCredentials"]] == [websafe_encode(device.credential_id)]


@pytest.mark.parametrize(
    ("more", "status", "said"),
    [
        ({}, 422, "you have none for this address"),
        ({"digest": "e" * 64}, 409, "not the request that you opened"),
        ({"nonce": ""}, 422, "reload the page"),
    ],
)
def test_why_nothing_can_be_signed_is_said(
    asked: Approval,
    people: People,
    client_as: ClientAs,
    more: dict[str, str],
    status: int,
    said: str,
) -> None:
    answer = sent(client_as("operator"), asked, **more)

    assert answer.status_code == status
    assert said in answer.json()["message"]


def page(client: Client, approval: Approval, host: str = "localhost") -> str:
    text = client.get(f"/approvals/{approval.pk}/", HTTP_HOST=host).content.decode()
    return " ".join(text.split())


def test_the_sheet_says_that_it_is_signed_and_by_whom_it_was(
    asked: Approval, people: People, client_as: ClientAs
) -> None:
    user, client = people["operator"], client_as("operator")

    without = page(client, asked)
    assert "you have none for this address. Add one" in without
    assert 'href="/accounts/security/"' in without
    assert "open the tower by its name" in page(client, asked, "127.0.0.1")
    device = Device(user, host="localhost")
    assert "Approving asks for your passkey" in page(client, asked)
    device.host = "tower.example"
    device.row.delete()
    approve(asked, user, Device(user).shown(challenge(asked, user)))
    assert "approved, signed with a passkey <span" in page(client, asked)
    Passkey.objects.all().delete()
    assert "signed with a passkey that was removed or changed since" in page(client, asked)


@pytest.mark.parametrize("passkey", ["", "{", "[]", "7", "[" * 5_000, json.dumps({"rawId": 1})])
def test_whatever_is_sent_for_a_passkey_is_none(
    asked: Approval, people: People, client_as: ClientAs, passkey: str
) -> None:
    user = people["operator"]
    Device(user, host="localhost")
    has_read(asked, user)
    given = {"answer": "approve", "reason": "I looked it up", "digest": asked.digest}

    answer = client_as("operator").post(
        f"/approvals/{asked.pk}/decide/",
        {**given, "nonce": NONCE, "passkey": passkey},
        HTTP_HOST="localhost",
    )

    assert answer.status_code == 422
    assert "I looked it up" in answer.content.decode()
    assert not Vote.objects.exists()
