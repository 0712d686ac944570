"""Keys that sign decisions: made once, replaced, revoked; and what a foreign key proves."""

from __future__ import annotations

import base64
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.core.management import CommandError, call_command

from apps.audit.models import Event
from apps.oversight import adapters

PAYLOAD = {"decision": "approved", "digest": "d" * 64}


@pytest.fixture(autouse=True)
def own_keys(settings: Any, tmp_path: Path) -> Path:
    settings.APPROVAL_KEY_FILE = str(tmp_path / "approval.key")
    settings.APPROVAL_KEYRING_FILE = str(tmp_path / "approval.key.ring")
    return tmp_path


def test_what_is_signed_is_verified_by_the_ring_and_nothing_else_is() -> None:
    signature, key_id = adapters.sign(PAYLOAD)

    assert adapters.verify(PAYLOAD, signature, key_id)
    assert not adapters.verify({**PAYLOAD, "decision": "rejected"}, signature, key_id)
    assert not adapters.verify(PAYLOAD, signature, "0" * 16)
    assert not adapters.verify(PAYLOAD, "no base64 at all", key_id)
    assert not adapters.verify(PAYLOAD, base64.b64encode(b"x" * 64).decode(), key_id)


def test_a_key_that_the_ring_does_not_know_proves_nothing(settings: Any, tmp_path: Path) -> None:
    signature, key_id = adapters.sign(PAYLOAD)
    settings.APPROVAL_KEY_FILE = str(tmp_path / "of another machine")
    settings.APPROVAL_KEYRING_FILE = str(tmp_path / "its ring")
    adapters.sign(PAYLOAD)

    assert not adapters.verify(PAYLOAD, signature, key_id)


def test_whoever_only_verifies_needs_no_private_key_and_makes_none(
    settings: Any, tmp_path: Path
) -> None:
    signature, key_id = adapters.sign(PAYLOAD)
    settings.APPROVAL_KEY_FILE = str(tmp_path / "none here")

    assert adapters.verify(PAYLOAD, signature, key_id)
    assert not (tmp_path / "none here").exists()


def test_a_replaced_keys_signatures_still_count_and_a_revoked_ones_do_not() -> None:
    old, old_id = adapters.sign(PAYLOAD)
    new_id = adapters.rotate()
    new, signed_with = adapters.sign(PAYLOAD)

    assert signed_with == new_id != old_id
    assert adapters.verify(PAYLOAD, old, old_id)
    adapters.revoke(old_id)
    assert not adapters.verify(PAYLOAD, old, old_id)
    assert adapters.verify(PAYLOAD, new, new_id)


def test_the_key_that_signs_now_cannot_be_revoked_nor_one_that_nobody_knows() -> None:
    _, key_id = adapters.sign(PAYLOAD)

    with pytest.raises(ValueError, match="rotate first"):
        adapters.revoke(key_id)
    with pytest.raises(LookupError, match="no key"):
        adapters.revoke("0" * 16)


def test_where_no_key_signs_none_is_revoked(settings: Any, tmp_path: Path) -> None:
    """A machine that only verifies can't tell whether it is the one that signs now."""
    signature, key_id = adapters.sign(PAYLOAD)
    settings.APPROVAL_KEY_FILE = str(tmp_path / "none here")

    with pytest.raises(CommandError, match="revoke where it lies"):
        call_command("approval_keys", "revoke", key_id)
    assert adapters.verify(PAYLOAD, signature, key_id)


def test_a_line_of_the_ring_cannot_call_its_key_otherwise(tmp_path: Path) -> None:
    """Ids are computed from keys; what is no line is none; a revocation can't be taken back."""
    _, key_id = adapters.sign(PAYLOAD)
    foreign = Ed25519PrivateKey.generate()
    encoded = base64.b64encode(foreign.public_key().public_bytes_raw()).decode()
    ring = tmp_path / "approval.key.ring"
    own = ring.read_text().split()[1]
    with ring.open("a") as file:
        file.write(f"nonsense\nadded {key_id} now\nadded\n\x00\nrevoked {encoded} t1\n")
        file.write(f"added {encoded} t2\nadded {own} again\n")

    known = adapters.ring()

    assert set(known) == {key_id, adapters.key_id_of(foreign.public_key())}
    assert known[adapters.key_id_of(foreign.public_key())].revoked == "t1"


def test_a_key_older_than_its_ring_comes_into_it(tmp_path: Path) -> None:
    signature, key_id = adapters.sign(PAYLOAD)
    (tmp_path / "approval.key.ring").unlink()
    os.utime(tmp_path / "approval.key", ns=(1, 1))  # as another process finds it

    assert adapters.verify(PAYLOAD, signature, key_id)


def test_a_key_older_than_its_ring_is_kept_when_it_is_replaced(tmp_path: Path) -> None:
    """The first thing that is done after an upgrade may be that."""
    signature, key_id = adapters.sign(PAYLOAD)
    (tmp_path / "approval.key.ring").unlink()
    os.utime(tmp_path / "approval.key", ns=(1, 1))  # as another process finds it

    adapters.rotate()

    assert adapters.verify(PAYLOAD, signature, key_id)


def test_private_keys_are_for_their_owner_only(tmp_path: Path) -> None:
    adapters.sign(PAYLOAD)
    adapters.rotate()

    assert (tmp_path / "approval.key").stat().st_mode & 0o777 == 0o600
    assert sorted(p.name for p in tmp_path.iterdir()) == ["approval.key", "approval.key.ring"]


def test_processes_that_start_at_once_sign_with_one_key(own_keys: Path) -> None:
    program = (
        "import django; django.setup()\n"
        "from apps.oversight import adapters\n"
        "print(adapters.sign({'a': 1})[1])"
    )
    env = {
        **os.environ,
        "TOWER_APPROVAL_KEY_FILE": str(own_keys / "approval.key"),
        "DJANGO_SETTINGS_MODULE": "controltower.settings",
    }
    started = [
        subprocess.Popen([sys.executable, "-c", program], env=env, stdout=subprocess.PIPE)
        for _ in range(4)
    ]
    ids = {process.communicate()[0].decode().strip() for process in started}

    assert len(ids) == 1
    assert set(adapters.ring()) == ids


@pytest.mark.django_db
def test_the_command_lists_replaces_and_revokes(capsys: pytest.CaptureFixture[str]) -> None:
    _, first = adapters.sign(PAYLOAD)
    call_command("approval_keys", "rotate")
    call_command("approval_keys", "revoke", first)
    capsys.readouterr()

    call_command("approval_keys", "list")

    old, new = capsys.readouterr().out.splitlines()
    assert old.startswith(first)
    assert ", revoked 20" in old
    assert "revoked" not in new
    kinds = (
        Event.objects.filter(subject_type="approval_key")
        .order_by("id")
        .values_list("kind", flat=True)
    )
    assert list(kinds) == ["approval_key.rotated", "approval_key.revoked"]
    with pytest.raises(CommandError, match="no key"):
        call_command("approval_keys", "revoke", "nobody")
