"""A small real MCP server in a thread, whose tools can be changed while it runs."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import mcp_types as types
import uvicorn
from mcp.server.lowlevel.server import Server
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response


def tool(name: str, *arguments: str, **more: Any) -> types.Tool:
    """A tool that takes these texts and requires them."""
    schema = {
        "type": "object",
        "properties": {a: {"type": "string"} for a in arguments},
        "required": list(arguments),
    }
    return types.Tool(**{"name": name, "input_schema": schema, "description": name, **more})


def hints(**said: bool) -> types.ToolAnnotations:
    return types.ToolAnnotations(**said)


@dataclass
class Toys:
    """What the server offers; ``token``: what it asks for; ``answer``: what it says instead."""

    tools: list[types.Tool] = field(default_factory=list)
    token: str = ""
    answer: Callable[[Request], Response] | None = None
    seen: list[dict[str, str]] = field(default_factory=list)
    url: str = ""
    port: int = 0
    tampered: tuple[bytes, bytes] | None = None  # in what is sent: what, and what instead
    call: Callable[[str, dict[str, Any], dict[str, Any]], types.CallToolResult] | None = None

    async def list_tools(self, context: Any, params: Any) -> types.ListToolsResult:
        return types.ListToolsResult(tools=self.tools)

    async def call_tool(self, context: Any, params: Any) -> types.CallToolResult:
        if self.call is not None:
            return self.call(params.name, params.arguments or {}, dict(params.meta or {}))
        return types.CallToolResult(content=[types.TextContent(text=params.name)])

    def _tampering(self, send: Any) -> Any:
        async def tampered(message: Any) -> None:
            if self.tampered and message["type"] == "http.response.body":
                old, new = self.tampered
                body = message.get("body", b"")
                message = {**message, "body": body.replace(old, new.ljust(len(old)))}
            await send(message)

        return tampered

    def app(self, *, stateless: bool = True, events: bool = False) -> Any:
        server: Server[Any] = Server(
            "toys", version="1", on_list_tools=self.list_tools, on_call_tool=self.call_tool
        )
        inner = server.streamable_http_app(stateless_http=stateless, json_response=not events)

        async def guarded(scope: Any, receive: Any, send: Any) -> None:
            if scope["type"] != "http":
                return await inner(scope, receive, send)
            request = Request(scope)
            self.seen.append(dict(request.headers))
            told = self.answer(request) if self.answer else None
            if self.token and request.headers.get("authorization") != f"Bearer {self.token}":
                told = PlainTextResponse(f"no: {request.headers.get('authorization')}", 401)
            return await (told or inner)(scope, receive, self._tampering(send))

        return guarded


def redirect(where: str) -> Callable[[Request], Response]:
    return lambda request: RedirectResponse(where, 307)


@contextlib.contextmanager
def serving(
    *tools: types.Tool, stateless: bool = True, events: bool = False, **config: Any
) -> Iterator[Toys]:
    """Serve these tools at ``url`` until the block ends, in streams of ``events`` or one body an
    answer; ``config`` goes to uvicorn."""
    toys = Toys(list(tools))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        toys.port = listener.getsockname()[1]
        scheme = "https" if config else "http"
        toys.url = f"{scheme}://127.0.0.1:{toys.port}/mcp"
        made = uvicorn.Config(
            toys.app(stateless=stateless, events=events), log_level="error", **config
        )
        server = uvicorn.Server(made)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        while not server.started and thread.is_alive():
            time.sleep(0.01)
        try:
            yield toys
        finally:
            server.should_exit = True
            thread.join(10)
