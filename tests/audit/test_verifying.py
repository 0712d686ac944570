"""The log is rewritten in SQL, past every trigger; each way is found, at its place."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.urls import reverse
from django.utils import timezone

from apps.audit import registry, selectors
from apps.audit.domain import chain
from apps.audit.domain.actors import Actor
from apps.audit.domain.checkpoint import SignedHead, is_due, read
from apps.audit.models import Checkpoint, Event, Verification
from apps.audit.registry import Signer
from apps.audit.services import checkpointing, seal, signing, verifying
from apps.audit.services.standing import standing
from apps.kernel.errors import ConflictError
from apps.ops.selectors import troubles
from tests.tampering import past_triggers

pytestmark = pytest.mark.django_db(transaction=True)
IDA = Actor.user("ida")


@pytest.fixture(autouse=True)
def place(settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keys and checkpoints of the test's own; a checkpoint is due with each event."""
    settings.APPROVAL_KEY_FILE = str(tmp_path / "key")
    settings.APPROVAL_KEYRING_FILE = str(tmp_path / "ring")
    settings.AUDIT_CHECKPOINTS = str(tmp_path / "checkpoints")
    monkeypatch.setattr(checkpointing, "is_due", lambda counted, since, count, now: count > counted)
    return tmp_path / "checkpoints"


def happen(count: int = 1, kind: str = "run.created") -> None:
    for _ in range(count):
        Event.objects.create(kind=kind, actor="user:ana", subject_type="run", subject_id="7")
    seal()


def change(sql: str, *params: object) -> None:
    with past_triggers("audit_event"), connection.cursor() as cursor:
        cursor.execute(sql, params)


def restamp(after: int = 0) -> None:
    """Hash everything anew, as the sealer would have."""
    previous = selectors.hash_at(after) or chain.GENESIS
    for row in selectors.sealed_after(after, limit=1000):
        previous = chain.link(previous, row.position or 0, selectors.content(row))
        change("UPDATE audit_event SET hash = %s WHERE id = %s", previous, row.pk)


def told() -> list[str]:
    return [one.sentence for one in troubles._log(None)]  # type: ignore[arg-type]  # asks nothing


def found_in_full() -> tuple[int | None, str]:
    row = verifying.ask_for_all(IDA)
    while row.ended_at is None:
        verifying.go_on(row, budget_s=0.1)
        row.refresh_from_db()
    return row.broken_at, row.problem


@pytest.fixture
def log() -> None:
    """Thirty events with three checkpoints, followed up to the end."""
    for _ in range(3):
        happen(10)
        assert checkpointing.checkpoint() == 1
    verifying.verify_on()
    assert standing().broken is None
    assert found_in_full() == (None, "")


def edit() -> None:
    change("UPDATE audit_event SET actor = 'user:eve' WHERE position = 7")


def edit_and_restamp() -> None:
    edit()
    restamp(6)


def delete_in_the_middle() -> None:
    change("DELETE FROM audit_event WHERE position = 7")


def delete_and_close_the_gap() -> None:
    change("DELETE FROM audit_event WHERE position = 7")
    for position in range(8, 31):  # one by one: each is unique
        change("UPDATE audit_event SET position = %s WHERE position = %s", position - 1, position)
    restamp(6)


def cut_the_tail() -> None:
    change("DELETE FROM audit_event WHERE position > 25")


def cut_and_append() -> None:
    cut_the_tail()
    happen(9, "run.finished")


def rewrite_all() -> None:
    change("UPDATE audit_event SET actor = 'user:eve'")
    restamp()


def empty() -> None:
    change("TRUNCATE audit_event CASCADE")


def empty_and_begin_anew() -> None:
    empty()
    happen(31, "run.finished")


def insert_in_the_middle() -> None:
    for position in range(30, 14, -1):
        change("UPDATE audit_event SET position = %s WHERE position = %s", position + 1, position)
    change(
        "INSERT INTO audit_event (at, kind, actor, subject_type, subject_id, payload, position,"
        " hash) VALUES (now(), 'approval.approved', 'user:eve', 'approval', '1', '{}', 15, '')"
    )
    restamp(14)


