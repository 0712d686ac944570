"""The whole tower, started as people start it: up, examined, hurt, stopped."""

from __future__ import annotations

import hashlib
import os
import re
import signal
import stat
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from controltower.launch import files
from controltower.launch.places import DOMAINS, ROOT, Places, is_running
from controltower.launch.processes import wait_until
from tests.launch.test_cli import launch, one_line

pytestmark = pytest.mark.slow


@pytest.fixture
def tower(var: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A tower that has had its first start: packs and first cases have tests of their own."""
    places = Places(var)
    mark = hashlib.sha256(b"embedded").hexdigest()[:16]
    files.write_json(places.first_start, {mark: {"packs": list(DOMAINS), "cases": True}})
    ignored = {"DATABASE_URL", "REDIS_URL", "SECRET_KEY", "TOWER_ENV"}
    environment = {name: value for name, value in os.environ.items() if name not in ignored}
    with (var / "up.txt").open("wb") as output:
        started = subprocess.Popen(
            [sys.executable, "-m", "controltower.launch", "up"],
            cwd=ROOT,
            env={**environment, "TOWER_VAR": str(var), "TOWER_PORT": "18000"},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    yield started
    if started.poll() is None:
        started.kill()
        started.wait()


def screen(var: Path) -> str:
    return one_line((var / "up.txt").read_text())


def processes(places: Places) -> dict[str, int]:
    services = files.read_json(places.status).get("services", [])
    return {service["name"]: service["pid"] for service in services}


def test_tower_comes_up_heals_and_goes(tower: subprocess.Popen[bytes], var: Path) -> None:
    places = Places(var)
    came_up = wait_until(
        lambda: tower.poll() is not None or "Ctrl-C stops it" in screen(var), timeout_seconds=200
    )
    assert came_up, screen(var)
    found = re.search(r"Control Tower is up: (\S+)", screen(var))
    assert found is not None, screen(var)
    url = found.group(1)

    with urllib.request.urlopen(url, timeout=30) as page:  # noqa: S310 - our own
        assert page.status == 200
    assert stat.S_IMODE(places.logins.stat().st_mode) == 0o600
    assert "already runs: " + url in one_line(launch("up", var=var).stdout)

    before = processes(places)
    os.kill(before["web"], signal.SIGKILL)
    os.kill(before["valkey"], signal.SIGKILL)
    healed = wait_until(
        lambda: all(
            processes(places)[name] not in {None, before[name]} for name in ("web", "valkey")
        ),
        timeout_seconds=90,
    )
    assert healed, screen(var)

    # The announcement of a crash, and the reason, are for the doctor as well.
    assert "restarted 1 times; before: ended with signal SIGKILL" in one_line(
        launch("doctor", var=var).stdout
    )

    running = [psutil.Process(pid) for pid in processes(places).values()]
    assert launch("down", var=var).returncode == 0
    assert tower.wait(90) == 0
    assert psutil.wait_procs(running, timeout=5)[1] == []
    assert not is_running(places)
