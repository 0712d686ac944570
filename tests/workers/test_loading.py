"""What the processes of the tower load, and when."""

from __future__ import annotations

import subprocess
import sys

from django.conf import settings

SCRIPT = """
import sys, django
django.setup()
from apps.workers.management.commands import worker, sweep
light = {m for m in ("mcp", "pydantic_ai", "openai") if m in sys.modules}
worker._load()
before = set(sys.modules)
from apps.runs import tasks
from apps.catalog.adapters import sdk
sdk.client("http://127.0.0.1:9/mcp", None)
print(sorted(light), sorted(set(sys.modules) - before))
"""


def test_a_worker_loads_before_it_forks_what_its_horses_need_and_nobody_else_does() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", SCRIPT],
        cwd=settings.BASE_DIR,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )

    assert done.stdout.strip() == "[] []", done.stderr
