"""The door to tool servers: their addresses and the schemas of what they offer (MCP)."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx
from django.conf import settings
from mcp import Client

from apps.kernel.errors import UnavailableError

ASK_SECONDS = 15.0


def address(slug: str, fallback: str = "") -> str:
    """The URL of a tool server: from ``TOOL_SERVERS``, from ``TOOL_SERVERS_FILE``, else
    ``fallback``. The file is read each time: a restarted server may have moved. Raises
    UnavailableError with what to set when there is none."""
    found = settings.TOOL_SERVERS.get(slug) or _from_file(slug) or fallback
    if not found:
        raise UnavailableError(
            f"The tool server “{slug}” has no address. Set TOWER_TOOL_SERVERS "
            f'to {{"{slug}": "http://host:port/mcp"}}, or start it with make up.',
            server=slug,
        )
    return str(found)


def _from_file(slug: str) -> str:
    if not settings.TOOL_SERVERS_FILE:
        return ""
    try:
        entry = json.loads(Path(settings.TOOL_SERVERS_FILE).read_text()).get(slug, "")
    except (OSError, ValueError, AttributeError):
        return ""
    return str(entry.get("url", "") if isinstance(entry, dict) else entry)


def input_schemas(server: Any, *, slug: str) -> dict[str, dict[str, Any]]:
    """``{tool name: input schema}`` as the server states them now. ``server`` is a URL (or an
    in-process server in tests). Raises UnavailableError when it can't be asked."""
    try:
        return asyncio.run(_ask(server))
    except Exception as error:
        # The SDK raises groups of transport errors; whatever it is, the server wasn't asked.
        reason = _reason(error)
        raise UnavailableError(
            f"The tool server “{slug}” can't be asked for its tools at {server}: {reason}.",
            server=slug,
        ) from error


async def _ask(server: Any) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    async with asyncio.timeout(ASK_SECONDS), Client(server) as client:
        cursor: str | None = None
        while True:
            page = await client.list_tools(cursor=cursor)
            found.update({tool.name: tool.input_schema for tool in page.tools})
            cursor = page.next_cursor
            if not cursor:
                return found


def _reason(error: BaseException) -> str:
    while isinstance(error, BaseExceptionGroup) and error.exceptions:
        error = error.exceptions[0]
    if isinstance(error, TimeoutError):
        return f"no answer within {ASK_SECONDS:g} s"
    if isinstance(error, httpx.ConnectError):
        return "connection refused"
    return (str(error) or type(error).__name__)[:200]
