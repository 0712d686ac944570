"""Files of keys that are not what they have to be: answers are refused or asked for again in words,
nobody is accused, and whoever can mend it is told."""

from __future__ import annotations

import base64
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import transaction
from django.test import Client

from apps.accounts.models import User
from apps.audit.models import Event
from apps.oversight import adapters, services
from apps.oversight.models import Approval, Vote
from tests.factories.approvals import ApprovalFactory
from tests.factories.policy import published
from tests.oversight.test_gate import Step, approve
from tests.policy.texts import SCHEMA, document

pytestmark = pytest.mark.django_db
People = dict[str, User]
PAYLOAD = {"decision": "approved"}


@pytest.fixture(autouse=True)
def key(settings: Any, tmp_path: Path) -> Path:
    """A private key of its own, which has signed; its ring is ``ring``."""
    settings.APPROVAL_KEY_FILE = str(tmp_path / "key")
    settings.APPROVAL_KEYRING_FILE = str(tmp_path / "ring")
    adapters.sign(PAYLOAD)
    return tmp_path / "key"


@pytest.fixture
def ring(key: Path) -> Path:
    return key.with_name("ring")


def empty(path: Path) -> None:
    path.write_bytes(b"")


def half(path: Path) -> None:
    path.write_text(path.read_text()[:20])


def no_text(path: Path) -> None:
    path.write_bytes(b"\xff\xfe\x00")


def folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def circle(path: Path) -> None:
    path.unlink()
    path.symlink_to(path)


def nowhere(path: Path) -> None:
    path.unlink()
    path.symlink_to("/nowhere/at/all")


SPOILT = (empty, half, no_text, folder, circle, nowhere)
UNREADABLE = (folder, circle, nowhere)  # also for a ring, in which what is no line is none
Spoil = Callable[[Path], None]


@pytest.mark.parametrize("spoil", SPOILT)
def test_a_spoilt_private_key_stops_no_answer_that_was_given(
    people: People, key: Path, spoil: Spoil, client_as: Callable[[str], Client]
) -> None:
    approval = ApprovalFactory.create()
    approve(approval.pk, people["operator"])
    spoil(key)

    page = client_as("operator").get(f"/approvals/{approval.pk}/").content.decode()
    with transaction.atomic():
        used = services.consume_batch([(approval.pk, approval.digest)])

    assert used == {approval.pk: ["operator"]}
    assert "the signature fits this answer" in page


@pytest.mark.parametrize("spoil", SPOILT)
def test_an_answer_that_cannot_be_signed_is_refused_in_words(
    people: People, key: Path, spoil: Spoil, client_as: Callable[[str], Client]
) -> None:
    approval = ApprovalFactory.create()
    spoil(key)
    given = {"answer": "reject", "reason": "too dear", "digest": approval.digest}

    answer = client_as("operator").post(
        f"/approvals/{approval.pk}/decide/", {**given, "nonce": "n" * 10}
    )

    assert answer.status_code == 503
    for words in ("be signed or checked here", str(key), "too dear"):
        assert words in answer.content.decode()
    assert Approval.objects.get(pk=approval.pk).state == "pending"
    assert not Vote.objects.exists()
    assert str(key) in client_as("admin").get("/system/").content.decode()


@pytest.mark.parametrize("spoil", UNREADABLE)
def test_an_answer_that_cannot_be_checked_is_asked_for_again_and_nobody_is_accused(
    people: People, ring: Path, spoil: Spoil, client_as: Callable[[str], Client]
) -> None:
    published("toys", text=document(), schema=SCHEMA)
    step = Step()
    held = step.at_the_gate(facts={"own": True})
    approve(held.approval_id, people["operator"])
    spoil(ring)

    page = client_as("operator").get(f"/approvals/{held.approval_id}/").content.decode()
    again = step.at_the_gate(facts={"own": True}, approval_id=held.approval_id)

    assert "t be read: the signature was not checked" in page
    assert again.answer == "hold"
    asked = Approval.objects.get(pk=again.approval_id)
    assert "nobody could check who had signed" in asked.rules[0]["reason"]
    assert str(ring) in asked.rules[0]["reason"]
    old = Approval.objects.get(pk=held.approval_id)
    assert (old.state, old.signature_refused_at) == ("void", None)
    assert Event.objects.filter(kind="approval.not_checked", subject_id=str(old.pk)).exists()
    assert str(ring) in client_as("admin").get("/system/").content.decode()