def insert_at_the_end() -> None:
    change(
        "INSERT INTO audit_event (at, kind, actor, subject_type, subject_id, payload, position,"
        " hash) VALUES (now(), 'approval.approved', 'user:eve', 'approval', '1', '{}', 31,"
        " repeat('a', 64))"
    )


TAMPERINGS: list[tuple[Callable[[], None], int, str, bool]] = [
    # how, where it is found, by what, and whether the rolling verification finds it at once
    (edit, 7, "doesn't fit its hash", False),
    (edit_and_restamp, 10, "isn't the event that was there", True),
    (delete_in_the_middle, 7, "is missing", False),
    (delete_and_close_the_gap, 10, "isn't the event that was there", True),
    (cut_the_tail, 26, "had 30 events", True),
    (cut_and_append, 30, "isn't the event that was there", True),
    (rewrite_all, 10, "isn't the event that was there", True),
    (empty, 1, "had 30 events", True),
    (empty_and_begin_anew, 10, "isn't the event that was there", True),
    (insert_in_the_middle, 20, "isn't the event that was there", True),
    (insert_at_the_end, 31, "doesn't fit its hash", True),
]


@pytest.mark.usefixtures("log")
@pytest.mark.parametrize(
    ("tamper", "where", "why", "at_once"), TAMPERINGS, ids=lambda one: getattr(one, "__name__", "")
)
def test_each_way_of_rewriting_is_found_at_its_place(
    tamper: Callable[[], None], where: int, why: str, at_once: bool
) -> None:
    tamper()

    broken_at, problem = found_in_full()
    assert (broken_at, why in problem) == (where, True), problem

    verifying.verify_on()
    rolling = Verification.objects.get(kind="rolling")
    assert bool(rolling.problem) == at_once, rolling.problem


@pytest.mark.usefixtures("log")
@pytest.mark.parametrize(
    "tamper", [edit_and_restamp, cut_the_tail, cut_and_append, rewrite_all, empty]
)
def test_it_is_found_from_the_file_alone(tamper: Callable[[], None]) -> None:
    """Who owns the database takes its own checkpoints out too."""
    with past_triggers("audit_checkpoint"), connection.cursor() as cursor:
        cursor.execute("TRUNCATE audit_checkpoint")
    tamper()

    assert found_in_full()[1] != ""


@pytest.mark.usefixtures("log")
def test_nothing_is_signed_over_a_log_that_was_rewritten(place: Path) -> None:
    cut_and_append()
    before = place.read_text()

    with pytest.raises(ConflictError, match="doesn't hold what the checkpoint of its 30 events"):
        checkpointing.checkpoint()

    assert place.read_text() == before


@pytest.mark.usefixtures("log")
def test_a_line_that_somebody_wrote_without_the_key_proves_nothing(place: Path) -> None:
    last = read(place.read_text().splitlines()[-1])
    forged = SignedHead(12, "f" * 64, last.at, last.key_id, last.signature)
    with place.open("a") as file:
        file.write(f"no checkpoint\n{forged.line}\n")

    assert found_in_full() == (None, "")
    row = Verification.objects.filter(kind="full").latest("pk")
    assert row.notes[0] == "A checkpoint of 12 events is signed by no key we trust."
    assert row.notes[1].startswith("The file of checkpoints: line 4 can't be read")
    assert (len(row.notes), row.checkpoints) == (2, 3)


