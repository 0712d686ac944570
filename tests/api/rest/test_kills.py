"""A site that is killed in the middle of a request: ``kill -9``, real processes, one run."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from django.db import connection
from django.db.models.functions import Now

from apps.api.models import Idempotency
from apps.audit.models import Event
from apps.runs.models import Run
from tests.api.rest.conftest import BODY, RUNS, Machine

pytestmark = pytest.mark.django_db(transaction=True)


@contextmanager
def site(log: Path, failpoint: str) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """The site on the test database, which dies where ``failpoint`` says."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    database = urlsplit(os.environ["DATABASE_URL"])
    name = connection.settings_dict["NAME"]
    env = os.environ | {
        "DATABASE_URL": database._replace(path=f"/{name}").geturl(),
        "TOWER_FAILPOINT": failpoint,
    }
    command = [sys.executable, "-m", "uvicorn", "controltower.asgi:application", "--port", port]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*command, "--lifespan", "off"], env=env, stdout=output, stderr=subprocess.STDOUT
        )
    try:
        _wait_for(int(port), process, log)
        yield f"http://127.0.0.1:{port}", process
    finally:
        process.kill()
        process.wait()


def _wait_for(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.05)
    pytest.fail(f"The site did not start:\n{log.read_text()[-4000:]}")


def test_a_site_killed_twice_in_the_same_request_starts_one_run(
    erp: Machine, tmp_path: Path
) -> None:
    """First after the key was claimed, then after the run was started and before the answer was
    stored. Each time the machine hears nothing and asks again."""
    headers = {"Authorization": f"Bearer {erp.token}", "Idempotency-Key": "k"}
    runs = []
    for failpoint in ("api_claimed:kill", "api_worked:kill"):
        with site(tmp_path / "site.log", failpoint) as (url, process):
            with pytest.raises(httpx.TransportError):
                httpx.post(url + RUNS, json=BODY, headers=headers, timeout=60)
            assert process.wait(timeout=60) == -signal.SIGKILL
        runs.append(Run.objects.count())
        Idempotency.objects.update(claimed_until=Now())  # the lease of the dead ends

    answer = erp.start("k")

    assert runs == [0, 1]
    assert answer.status_code == 202
    assert answer.json()["id"] == str(Run.objects.get().pk)
    assert Idempotency.objects.get().claims == 3
    assert Event.objects.filter(kind="run.accepted").count() == 1
    assert Event.objects.filter(kind="api.taken_over").count() == 2
