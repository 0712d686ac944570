"""A bundle of the log is verified by one file without the tower, and each tampering is named."""

from __future__ import annotations

import base64
import hashlib
import importlib.util
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.conf import settings as product
from django.core.management import CommandError, call_command
from django.db import transaction
from django.urls import reverse
from hypothesis import given
from hypothesis import strategies as st

from apps.audit.domain.actors import Actor
from apps.audit.domain.checkpoint import read
from apps.audit.models import Event
from apps.audit.services import bundling, checkpointing, seal, signing
from apps.kernel.canonical import canonical_bytes
from apps.oversight import services as oversight
from apps.oversight.models import Approval, Vote
from tests.factories.accounts import UserFactory
from tests.factories.approvals import ApprovalFactory
from tests.factories.grants import coverable
from tests.factories.grants import given as grant_given
from tests.tampering import past_triggers

pytestmark = pytest.mark.django_db(transaction=True)
PROGRAM = Path(product.BASE_DIR) / "deploy" / "verify.py"
IDA = Actor.user("ida")
OK, CONTRADICTED, UNREADABLE, SHORT = range(4)
Lines = list[dict[str, Any]]


def load() -> Any:
    spec = importlib.util.spec_from_file_location("verify", PROGRAM)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


verify = load()


@pytest.fixture(autouse=True)
def place(settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    settings.APPROVAL_KEY_FILE = str(tmp_path / "key")
    settings.APPROVAL_KEYRING_FILE = str(tmp_path / "ring")
    settings.AUDIT_CHECKPOINTS = str(tmp_path / "checkpoints")
    monkeypatch.setattr(checkpointing, "is_due", lambda counted, since, count, now: count > counted)
    return tmp_path


@pytest.fixture
def lines(people: Any) -> Lines:
    """A log with odd events, two answers (one of two votes), and two checkpoints."""
    for number in range(4):
        Event.objects.create(
            kind="run.created",
            actor="user:ana",
            subject_type="run",
            subject_id=str(number),
            payload={"n": 2**60 + number, "f": 0.1, "é\U0001f600": ["\x01", None]},
        )
    for votes, names in ((1, ("operator",)), (2, ("operator", "operator2"))):
        approval = ApprovalFactory.create(votes_required=votes)
        for name in names:
            oversight.decide(
                approval_id=approval.pk,
                user=people[name],
                approve=True,
                reason="it is right",
                digest=approval.digest,
                nonce=name,
            )
    seal()
    checkpointing.checkpoint()
    Event.objects.create(kind="run.failed", actor="user:ana", subject_type="run", subject_id="9")
    seal()
    checkpointing.checkpoint()
    return [json.loads(line) for line in bundling.Bundle(0, IDA).lines()]


def judged(lines: Lines, place: Path, *options: str) -> tuple[int, str]:
    file = place / "bundle"
    file.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    return run(file, *options)


def run(file: Path, *options: str) -> tuple[int, str]:
    """As somebody runs it who has nothing but this file."""
    done = subprocess.run(
        [sys.executable, "-I", "-S", str(PROGRAM), str(file), *options],
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONIOENCODING": "utf-8"},
    )
    return done.returncode, done.stdout + done.stderr


def of(lines: Lines, kind: str) -> list[dict[str, Any]]:
    return [line[kind] for line in lines if kind in line]


def test_a_good_bundle_says_what_it_proves_and_what_it_does_not(lines: Lines, place: Path) -> None:
    code, said = judged(lines, place)

    assert (code, "WRONG" in said, "SHORT" in said) == (OK, False, False), said
    count = Event.objects.exclude(position=None).count()
    assert f"PROVED: events #1 to #{count} follow from one another" in said
    assert f"PROVED: up to #{count} they are those that a signed checkpoint counted" in said
    assert "PROVED: 2 answers, each with its votes" in said
    assert "NOT PROVED: that the keys are the tower's" in said
    assert "NOT PROVED: that no newer event was cut off" in said

    kept = ("--ring", str(place / "ring"), "--checkpoints", str(place / "checkpoints"))
    code, said = judged(lines, place, *kept)
    assert code == OK, said
    assert "the tower's" not in said
    assert "cut off" not in said


def content(number: int, change: Callable[[dict[str, Any]], object]) -> Callable[[Lines], None]:
    """Change an event and give it the hash that fits."""

    def tamper(lines: Lines) -> None:
        event = of(lines, "event")[number]
        inside = json.loads(event["hashed"])
        change(inside)
        event["hashed"] = canonical_bytes(inside).decode()
        digest = hashlib.sha256(b"tower.audit.v1\x00" + event["hashed"].encode())
        event["hash"] = digest.hexdigest()

    return tamper


def chained_anew(lines: Lines) -> None:
    """The whole log written anew, hashes included."""
    previous = "0" * 64
    for event in of(lines, "event"):
        inside = json.loads(event["hashed"])
        inside["prev"], inside["event"]["actor"] = previous, "user:eve"
        event["hashed"] = canonical_bytes(inside).decode()
        digest = hashlib.sha256(b"tower.audit.v1\x00" + event["hashed"].encode())
        previous = event["hash"] = digest.hexdigest()


def edited(lines: Lines) -> None:
    event = of(lines, "event")[2]
    event["hashed"] = event["hashed"].replace("user:ana", "user:eve")


def without(kind: str, number: int = 1) -> Callable[[Lines], None]:
    def tamper(lines: Lines) -> None:
        lines.remove([line for line in lines if kind in line][number])

    return tamper


def swapped(lines: Lines) -> None:
    places = [n for n, line in enumerate(lines) if "event" in line]
    lines[places[1]], lines[places[2]] = lines[places[2]], lines[places[1]]


def doubled(lines: Lines) -> None:
    place = next(n for n, line in enumerate(lines) if "event" in line)
    lines.insert(place, lines[place])


def cut_with_an_end(lines: Lines) -> None:
    """The last event and its checkpoint gone, and the end says so."""
    lines.remove([line for line in lines if "event" in line][-1])
    lines.remove([line for line in lines if "checkpoint" in line][-1])
    end = lines[-1]["end"]
    end["counts"]["event"] -= 1
    end["counts"]["checkpoint"] -= 1


def field(kind: str, *path: str, to: Any) -> Callable[[Lines], None]:
    def tamper(lines: Lines) -> None:
        value = of(lines, kind)[-1]
        for step in path[:-1]:
            value = value[int(step)] if isinstance(value, list) else value[step]
        value[path[-1]] = to(value[path[-1]]) if callable(to) else to

    return tamper


def vote_taken_out(lines: Lines) -> None:
    of(lines, "approval")[-1]["votes"].pop()


def vote_of_another_question(lines: Lines) -> None:
    one, other = of(lines, "approval")
    other["votes"][0] = one["votes"][0]


def exchanged_answers(lines: Lines) -> None:
    one, other = of(lines, "approval")
    one["decision"], other["decision"] = other["decision"], one["decision"]


def foreign_key(lines: Lines) -> None:
    """All signatures of the checkpoints by a key of somebody else, under the tower's id."""
    key = Ed25519PrivateKey.generate()
    for mark in of(lines, "checkpoint"):
        payload = {name: mark[name] for name in ("v", "count", "head", "at")}
        signature = key.sign(b"tower.audit.checkpoint.v1\x00" + canonical_bytes(payload))
        mark["signature"] = base64.b64encode(signature).decode()


def revoked(lines: Lines) -> None:
    of(lines, "key")[0]["revoked"] = "2026-01-01"


CONTRADICTIONS: dict[str, tuple[Callable[[Lines], None], str]] = {
    "an event edited": (edited, "the content of event #3 doesn't fit its hash"),
    "edited and hashed": (
        content(2, lambda inside: inside["event"].update(actor="user:eve")),
        "event #4 doesn't follow from the one before it",
    ),
    "all written anew": (chained_anew, "isn't the one of the checkpoint of"),
    "an event missing": (without("event", 2), "event #4 stands where #3 belongs"),
    "the first event missing": (without("event", 0), "event #2 stands where #1 belongs"),
    "two events swapped": (swapped, "event #3 stands where #2 belongs"),
    "an event twice": (doubled, "event #1 stands where #2 belongs"),
    "a checkpoint's count": (
        field("checkpoint", "count", to=3),
        "the checkpoint of 3 events isn't signed by a key that counts",
    ),
    "a checkpoint's head": (field("checkpoint", "head", to="0" * 64), "isn't signed by a key"),
    "a checkpoint's time": (field("checkpoint", "at", to="2020-01-01"), "isn't signed by a key"),
    "a checkpoint of another key": (foreign_key, "isn't signed by a key that counts"),
    "a checkpoint missing": (without("checkpoint"), "it says that it has 2 entries “checkpoint”"),
    "a key revoked": (revoked, "isn't signed by a key that counts"),
    "a key missing": (without("key", 0), "isn't signed by a key that counts"),
    "an answer missing": (without("approval"), "was approved; it isn't in the bundle"),
    "an answer turned round": (
        field("approval", "state", to="rejected"),
        "what was signed is another answer",
    ),
    "the arguments": (
        field("approval", "binding", to=lambda text: text.replace("Q69X3R", "Q69X3S")),
        "what it is bound to isn't what was signed",
    ),
    "what was shown": (
        field("approval", "shown", to=lambda text: text.replace("sentence", "sentense")),
        "what people were shown isn't what was signed",
    ),
    "the reason": (field("approval", "reason", to="no"), "the reason isn't the one"),
    "the signed text": (
        field("approval", "decision", "signed", to=lambda text: text.replace("operator", "eve")),
        "isn't signed by a key that counts",
    ),
    "a vote's text": (
        field("approval", "votes", "0", "signed", to=lambda t: t.replace("approve", "reject")),
        "a vote isn't signed by a key that counts",
    ),
    "a vote taken out": (vote_taken_out, "its votes aren't those that the answer was signed over"),
    "a vote of another question": (vote_of_another_question, "is to another question"),
    "two answers exchanged": (exchanged_answers, "what was signed is another answer"),
}


@pytest.mark.parametrize("name", CONTRADICTIONS)
def test_each_tampering_is_named(name: str, lines: Lines, place: Path) -> None:
    tamper, why = CONTRADICTIONS[name]
    tamper(lines)

    code, said = judged(lines, place)

    assert code == CONTRADICTED, said
    assert why in said
    assert not [line for line in said.splitlines() if line.startswith("PROVED")]


def test_what_you_keep_yourself_shows_a_cut_tail_and_keys_that_were_made_up(
    lines: Lines, place: Path
) -> None:
    kept = ("--checkpoints", str(place / "checkpoints"))
    cut_with_an_end(lines)
    assert judged(lines, place)[0] == OK  # nobody can know, and it says so
    code, said = judged(lines, place, *kept)
    assert code == CONTRADICTED
    assert "your checkpoint counts" in said

    lines[-1]["end"]["at_end"] = False  # so it claims nothing about the end of the log
    code, said = judged(lines, place, *kept)
    assert code == SHORT
    assert "SHORT: your checkpoint counts" in said
    code, said = judged(lines, place)
    assert code == SHORT
    assert "doesn't say that it goes up to the end" in said

    other = place / "other-ring"
    raw = Ed25519PrivateKey.generate().public_key().public_bytes_raw()
    other.write_text(f"added {base64.b64encode(raw).decode()} 2026-01-01\n")
    assert judged(lines, place, "--ring", str(other))[0] == CONTRADICTED


def test_of_two_checkpoints_of_one_place_each_has_to_fit(lines: Lines, place: Path) -> None:
    """As where somebody wrote the log anew with the key: the first is the evidence."""
    last = read((place / "checkpoints").read_text().splitlines()[-1])
    kept = place / "kept"
    kept.write_text(f"{signing.signed(replace(last, head='f' * 64)).line}\n{last.line}\n")

    code, said = judged(lines, place, "--checkpoints", str(kept))

    assert code == CONTRADICTED, said
    assert "isn't the one of your checkpoint" in said


def test_one_that_was_cut_off_is_short_and_what_is_no_bundle_is_said(
    lines: Lines, place: Path
) -> None:
    assert judged(lines[:-1], place)[0] == SHORT
    file = place / "bundle"
    file.write_bytes(file.read_bytes()[:-40])
    code, said = run(file)
    assert (code, "SHORT: the bundle has no end" in said) == (SHORT, True)

    for text in ("", "[]\n", "{}\n", "hello\n", '{"event": {}}\n', '{"bundle": {"v": 2}}\n'):
        file.write_text(text)
        code, said = run(file)
        assert code == UNREADABLE, (text, said)
        assert "can't be verified" in said
    assert run(place / "nowhere")[0] == UNREADABLE


def test_one_that_is_bounded_says_where_the_next_begins(lines: Lines, place: Path) -> None:
    first = [json.loads(line) for line in bundling.Bundle(0, IDA, most=3).lines()]
    code, said = judged(first, place)
    assert code == SHORT
    assert "the next one begins after #3" in said

    rest = [json.loads(line) for line in bundling.Bundle(3, IDA).lines()]
    code, said = judged(rest, place)
    assert code == OK, said
    assert "NOT PROVED: anything up to event #3" in said


def test_an_answer_that_was_forged_in_the_database_is_named(place: Path, people: Any) -> None:
    approval = ApprovalFactory.create(state="approved", decided_by=people["operator"])
    Approval.objects.filter(pk=approval.pk).update(decided_at=approval.created_at)
    Event.objects.create(
        kind="approval.approved", actor="a", subject_type="approval", subject_id=str(approval.pk)
    )
    with past_triggers("approvals_vote"):
        Vote.objects.create(
            approval=approval, user=people["operator"], approve=True, digest="d", nonce="n"
        )
    seal()
    checkpointing.checkpoint()

    code, said = judged([json.loads(x) for x in bundling.Bundle(0, IDA).lines()], place)

    assert code == CONTRADICTED
    assert f"the answer of approval {approval.pk} isn't signed by a key that counts" in said


def test_a_use_of_a_grant_is_proved_by_two_people_and_any_change_is_named(place: Path) -> None:
    first, second = UserFactory.create_batch(2, role="operator")
    grant_given(coverable("S"), first, second, opened={"arguments.reservation_id": ("any", "")})
    asked = coverable("Q")
    with transaction.atomic():
        oversight.cover({asked.pk: asked.tool_name})
    seal()
    checkpointing.checkpoint()
    whole = [json.loads(x) for x in bundling.Bundle(0, IDA).lines()]
    code, said = judged(whole, place)
    assert code == OK, said

    for change in CHANGES_OF_A_USE:
        altered = json.loads(json.dumps(whole))
        change(of(altered, "approval")[0])
        code, said = judged(altered, place)
        assert code == CONTRADICTED, said
        assert f"approval {asked.pk}" in said


CHANGES_OF_A_USE: list[Callable[[dict[str, Any]], None]] = [
    lambda v: v["grant"].update(bounds=v["grant"]["bounds"].replace("10000", "90000")),
    lambda v: v["grant"]["confirmation"].update(v["grant"]["proposal"]),
    lambda v: v["decision"].update(signature=v["grant"]["confirmation"]["signature"]),
    lambda v: v.update(binding=v["binding"].replace("bags", "sacks")),
    lambda v: v.update(shown=v["shown"].replace("bags", "sacks")),
]


def test_people_take_it_away_from_the_page_and_that_is_an_event(
    lines: Lines, client_as: Any, place: Path
) -> None:
    client = client_as("auditor")
    assert client.get(reverse("audit:bundle")).status_code == 405
    assert client_as("operator").post(reverse("audit:bundle")).status_code == 403
    assert client.post(reverse("audit:bundle"), {"after": "x"}).status_code == 422

    answer = client.post(reverse("audit:bundle"), {"after": "2"})
    file = place / "taken"
    file.write_bytes(answer.getvalue())
    program = client.get(reverse("audit:verifier"))

    assert run(file)[0] == OK
    assert program.content == PROGRAM.read_bytes()
    taken = Event.objects.get(kind="evidence.exported")
    assert (taken.actor, taken.subject_id) == ("user:auditor", "bundle")
    assert taken.payload["after"] == 2


def test_the_command_writes_one_whole_or_says_that_it_ends_short(
    lines: Lines, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = place / "out"
    call_command("audit", "bundle", str(file), stdout=StringIO())
    assert run(file)[0] == OK

    monkeypatch.setattr(bundling, "MOST_EVENTS", 2)
    with pytest.raises(CommandError, match="ends short: it holds 2 events") as caught:
        call_command("audit", "bundle", str(file), stdout=StringIO())
    assert caught.value.returncode == SHORT


@given(st.binary(max_size=80), st.integers(0, 511))
def test_signatures_are_verified_without_a_library_too(message: bytes, bit: int) -> None:
    key = Ed25519PrivateKey.from_private_bytes(hashlib.sha256(message).digest())
    public, signature = key.public_key().public_bytes_raw(), key.sign(message)

    assert verify.slow_signs_for(public, message, signature)
    flipped = bytearray(signature)
    flipped[bit // 8] ^= 1 << bit % 8
    for other in (bytes(flipped), signature[:-1], b""):
        assert not verify.slow_signs_for(public, message, other)
    assert not verify.slow_signs_for(public, message + b"x", signature)
    assert not verify.slow_signs_for(b"\xff" * 32, message, signature)
