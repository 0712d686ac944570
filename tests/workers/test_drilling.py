"""A backup is restored beside and looked at; after a real one nothing is done twice."""

from __future__ import annotations

from io import StringIO
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from apps.audit.models import Event
from apps.audit.services import checkpointing, seal
from apps.audit.services.standing import standing
from apps.oversight import services as oversight
from apps.oversight.models import Approval
from apps.workers.services import drilling
from tests.factories.approvals import ApprovalFactory
from tests.tampering import past_triggers

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def place(settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keys and checkpoints that the processes of the drill find too."""
    for name in ("APPROVAL_KEY_FILE", "APPROVAL_KEYRING_FILE", "AUDIT_CHECKPOINTS"):
        file = str(tmp_path / name)
        setattr(settings, name, file)
        monkeypatch.setenv(f"TOWER_{name}", file)
    monkeypatch.setattr(checkpointing, "is_due", lambda counted, since, count, now: count > counted)
    return tmp_path


def answered(people: Any) -> Approval:
    approval = ApprovalFactory.create(risk=1)
    return oversight.decide(
        approval_id=approval.pk,
        user=people["operator"],
        approve=True,
        reason="checked",
        digest=approval.digest,
        nonce="n",
        dwell_ms=60_000,
    )


def sealed() -> None:
    seal()
    checkpointing.checkpoint()


def said(*words: str) -> str:
    out = StringIO()
    call_command("backup", *words, stdout=out)
    return out.getvalue()


def databases() -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT datname FROM pg_database WHERE datname LIKE 'tower_drill%'")
        return [row[0] for row in cursor.fetchall()]


@pytest.mark.slow
def test_a_backup_is_restored_and_looked_at(people: Any) -> None:
    answered(people)
    ApprovalFactory.create()
    sealed()

    told = said("drill")

    count = Event.objects.count()
    assert f"Every event up to #{count} fits its hash, and 1 checkpoints fit the log." in told
    assert "2 questions and answers wait; every signature on them fits." in told
    assert databases() == []


@pytest.mark.slow
def test_a_backup_of_a_log_that_was_edited_does_not_hold(people: Any) -> None:
    answered(people)
    sealed()
    with past_triggers("audit_event"):
        Event.objects.filter(position=1).update(actor="user:eve")

    with pytest.raises(CommandError, match=r"doesn't hold: .*broken at #1"):
        said("drill")
    assert databases() == []


def test_rows_that_are_missing_are_named() -> None:
    with pytest.raises(drilling.DrillError, match="runs_run: 3 and 2"):
        drilling._compare({"runs_run": 3, "runs_step": 1}, {"runs_run": 2, "runs_step": 1})


def test_a_role_that_may_not_make_databases_is_told_what_to_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Refusing:
        def __enter__(self) -> Refusing:
            return self

        def __exit__(self, *_: object) -> None:
            pass

        def execute(self, *_: object) -> None:
            raise psycopg.errors.InsufficientPrivilege

    monkeypatch.setattr(psycopg, "connect", lambda *_, **__: Refusing())
    with pytest.raises(Exception, match="has CREATEDB"), drilling._beside():
        pass


def test_no_password_stands_among_the_arguments_of_a_program(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[Any] = []

    class Done:
        returncode = 0

    monkeypatch.setattr(drilling, "_run", lambda words, env: seen.append((words, env)) or Done())
    monkeypatch.setattr(drilling, "_found", lambda name: Path(name))
    drilling._tool("pg_dump", "--dbname", "host=h password='a b\\'c' dbname=d")

    assert seen[0][0] == ["pg_dump", "--dbname", "host=h dbname=d"]
    assert seen[0][1]["PGPASSWORD"] == connection.settings_dict["PASSWORD"]


def test_answers_that_wait_are_held_against_their_signatures(people: Any) -> None:
    approval = answered(people)
    assert "1 questions and answers wait" in said("answers")

    Approval.objects.filter(pk=approval.pk).update(reason="another")
    with pytest.raises(CommandError, match=f"{approval.pk}: The signature does not fit"):
        said("answers")


def test_after_a_restore_unused_answers_are_asked_again_and_checkpoints_begin_anew(
    people: Any, place: Path
) -> None:
    approval = answered(people)
    sealed()
    Event.objects.create(kind="a.b", actor="user:ana", subject_type="x", subject_id="1")
    sealed()
    with past_triggers("audit_event", "audit_checkpoint"):  # the state of a backup
        last = Event.objects.order_by("-position").first()
        assert last is not None
        last.delete()
        with connection.cursor() as cursor:
            cursor.execute("DELETE FROM audit_checkpoint WHERE count = %s", [last.position])

    told = said("restored")

    approval.refresh_from_db()
    assert approval.state == "void"
    assert "1 answers that were not used are taken back" in told
    assert len(list(place.glob("AUDIT_CHECKPOINTS.before-*"))) == 1
    sealed()
    assert standing().broken is None
    assert "taken back" in said("restored")  # again it changes nothing
    assert len(list(place.glob("AUDIT_CHECKPOINTS.before-*"))) == 1
