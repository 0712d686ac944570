"""Where hidden values lie, and what becomes of them without their keys."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from cryptography.fernet import Fernet
from django.core.management import CommandError, call_command
from django.db import transaction

from apps.audit.models import Event
from apps.redaction import adapters, services
from apps.redaction.domain.hidden import Hidden
from apps.redaction.models import HiddenValue
from apps.redaction.services import storing
from apps.redaction.services.storing import unsealed

pytestmark = pytest.mark.django_db
VALUE = {"dob": "1969-07-20"}


@pytest.fixture(autouse=True)
def key_file(settings: Any, tmp_path: Path) -> Path:
    settings.REDACTION_KEY_FILE = str(tmp_path / "keys" / "redaction.keys")
    return Path(settings.REDACTION_KEY_FILE)


def kept(root: UUID) -> str:
    """The token of ``VALUE``, kept for this run."""
    hidden = services.opened({root: ["dob"]})[root]
    token = hidden.proposed(VALUE)["dob"]
    with transaction.atomic():
        services.keep([hidden, None])
    return str(token)


def test_what_is_kept_is_found_again_by_its_run_only(key_file: Path) -> None:
    mine, other = uuid4(), uuid4()
    token = kept(mine)

    found = services.opened({mine: ["dob"], other: ["dob"]})

    assert found[mine].real({"dob": token}) == VALUE
    with pytest.raises(ValueError, match="doesn't know"):
        found[other].real({"dob": token})
    assert key_file.stat().st_mode & 0o777 == 0o600


def test_equal_values_of_different_runs_have_equal_tokens() -> None:
    assert kept(uuid4()) == kept(uuid4())


def test_the_table_holds_no_value() -> None:
    kept(uuid4())

    assert "1969" not in str(list(HiddenValue.objects.values()))


def test_runs_that_hide_nothing_cost_no_query(django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(0):
        assert services.opened({}) == {}


def test_what_a_root_hid_is_known_to_a_branch_whose_contract_hides_nothing() -> None:
    root = uuid4()
    token = kept(root)

    assert services.opened({root: []})[root].real(token) == VALUE["dob"]
    assert services.opened({uuid4(): []}) == {}


def test_branches_know_what_their_root_hid_and_hide_by_their_own_names() -> None:
    root, one, other = uuid4(), uuid4(), uuid4()
    token = kept(root)

    found = services.opened({one: ["dob"], other: ["zip"]}, {one: root, other: root})

    assert [h.owner for h in found.values()] == [root, root]
    assert all(h.real(token) == VALUE["dob"] for h in found.values())
    document = {"dob": "1930-01-20", "zip": "90210-1"}
    assert found[one].proposed(document)["zip"] == document["zip"]
    assert found[other].proposed(document)["dob"] == document["dob"]
    assert [list(h.fresh.values()) for h in found.values()] == [["1930-01-20"], ["90210-1"]]


def test_what_was_rolled_back_is_kept_by_the_next_transaction(
    django_capture_on_commit_callbacks: Any,
) -> None:
    root = uuid4()
    hidden = services.opened({root: ["dob"]})[root]
    hidden.learn(VALUE)
    with transaction.atomic():
        services.keep([hidden])
        transaction.set_rollback(True)
    assert HiddenValue.objects.count() == 0

    with django_capture_on_commit_callbacks(execute=True), transaction.atomic():
        services.keep([hidden])

    assert HiddenValue.objects.count() == 1
    assert hidden.fresh == {}


def test_what_is_learnt_while_others_are_written_is_kept_by_the_next_transaction(
    django_capture_on_commit_callbacks: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    hidden = services.opened({uuid4(): ["dob"]}).popitem()[1]
    hidden.learn([VALUE, {"dob": "1930-08-05"}])
    seal = storing._sealed

    def sealed_while_a_call_comes_back(*args: Any) -> str:
        hidden.learn({"dob": "1930-01-20"})
        return seal(*args)

    monkeypatch.setattr(storing, "_sealed", sealed_while_a_call_comes_back)
    with django_capture_on_commit_callbacks(execute=True), transaction.atomic():
        services.keep([hidden])

    assert HiddenValue.objects.count() == 2
    assert list(hidden.fresh.values()) == ["1930-01-20"]


def test_without_its_file_nothing_is_opened_and_no_other_is_made(key_file: Path) -> None:
    root = uuid4()
    kept(root)
    key_file.unlink()

    with pytest.raises(adapters.RedactionKeyError, match="is not there, though values are"):
        services.opened({root: ["dob"]})
    assert not key_file.exists()


@pytest.mark.parametrize("text", ["", "join x\nseal y\n", "join\n", "seal only\n"])
def test_a_file_that_holds_no_keys_is_said(key_file: Path, text: str) -> None:
    key_file.parent.mkdir()
    key_file.write_text(text)

    with pytest.raises(adapters.RedactionKeyError, match="holds no keys"):
        services.opened({uuid4(): ["dob"]})


def test_a_row_that_was_moved_to_another_run_or_token_is_refused() -> None:
    mine, other = uuid4(), uuid4()
    token = kept(mine)
    row = HiddenValue.objects.get()

    for owner, name in [(other, token), (mine, f"⟦dob:{'0' * 32}⟧")]:
        with pytest.raises(adapters.RedactionKeyError, match="can't be opened"):
            unsealed(owner, name, row.sealed)
    with pytest.raises(adapters.RedactionKeyError, match="can't be opened"):
        unsealed(mine, token, row.sealed[:-4])


def test_a_new_key_seals_what_is_kept_anew_and_tokens_stay(key_file: Path) -> None:
    root = uuid4()
    token = kept(root)
    before = HiddenValue.objects.get().sealed
    first = key_file.read_text().splitlines()

    call_command("redaction_keys", "rotate")

    after = HiddenValue.objects.get().sealed
    assert after != before
    lines = key_file.read_text().splitlines()
    key_file.write_text("\n".join([lines[0], lines[2]]))  # the old one may go now
    assert unsealed(root, token, after) == VALUE["dob"]
    assert services.opened({root: ["dob"]})[root].proposed(VALUE)["dob"] == token
    assert lines[:2] == first
    assert Event.objects.get(kind="redaction_key.rotated").payload["values"] == 1


def test_a_hidden_object_has_no_key_or_value_in_what_it_looks_like() -> None:
    hidden = services.opened({uuid4(): ["dob"]}).popitem()[1]
    hidden.learn(VALUE)

    assert isinstance(hidden, Hidden)
    assert "1969" not in repr(hidden)


def test_of_two_who_rotate_at_once_no_key_is_lost(
    key_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = uuid4()
    token = kept(root)
    new, before = Fernet.generate_key, key_file.stat()

    def while_another_does() -> bytes:
        monkeypatch.setattr(Fernet, "generate_key", new)
        call_command("redaction_keys", "rotate")
        return new()

    monkeypatch.setattr(Fernet, "generate_key", while_another_does)
    adapters.rotate()

    assert len(key_file.read_text().splitlines()) == 4
    assert services.opened({root: ["dob"]})[root].real(token) == VALUE["dob"]
    assert key_file.stat().st_ino == before.st_ino, "it stays its owner's"


def test_a_value_that_no_key_opens_keeps_no_other_from_being_sealed_anew(key_file: Path) -> None:
    first, other = uuid4(), uuid4()
    for root in (first, other):
        kept(root)
    lost = HiddenValue.objects.get(root_id=first)
    HiddenValue.objects.filter(pk=lost.pk).update(sealed=Fernet(Fernet.generate_key()).encrypt(b""))
    before = HiddenValue.objects.get(root_id=other).sealed

    with pytest.raises(CommandError, match="1 values are opened by no key"):
        call_command("redaction_keys", "rotate")

    assert HiddenValue.objects.get(root_id=other).sealed != before
    assert Event.objects.get(kind="redaction_key.rotated").payload == {"values": 1, "unopened": 1}


def test_a_pipe_is_no_file_of_keys(key_file: Path) -> None:
    key_file.parent.mkdir()
    os.mkfifo(key_file)

    with pytest.raises(adapters.RedactionKeyError, match="is no ordinary file"):
        services.opened({uuid4(): ["dob"]})
