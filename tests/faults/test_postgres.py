"""PostgreSQL restarted, cut off, contradicted, full or silent (faults 11 to 17, 42)."""

from __future__ import annotations

import contextlib
import random
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.db import DatabaseError, connection, connections

from apps.oversight.models import Approval, Vote
from apps.runs.models import Run, Step
from tests.faults.disks import small_disk
from tests.faults.people import Visitor, answer, person
from tests.faults.plant import Plant, until
from tests.faults.shop import keyed
from tests.faults.test_workers import MOVE, RETURN, effects, states


@pytest.fixture
def busy(proved: Plant) -> Plant:
    proved.sweeper()
    proved.worker()
    proved.worker()
    return proved


@pytest.fixture
def visitor(proved: Plant) -> Iterator[Visitor]:
    _, url = proved.web()
    visitor = Visitor(url, person())
    yield visitor
    visitor.http.close()


def held(plant: Plant, count: int = 1) -> list[Approval]:
    """Questions that wait for a person."""
    runs = plant.start_runs([RETURN] * count)
    plant.wait(runs, {"waiting_approval"})
    return list(Approval.objects.filter(run_id__in=runs, state="pending").order_by("pk"))


def test_11_restarted_under_load(busy: Plant, visitor: Visitor) -> None:
    """Whole transactions are tried again; pages say 503 and when to come back."""
    dice = random.Random(11)
    runs = busy.start_runs([MOVE] * 60)
    for _ in range(3):
        time.sleep(dice.uniform(0.2, 0.8))
        busy.postgres.kill()
        said = visitor.get("/runs/")
        busy.postgres.start()
        connections.close_all()
        assert said.status_code == 503
        assert int(said.headers["retry-after"]) > 0
    busy.wait(runs)

    assert states(runs) == {"succeeded"}
    assert effects(busy, runs) == [1] * 60
    until(lambda: visitor.get("/runs/").status_code == 200, "the site is back")


def test_12_cut_in_the_middle_of_a_transaction(busy: Plant) -> None:
    """Rolled back, and the step is tried again."""
    dice = random.Random(12)
    runs = busy.start_runs([MOVE] * 40)

    def cut() -> None:
        if busy.pg_proxy.switches.cut_after is None and busy.pg_proxy.cuts < 12:
            busy.pg_proxy.switches.cut_after = dice.randrange(2_000, 60_000)

    before = busy.pg_proxy.cuts = 0
    busy.wait(runs, meanwhile=cut)

    assert busy.pg_proxy.cuts > before
    assert states(runs) == {"succeeded"}
    assert effects(busy, runs) == [1] * 40


def test_13_the_reply_to_commit_lost(busy: Plant, visitor: Visitor) -> None:
    """It was committed, and nobody said so: no duplicate rows, no false failure."""
    [question] = held(busy)
    switches = busy.pg_proxy.switches
    switches.swallow, switches.swallows = b"COMMIT", 15
    runs = busy.start_runs([MOVE] * 30)
    said = {visitor.decide(question, nonce="one").status_code for _ in range(3)}
    busy.wait([*runs, question.run_id])

    assert busy.pg_proxy.swallowed > 3
    assert said <= {200, 503}
    assert visitor.decide(question, nonce="one").status_code == 200
    assert Vote.objects.filter(approval=question).count() == 1
    assert states([*runs, question.run_id]) == {"succeeded"}
    assert effects(busy, runs) == [1] * 30


@contextlib.contextmanager
def failing(table: str, code: str, times: int, every: int = 1) -> Iterator[None]:
    """So many changes of a table fail with this SQLSTATE, of the next ones every so many. A
    sequence counts them, since what it gave is not taken back by the roll-back."""
    with connection.cursor() as cursor:
        cursor.execute("CREATE SEQUENCE proof_failures")
        cursor.execute(
            f"""CREATE FUNCTION proof_fail() RETURNS trigger LANGUAGE plpgsql AS $$
            DECLARE n bigint := nextval('proof_failures'); BEGIN
            IF n <= {times * every} AND n % {every} = 0 THEN
              RAISE EXCEPTION 'made to fail' USING ERRCODE = '{code}'; END IF;
            RETURN NEW; END $$;
            CREATE TRIGGER proof_fail BEFORE UPDATE OR INSERT ON {table}
              FOR EACH ROW EXECUTE FUNCTION proof_fail()"""
        )
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute("DROP FUNCTION proof_fail CASCADE; DROP SEQUENCE proof_failures")


@pytest.mark.parametrize("code", ["40001", "40P01"])
def test_14_serialization_failures_and_deadlocks(busy: Plant, visitor: Visitor, code: str) -> None:
    """The whole unit is tried again; where that doesn't help a page says 503 and saves nothing."""
    with failing("runs_step", code, 6):
        runs = busy.start_runs_patiently([MOVE] * 5)
        busy.wait(runs)
    assert states(runs) == {"succeeded"}
    assert effects(busy, runs) == [1] * 5

    with failing("policy_decision", code, 6, every=4):  # the next step is thought of by then
        runs = busy.start_runs_patiently([keyed(6)] * 3)
        busy.wait(runs)
    assert states(runs) == {"succeeded"}
    assert effects(busy, runs) == [6] * 3

    [question] = held(busy)
    with failing("approvals_vote", code, 2):
        assert visitor.decide(question).status_code == 200
    [question] = held(busy)
    with failing("approvals_vote", code, 999):
        assert visitor.decide(question).status_code == 503
    assert not Vote.objects.filter(approval=question).exists()
    assert Approval.objects.get(pk=question.pk).state == "pending"


