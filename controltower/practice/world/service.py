"""The service: a company's tools over MCP, streamable HTTP, one answer per request, no sessions.

Conventions a caller relies on:

- ``_meta`` of ``tools/call`` may carry ``world`` (default ``live``), ``dialect`` (``tau2`` or
  ``tau1``), ``idempotency_key`` and ``run``; HTTP headers are not looked at.
- A company tool answers with one text (JSON unless the answer is a plain text). ``_meta`` of the
  result holds ``args_digest``, ``replayed`` and, for effects, ``at``.
- A refusal has ``isError``, the text ``Error: ...`` and ``_meta.code`` (``refused``,
  ``bad_arguments``, ``unknown_tool``, ``idempotency_conflict``).
- ``tower_`` tools answer with a JSON object, as text and as ``structuredContent``.
"""

from __future__ import annotations

import json
import os
from typing import Any

import mcp_types as types
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel.server import Server
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from controltower.practice.world.bearer import BearerMiddleware
from controltower.practice.world.dialect import Dialect
from controltower.practice.world.errors import BadArgumentsError, WorldError
from controltower.practice.world.fault_middleware import App, FaultMiddleware
from controltower.practice.world.faults import Faults
from controltower.practice.world.loading import load_tool_schemas
from controltower.practice.world.records import LIVE, Context, SystemOfRecord
from controltower.practice.world.tower_tools import PREFIX, TowerTools

DIALECTS = {dialect.value: dialect for dialect in Dialect}
RequestContext = ServerRequestContext[Any, Any]


class ToolService:
    """The handlers of one company's MCP server."""

    def __init__(self, records: SystemOfRecord, faults: Faults | None) -> None:
        self._records = records
        self._tower = TowerTools(records, faults)
        self._listing = types.ListToolsResult(
            tools=[
                *(_company_tool(schema) for schema in load_tool_schemas(records.domain)),
                *(_tower_tool(name, schema) for name, schema in self._tower.schemas.items()),
            ]
        )

    async def list_tools(
        self, context: RequestContext, params: types.PaginatedRequestParams | None
    ) -> types.ListToolsResult:
        """List the company's tools with their published schemas, then the ``tower_`` tools."""
        return self._listing

    async def call_tool(
        self, context: RequestContext, params: types.CallToolRequestParams
    ) -> types.CallToolResult:
        """Call a tool; every failure of the company's side is a result, not a protocol error."""
        try:
            call = read_context(dict(params.meta or {}))
            if params.name.startswith(PREFIX):
                return self._tower_result(params.name, params.arguments or {}, call)
            answer = self._records.call(params.name, params.arguments or {}, call)
        except WorldError as error:
            return _result(f"Error: {error}", {"code": error.code}, is_error=True)
        meta = {"args_digest": answer.args_digest, "replayed": answer.replayed}
        return _result(answer.text, meta if answer.at is None else {**meta, "at": answer.at})

    def _tower_result(
        self, tool: str, args: dict[str, Any], context: Context
    ) -> types.CallToolResult:
        answer = self._tower.call(tool, args, context)
        result = _result(json.dumps(answer), {})
        result.structured_content = answer
        return result


def read_context(meta: dict[str, Any]) -> Context:
    """Read a call's ``_meta``; raises ``BadArgumentsError`` for values that cannot be meant."""
    key, run, world = meta.get("idempotency_key"), meta.get("run"), meta.get("world", LIVE)
    dialect = DIALECTS.get(meta.get("dialect", "tau2"))
    texts = (value for value in (key, run, world) if value is not None)
    if dialect is None or world is None or not all(_is_name(value) for value in texts):
        raise BadArgumentsError("world, dialect, idempotency_key or run in _meta cannot be read")
    return Context(world, dialect, key, run)


def build_app(records: SystemOfRecord, faults: Faults | None = None, *, token: str = "") -> App:
    """Return the ASGI application: ``/mcp`` and ``/healthz``, behind faults if they are given.
    With a ``token``, callers of ``/mcp`` must bring it (RFC 6750)."""
    service = ToolService(records, faults)
    server: Server[Any] = Server(
        f"tower-{records.domain}",
        on_list_tools=service.list_tools,
        on_call_tool=service.call_tool,
    )

    server.middleware.clear()  # The SDK's spans go nowhere in this process and cost a tenth.

    async def healthz(request: Request) -> JSONResponse:
        # Which start of which tower this is, so that nobody takes another one's for its own.
        instance = {"Tower-Instance": os.environ.get("TOWER_INSTANCE", "")}
        told = {"ok": True, "domain": records.domain, "pid": os.getpid()}
        return JSONResponse(told, headers=instance)

    app: Starlette = server.streamable_http_app(
        stateless_http=True,
        json_response=True,
        custom_starlette_routes=[Route("/healthz", healthz)],
    )
    inner: App = app if faults is None else FaultMiddleware(app, faults)
    return BearerMiddleware(inner, token) if token else inner


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value) <= 255


def _company_tool(schema: dict[str, Any]) -> types.Tool:
    return types.Tool(
        name=schema["name"],
        description=schema["description"],
        input_schema=schema["parameters"],
        annotations=types.ToolAnnotations(read_only_hint=_is_read_only(schema)),
        _meta={"mutates": schema["mutates"], "tool_type": schema["tool_type"]},
    )


def _is_read_only(schema: dict[str, Any]) -> bool | None:
    """Whether the tool only reads; nothing is said of those that touch no data but may do something
    outside, such as calling a person."""
    return None if schema["tool_type"] == "generic" else not schema["mutates"]


def _tower_tool(name: str, schema: dict[str, Any]) -> types.Tool:
    return types.Tool(
        name=name,
        description=schema["description"],
        input_schema=schema["parameters"],
        _meta={"audience": "tower"},
    )


def _result(text: str, meta: dict[str, Any], *, is_error: bool = False) -> types.CallToolResult:
    return types.CallToolResult(
        content=[types.TextContent(text=text)], is_error=is_error, _meta=meta or None
    )
