"""What the processes of the tower load, and when."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from typing import Any

import pytest
from django.conf import settings

from apps.calls.domain.retry import Ending
from apps.calls.executor import CallResult, ToolClient
from apps.catalog import adapters
from apps.catalog.adapters import sdk
from tests.calls.executor.calling import ask as call
from tests.catalog.serving import serving, tool

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


@pytest.fixture
def slow_load(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first load takes its time, as in a process that was just started."""
    load, left = sdk.import_module, [1.5]

    def slow(name: str) -> Any:
        time.sleep(left.pop() if left else 0)
        return load(name)

    monkeypatch.setattr(sdk, "import_module", slow)


def test_the_first_load_is_no_time_of_the_server_that_is_asked_for_its_tools(
    slow_load: None, settings: Any
) -> None:
    with serving(tool("do", "a")) as toys:
        settings.TOOL_SERVERS = {"toys": toys.url}
        found = adapters.ask(adapters.resolve("toys"), timeout_s=1.4)

    assert list(found.tools) == ["do"]


def test_the_first_load_is_no_time_of_the_first_call(slow_load: None, settings: Any) -> None:
    async def first() -> CallResult:
        async with ToolClient() as tools:
            return await call(tools, arguments={"a": "x"}, timeout_s=1.4)

    with serving(tool("do", "a")) as toys:
        settings.TOOL_SERVERS = {"raw": toys.url}
        found = asyncio.run(first())

    assert (found.ending, found.content) == (Ending.ANSWERED, "do")