def test_15_no_room_for_rows(busy: Plant, visitor: Visitor, tmp_path: Path) -> None:
    """Writes fail whole, reads go on, decisions are refused as not saved, and it recovers."""
    [question] = held(busy)
    with small_disk(busy.folder / "full", 24) as disk, busy.admin() as admin:
        admin.execute(f"CREATE TABLESPACE small LOCATION '{disk.path}'")
        admin.execute("ALTER TABLE audit_event SET TABLESPACE small")
        admin.execute("ALTER TABLE runs_step SET TABLESPACE small")
        try:
            disk.fill()
            with pytest.raises(DatabaseError):
                _accept_until_full(busy)
            connections.close_all()
            reads = visitor.get("/runs/"), visitor.get(f"/approvals/{question.pk}/")
            said = visitor.decide(question)
            disk.free()
        finally:
            disk.free()
            for table in ("audit_event", "runs_step"):
                admin.execute(f"ALTER TABLE {table} SET TABLESPACE pg_default")
            admin.execute("DROP TABLESPACE small")
    assert [r.status_code for r in reads] == [200, 200]
    assert said.status_code in {200, 503}
    if said.status_code == 503:
        assert not Vote.objects.filter(approval=question).exists()
        assert visitor.decide(question).status_code == 200
    busy.wait(busy.accepted, {"succeeded"})


def _accept_until_full(plant: Plant) -> None:
    for _ in range(200):
        plant.start_runs([MOVE] * 20)


def test_16_no_room_for_the_log(busy: Plant, visitor: Visitor) -> None:
    """PostgreSQL stops itself. Everything says 503 until there is room; nothing committed is lost,
    and it is back within five minutes."""
    done = busy.start_runs([MOVE] * 10)
    busy.wait(done)
    wal = busy.postgres.data_dir / "pg_wal"
    busy.postgres.stop()
    aside = wal.with_name("pg_wal.aside")
    shutil.move(str(wal), aside)
    with small_disk(wal, 64) as disk:
        for part in aside.iterdir():
            shutil.move(str(part), wal / part.name)
        busy.postgres.start()
        connections.close_all()
        runs = busy.start_runs([MOVE] * 5)
        disk.fill()
        _write_until_it_stops(busy)
        said = visitor.get("/runs/").status_code
        begun = time.monotonic()
        disk.free()
        busy.postgres.kill()
        busy.postgres.start()
        connections.close_all()
        busy.wait(runs)
        took = time.monotonic() - begun
        busy.stop_children()
        busy.postgres.stop()
        for part in wal.iterdir():
            shutil.move(str(part), aside / part.name)
    wal.rmdir()
    shutil.move(str(aside), wal)
    busy.postgres.start()
    connections.close_all()

    assert said == 503
    assert took < 300
    assert states([*done, *runs]) == {"succeeded"}
    assert effects(busy, [*done, *runs]) == [1] * 15


def _write_until_it_stops(plant: Plant) -> None:
    with contextlib.suppress(DatabaseError), connection.cursor() as cursor:
        cursor.execute("CREATE TABLE proof_bulk (filler text)")
        for _ in range(400):
            cursor.execute(
                "INSERT INTO proof_bulk SELECT repeat(md5(random()::text), 50)"
                " FROM generate_series(1, 500)"
            )
    connections.close_all()
    until(lambda: not _is_well(plant), "the database has stopped", seconds=20)


def _is_well(plant: Plant) -> bool:
    try:
        with connection.cursor() as cursor:
            cursor.execute("CREATE TEMPORARY TABLE proof_probe AS SELECT 1")
            cursor.execute("INSERT INTO proof_bulk SELECT repeat('x', 2000)")
    except DatabaseError:
        connections.close_all()
        return False
    return True


def test_17_no_room_for_logs(proved: Plant) -> None:
    """A full log disk stops nobody: the audit log is in the database."""
    with small_disk(proved.folder / "logs", 1) as disk:
        log = disk.path / "site.log"
        log.touch()
        disk.fill()
        _, url = proved.web(log=log)
        visitor = Visitor(url, person())
        [run] = proved.start_runs([MOVE])
        said = [visitor.get(p).status_code for p in ("/runs/", f"/runs/{run}/", "/nowhere/")]
        visitor.http.close()
        proved.stop_children()
    proved.sweeper()
    proved.worker()
    proved.wait([run])

    assert said == [200, 200, 404]


def test_42_the_audit_log_is_slow_or_refuses(busy: Plant, visitor: Visitor) -> None:
    """A decision and its audit row are one transaction: no row, no decision."""
    slow, refused = held(busy, 2)
    busy.pg_proxy.switches.delay_marker = b"audit_event"
    busy.pg_proxy.switches.delay_s = 0.5
    assert visitor.decide(slow).status_code == 200
    busy.pg_proxy.calm()

    with connection.cursor() as cursor:
        cursor.execute(f"REVOKE INSERT ON audit_event FROM {busy.postgres.role}")
    try:
        said = visitor.decide(refused)
        with pytest.raises(DatabaseError):
            answer(refused, person())
    finally:
        with connection.cursor() as cursor:
            cursor.execute(f"GRANT INSERT ON audit_event TO {busy.postgres.role}")
    assert said.status_code >= 500
    assert not Vote.objects.filter(approval=refused).exists()
    assert Approval.objects.get(pk=refused.pk).state == "pending"
    assert visitor.decide(refused).status_code == 200
    busy.wait(busy.accepted, {"succeeded"})
    assert not Step.objects.filter(run_id__in=busy.accepted).exclude(state="succeeded").exists()
    assert Run.objects.filter(id__in=busy.accepted).count() == 2