@pytest.mark.parametrize("spoil", UNREADABLE)
def test_the_vote_of_another_outlives_a_ring_that_cannot_be_read(
    people: People, ring: Path, spoil: Spoil
) -> None:
    approval = ApprovalFactory.create(votes_required=2)
    approve(approval.pk, people["operator"])
    lines = ring.read_text()
    spoil(ring)

    with pytest.raises(adapters.KeyFileError):
        approve(approval.pk, people["operator2"])

    ring.rmdir() if ring.is_dir() else ring.unlink()
    ring.write_text(lines)
    approve(approval.pk, people["operator2"])
    assert Approval.objects.get(pk=approval.pk).state == "approved"


def test_a_machine_without_any_ring_accuses_nobody(ring: Path, key: Path) -> None:
    signature, key_id = adapters.sign(PAYLOAD)
    ring.unlink()
    key.unlink()

    with pytest.raises(adapters.KeyFileError, match="is not there"):
        adapters.verify(PAYLOAD, signature, key_id)
    with pytest.raises(CommandError, match="is not there"):
        call_command("approval_keys", "list")


def test_a_key_comes_back_into_a_ring_that_vanished_while_it_ran(ring: Path) -> None:
    signature, key_id = adapters.sign(PAYLOAD)
    ring.unlink()

    assert adapters.verify(PAYLOAD, signature, key_id)


def test_a_line_is_never_a_part_of_one_that_was_left_without_an_end(ring: Path) -> None:
    _, old = adapters.sign(PAYLOAD)
    ring.write_text(ring.read_text().rstrip("\n"))
    adapters.rotate()
    signature, new = adapters.sign(PAYLOAD)
    ring.write_text(ring.read_text().rstrip("\n"))
    adapters.revoke(old)

    assert adapters.verify(PAYLOAD, signature, new)
    assert adapters.ring()[old].revoked


@pytest.mark.parametrize("line", ["revoked {}", "revoked  {}  now", "\trevoked {}\r"])
def test_a_revocation_counts_however_its_line_was_typed(ring: Path, line: str) -> None:
    signature, key_id = adapters.sign(PAYLOAD)
    added = ring.read_text().split()[1]
    adapters.rotate()
    with ring.open("a") as file:
        file.write(line.format(added) + "\n")

    assert not adapters.verify(PAYLOAD, signature, key_id)


def test_nothing_is_signed_with_a_key_that_was_revoked_elsewhere(ring: Path) -> None:
    with ring.open("a") as file:
        file.write(f"revoked {ring.read_text().split()[1]} now\n")

    with pytest.raises(adapters.KeyFileError, match="rotate"):
        adapters.sign(PAYLOAD)
    assert "rotate" in adapters.trouble()
    adapters.rotate()
    assert adapters.verify(PAYLOAD, *adapters.sign(PAYLOAD))
    assert adapters.trouble() == ""


def test_a_ring_of_many_lines_a_long_one_and_foreign_ends(ring: Path) -> None:
    signature, key_id = adapters.sign(PAYLOAD)
    foreign = "".join(f"added {base64.b64encode(os.urandom(32)).decode()} t\r\n" for _ in range(99))
    ring.write_text(f"\ufeff{ring.read_text()}{foreign}{'x' * 1_000_000}\r\n", newline="")

    assert adapters.verify(PAYLOAD, signature, key_id)


def test_a_disk_that_is_full_leaves_the_key_that_signs(
    key: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = key.read_text()
    monkeypatch.setattr(os, "write", lambda *_: 5)

    with pytest.raises(CommandError, match="No space left"):
        call_command("approval_keys", "rotate")

    assert key.read_text() == before
    assert sorted(path.name for path in key.parent.iterdir()) == ["key", "ring"]