@pytest.mark.usefixtures("log")
@pytest.mark.parametrize("where", ["file", "database"])
def test_one_of_very_many_events_without_a_signature_hides_nothing(place: Path, where: str) -> None:
    """The application's role may add such a row, and its user such a line."""
    forged = SignedHead(2**63 - 1, "f" * 64, timezone.now(), "k", "s")
    if where == "file":
        with place.open("a") as file:
            file.write(f"{forged.line}\n")
    else:
        for less in range(12):  # more than are looked at in one go
            Checkpoint.objects.create(
                count=forged.count - less, head=forged.head, at=forged.at, key_id="k"
            )

    happen()
    count, _ = selectors.end_of_chain()
    assert checkpointing.checkpoint() == 1
    cut_the_tail()

    at, problem = found_in_full()
    assert (at, f"the log had {count} events at the checkpoint" in problem) == (26, True)


@pytest.mark.usefixtures("log")
def test_an_older_line_behind_the_last_one_hides_no_cut_tail(place: Path) -> None:
    """Whoever owns the database cuts its checkpoints too, and adds a line that was signed once."""
    with past_triggers("audit_checkpoint"), connection.cursor() as cursor:
        cursor.execute("TRUNCATE audit_checkpoint")
    first = place.read_text().splitlines()[0]
    with place.open("a") as file:
        file.write(f"{first}\n" * 400)  # more than the end of the file that is looked at each time
    cut_the_tail()

    assert found_in_full() == (26, "the log had 30 events at the checkpoint of " + _when(place))


def _when(place: Path) -> str:
    return f"{read(place.read_text().splitlines()[2]).at:%Y-%m-%d %H:%M:%S} UTC"


@pytest.mark.usefixtures("log")
def test_an_event_that_says_it_is_older_than_a_checkpoint_is_noted() -> None:
    Event.objects.create(
        kind="approval.approved",
        actor="user:eve",
        subject_type="approval",
        subject_id="1",
        at=timezone.now() - timedelta(hours=2),
    )
    seal()
    found_in_full()

    row = Verification.objects.filter(kind="full").latest("pk")
    assert len(row.notes) == 1
    assert "UTC, before the checkpoint of 10 events, which lacks it." in row.notes[0]


@pytest.mark.usefixtures("log")
def test_a_break_is_told_everywhere_once_until_all_is_sound_again(client_as: Any) -> None:
    change("UPDATE audit_event SET actor = 'user:eve' WHERE position = 7")
    assert found_in_full()[0] == 7
    for _ in range(3):
        verifying.verify_on()

    assert Event.objects.filter(kind="audit.broken").count() == 1
    assert told() == ["The audit log is broken at #7: the content doesn't fit its hash"]
    page = " ".join(client_as("auditor").get(reverse("audit:list")).content.decode().split())
    assert "The log is broken at #7" in page

    change("UPDATE audit_event SET actor = 'user:ana' WHERE position = 7")  # put back
    assert found_in_full() == (None, "")
    assert told() == []


def test_new_events_are_followed_piece_by_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verifying, "CHUNK", 4)
    happen(10)
    row = verifying.begin("rolling", verifying.SWEEPER)

    assert verifying.go_on(row, budget_s=0) == 4
    assert (standing().verified, standing().to_go) == (4, 6)
    # Another process went on meanwhile: what this one found is not kept twice.
    stale = Verification.objects.get(pk=row.pk)
    assert verifying.go_on(row, budget_s=60) == 6
    verifying.go_on(stale, budget_s=0)
    assert standing().verified == 10

    happen(3)
    verifying.verify_on()
    assert standing().to_go == 0


def test_whoever_asks_sees_how_far_it_is(client_as: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verifying, "CHUNK", 2)
    happen(4)
    client = client_as("auditor")

    asked = " ".join(client.post(reverse("audit:verify")).content.decode().split())
    assert "The whole log is being verified: #0 of #4" in asked
    assert 'hx-trigger="every 2s"' in asked
    client.post(reverse("audit:verify"))  # one is enough
    row = Verification.objects.get(kind="full")
    verifying.go_on(row, budget_s=0)
    assert "#2 of #4" in " ".join(client.get(reverse("audit:verified")).content.decode().split())
    while row.ended_at is None:
        verifying.verify_on()
        row.refresh_from_db()

    done = " ".join(client.get(reverse("audit:verified")).content.decode().split())
    assert "hx-trigger" not in done
    kinds = list(Event.objects.filter(actor__contains="auditor").values_list("kind", flat=True))
    assert kinds == ["audit.verification_asked"]


