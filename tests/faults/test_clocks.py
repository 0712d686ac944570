"""Clocks that are wrong, jump, or change their hour (fault 28)."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.db import connection

from apps.oversight.models import Approval
from apps.runs.models import Run, Worker
from controltower.launch import ports
from tests.faults.people import Visitor, person
from tests.faults.plant import HERE, Child, Plant, _answers, until
from tests.faults.test_postgres import held
from tests.faults.test_workers import MOVE, effects, states

# Started anew and not forked, they import what they need while they hold leases.
FLAG = {"TOWER_ALLOW_CLOCK_SKEW": "1", "TOWER_LEASE_SECONDS": "8"}


@pytest.fixture
def faketime() -> str:
    """libfaketime. Without it these tests are skipped by name, or fail where
    ``TOWER_REQUIRE_FAKETIME=1`` says that it has to be there."""
    found = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)
    if found is None:
        if os.environ.get("TOWER_REQUIRE_FAKETIME") == "1":
            pytest.fail("No libfaketime found, and TOWER_REQUIRE_FAKETIME=1 asks for it.")
        pytest.skip("no libfaketime on this machine (apt-get install faketime)")
    return str(found)


def skewed(plant: Plant, library: str, offset: str, *argv: str, **env: str) -> Child:
    """A process of the product whose clock is off by ``offset``, from its first instruction."""
    lies = {
        "LD_PRELOAD": library,
        "FAKETIME": offset,
        "FAKETIME_DONT_RESET": "1",
    }
    return plant.spawn(sys.executable, *argv, env={**plant.env(), **lies, **env})


WORKER = ("manage.py", "worker", "--lane", "normal")


def test_28_workers_with_wrong_clocks(proved: Plant, faketime: str, tmp_path: Path) -> None:
    """Ten minutes ahead, ten behind in a zone that changes its hour, and one stepped back an hour
    in the midst of work: leases, due times and deadlines don't notice."""
    stepped = tmp_path / "clock"
    stepped.write_text("+0s\n")
    file = {"FAKETIME_TIMESTAMP_FILE": str(stepped), "FAKETIME_NO_CACHE": "1"}
    file["FAKETIME_DONT_FAKE_MONOTONIC"] = "1"  # it steps back: durations never do
    proved.sweeper()
    ahead = skewed(proved, faketime, "+600s", *WORKER, **FLAG)  # alone, so that it has to be it
    runs = proved.start_runs([MOVE] * 10)
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE runs_run SET deadline_at = clock_timestamp() + '300 s' WHERE id = ANY(%s)",
            [runs],
        )
    proved.wait(runs, seconds=100)
    workers = [
        ahead,
        skewed(proved, faketime, "-600s", *WORKER, TZ="America/New_York", **FLAG),
        skewed(proved, faketime, "", *WORKER, **{**file, **FLAG}),
    ]
    present = Worker.objects.filter(kind="worker", pid__in=[w.pid for w in workers])
    until(lambda: present.count() == 3, "all three are up", plant=proved)
    stepped.write_text("-3600s\n")
    more = proved.start_runs([MOVE] * 10)
    proved.wait(more, seconds=60)

    assert all(w.is_alive for w in workers)
    assert states([*runs, *more]) == {"succeeded"}
    assert effects(proved, [*runs, *more]) == [1] * 20


@pytest.fixture
def future_site(proved: Plant, faketime: str) -> Iterator[Visitor]:
    """The site, ten minutes ahead of the database."""
    port = ports.any_free()
    url = f"http://{HERE}:{port}"
    command = ("-m", "uvicorn", "controltower.asgi:application", "--port", str(port))
    skewed(proved, faketime, "+600s", *command, "--lifespan", "off", TOWER_ORIGIN=url, **FLAG)
    until(lambda: _answers(f"{url}/healthz"), "the site answers", plant=proved)
    visitor = Visitor(url, person())
    yield visitor
    visitor.http.close()


def test_28_a_site_with_a_wrong_clock(proved: Plant, future_site: Visitor) -> None:
    """The database's clock says whether an answer is in time, to the second."""
    proved.sweeper()
    proved.worker()
    soon, gone = held(proved, 2)
    _expire_in(soon, 120)
    _expire_in(gone, 0.2)
    time.sleep(0.25)

    assert future_site.decide(soon).status_code == 200
    assert future_site.decide(gone).status_code == 409
    proved.wait([soon.run_id, gone.run_id])
    assert Run.objects.get(pk=soon.run_id).state == "succeeded"
    assert effects(proved, [gone.run_id]) == [0]


def _expire_in(question: Approval, seconds: float) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE approvals_approval SET expires_at = clock_timestamp() +"
            " make_interval(secs => %s) WHERE id = %s",
            [seconds, question.pk],
        )


@pytest.mark.parametrize("command", ["worker", "sweep"])
def test_28_a_wrong_clock_is_refused_at_the_start(
    proved: Plant, faketime: str, command: str
) -> None:
    """Unless it is said to be meant, a process that is off by more than two seconds doesn't begin,
    and says why."""
    child = skewed(proved, faketime, "+600s", "manage.py", command)
    until(lambda: not child.is_alive, "it has ended", plant=proved)

    assert child.said("clock")
