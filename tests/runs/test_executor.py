"""Tools that live in a module of this process."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest

from apps.runs.domain.retry import Ending
from apps.runs.executor import CallResult, ToolClient


async def answer(tool: str, arguments: dict[str, Any], meta: dict[str, Any]) -> dict[str, Any]:
    if tool == "refuse":
        raise ValueError("not in stock")
    if tool == "break":
        raise KeyError("x")
    if tool == "hang":
        await asyncio.sleep(60)
    return {"tool": tool, "arguments": arguments, "key": meta.get("idempotency_key")}


@pytest.fixture
def company_tools(settings: Any) -> Iterator[None]:
    module = ModuleType("company_tools")
    module.call = answer  # type: ignore[attr-defined]
    sys.modules["company_tools"] = module
    settings.TOOL_SERVERS = {"own": "python:company_tools"}
    yield
    del sys.modules["company_tools"]


def call(tool: str, server: str = "own") -> CallResult:
    async def once() -> CallResult:
        async with ToolClient() as tools:
            meta = {"idempotency_key": "k"}
            return await tools.call(
                server,
                tool,
                {"a": 1},
                meta=meta,
                call_id="c",
                timeout_s=0.2 if tool == "hang" else 30,
            )

    return asyncio.run(once())


@pytest.mark.usefixtures("company_tools")
@pytest.mark.parametrize(
    ("tool", "ending", "error_class"),
    [
        ("do", Ending.ANSWERED, ""),
        ("refuse", Ending.REFUSED, "refused_by_tool"),
        ("break", Ending.LOST, "tool_error"),
        ("hang", Ending.LOST, "timeout"),
    ],
)
def test_a_tool_of_this_process_ends_as_honestly_as_one_on_the_network(
    tool: str, ending: Ending, error_class: str
) -> None:
    result = call(tool)

    assert (result.ending, result.error_class) == (ending, error_class)
    if ending is Ending.ANSWERED:
        assert result.data == {"tool": "do", "arguments": {"a": 1}, "key": "k"}
    else:
        assert result.error


def test_a_server_that_nobody_knows_is_a_result_too() -> None:
    result = call("do", server="nobody")

    assert result.ending is Ending.NOT_SENT
    assert "TOWER_TOOL_SERVERS" in result.error
