"""The MCP SDK, loaded when a server is first called: building its types takes a second of the
processor, which every process of the tower would pay at its start."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import httpx2
    from mcp import Client


def load() -> None:
    """Load it now: before a call's time begins to run, and before callers are forked."""
    import_module("mcp.client.streamable_http")


def client(url: str, http: httpx2.AsyncClient, **options: Any) -> Client:
    """A client of the server at ``url`` over ``http``, not connected yet."""
    over = import_module("mcp.client.streamable_http").streamable_http_client(url, http_client=http)
    made: Client = import_module("mcp").Client(over, **options)
    return made


def said(error: BaseException) -> str | None:
    """The server's own words, where the error is an answer of the protocol; else ``None``."""
    if isinstance(error, import_module("mcp.shared.exceptions").MCPError):
        return str(error.error.message)
    return None
