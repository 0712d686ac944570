"""Failpoints are for tests: production doesn't start with one."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("env", "failpoint", "starts"),
    [
        ("production", "after_call:kill", False),
        ("production", "", True),
        ("development", "after_call:kill", True),
    ],
)
def test_production_does_not_start_with_a_failpoint(env: str, failpoint: str, starts: bool) -> None:
    told = {**os.environ, "TOWER_ENV": env, "SECRET_KEY": "x" * 50, "TOWER_FAILPOINT": failpoint}
    done = subprocess.run(
        [sys.executable, "-c", "import controltower.settings"],
        env=told,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert (done.returncode == 0) is starts, done.stderr
    assert ("TOWER_FAILPOINT" in done.stderr) is not starts


@pytest.mark.parametrize(("process", "is_pooled"), [("web", True), ("worker-normal", False)])
def test_the_web_process_alone_keeps_a_pool_of_connections(process: str, is_pooled: bool) -> None:
    """A worker forks: a connection of a pool would be used by two processes at once."""
    code = (
        "from controltower.settings import DATABASES as d; print('pool' in d['default']['OPTIONS'])"
    )
    told = {**os.environ, "TOWER_PROCESS": process}
    done = subprocess.run(
        [sys.executable, "-c", code], env=told, capture_output=True, text=True, check=True
    )

    assert done.stdout.strip() == str(is_pooled)