def test_a_checkpoint_is_due_by_number_and_by_time() -> None:
    now = timezone.now()
    at = [now - timedelta(seconds=s) for s in (10, 300)]

    assert not is_due(5, at[0], 1004, now)
    assert is_due(5, at[0], 1005, now)
    assert not is_due(5, at[1], 5, now)
    assert is_due(5, at[1], 6, now)


def test_checkpoints_lie_in_the_file_first_and_end_a_line_that_was_cut(place: Path) -> None:
    happen(2)
    checkpointing.checkpoint()
    with place.open("a") as file:
        file.write('{"v": 1, "cou')
    happen(2)
    checkpointing.checkpoint()

    lines = place.read_text().splitlines()
    assert [json.loads(lines[n])["count"] for n in (0, 2)] == [2, 4]
    assert list(Checkpoint.objects.order_by("count").values_list("count", flat=True)) == [2, 4]
    assert found_in_full() == (None, "")


def test_a_file_that_can_t_be_written_leaves_nothing_in_the_database(
    place: Path, client_as: Any
) -> None:
    happen(2)
    place.mkdir()

    with pytest.raises(Exception, match=f"The file of checkpoints {place} can't be read"):
        checkpointing.checkpoint()

    assert not Checkpoint.objects.exists()
    page = client_as("auditor").get(reverse("audit:list")).content.decode()
    assert "be held against its checkpoints" in page


def test_a_machine_without_the_key_signs_nothing_and_makes_none(settings: Any, place: Path) -> None:
    happen(2)
    checkpointing.checkpoint()
    key = Path(settings.APPROVAL_KEY_FILE)
    key.rename(key.with_suffix(".away"))
    happen(2)

    with pytest.raises(Exception, match="is not there, though its ring is"):
        checkpointing.checkpoint()

    assert not key.exists()
    assert found_in_full() == (None, "")  # to verify, the ring is enough


def test_what_was_signed_for_an_approval_is_no_checkpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    happen(2)
    mark = SignedHead(2, selectors.hash_at(2), timezone.now())
    signed = signing.signed(mark)
    assert signing.is_signed(signed)

    from apps.oversight.adapters import sign  # noqa: PLC0415

    signature, key_id = sign(mark.payload)
    assert not signing.is_signed(SignedHead(2, mark.head, mark.at, key_id, signature))
    assert registry.signer() == Signer(
        "apps.oversight.adapters.sign_as_a_machine", "apps.oversight.adapters.verify"
    )


@pytest.mark.usefixtures("log")
def test_the_command_verifies_all_and_ends_with_the_truth() -> None:
    out = StringIO()
    call_command("audit", "verify", stdout=out, stderr=StringIO())
    assert "and 3 checkpoints fit the log" in out.getvalue()

    edit()
    with pytest.raises(CommandError, match="The log is broken at #7: the content"):
        call_command("audit", "verify", stdout=out, stderr=StringIO())


@pytest.mark.parametrize(
    "line",
    ["[]", "{}", "x", '{"v": 1}', "{" * 2000, "[" * 999, json.dumps({"v": 2})]
    + [
        json.dumps(
            SignedHead(3, "a" * 64, timezone.now()).payload | {"key": "k", "signature": "s"} | odd
        )
        for odd in (
            {"count": True},
            {"count": 0},
            {"count": 2**63},
            {"count": "3"},
            {"head": "a"},
            {"head": 3},
            {"head": "\ud800" * 64},
            {"head": "G" * 64},
            {"key": "\ud800"},
            {"at": "0001-01-01T00:00:00+14:00"},
            {"at": "yesterday"},
            {"at": "2026-01-01T00:00:00"},
            {"more": 1},
        )
    ],
)
def test_a_line_that_is_no_checkpoint_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        read(line)
