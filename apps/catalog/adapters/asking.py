"""Ask a tool server what it offers (MCP, both revisions that the SDK speaks)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import httpx2

from apps.catalog.adapters import sdk
from apps.catalog.adapters.addresses import ServerAccess
from apps.catalog.adapters.transport import EgressTransport, http_client, refused_credentials
from apps.catalog.domain.served import TOOL_NAME, ServedTool, ServedTools, read_tool
from apps.catalog.domain.sifting import Sieve
from apps.kernel.errors import TowerError, UnavailableError

if TYPE_CHECKING:
    from mcp import Client

ASK_SECONDS = 15.0
MAX_PAGES = 100
MAX_TOOLS = 2_000
MAX_BYTES = 16 * 1024 * 1024


class AskingTransport(EgressTransport):
    """Notes how HTTP was answered, and takes no answer without end."""

    status: int | None = None
    session: str = ""  # that the server gave us, if it keeps any

    def __init__(self, connection: ServerAccess, **options: Any) -> None:
        super().__init__(connection, **options)
        self.sieve = Sieve()

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        response = await super().handle_async_request(request)
        self.status = response.status_code
        self.session = response.headers.get("mcp-session-id", self.session)
        response.stream = _Capped(response.stream)
        return await self._sifted(response) if _is_listing(request) else response

    async def _sifted(self, response: httpx2.Response) -> httpx2.Response:
        """The answer without the entries that can't be read: they are no reason to read none."""
        is_stream = response.headers.get("content-type", "").startswith("text/event-stream")
        stream: Any = response.stream
        body = b""
        try:
            async for part in stream:
                body += part
                if is_stream and self.sieve.is_answered(body):
                    break  # the stream may stay open, for nothing that matters here
        finally:
            await stream.aclose()
        headers = httpx2.Headers(response.headers)
        for name in ("content-length", "transfer-encoding"):
            headers.pop(name, None)
        sifted = self.sieve.body(body, is_stream=is_stream)
        return httpx2.Response(response.status_code, headers=headers, content=sifted)


def _is_listing(request: httpx2.Request) -> bool:
    try:
        return request.method == "POST" and b'"tools/list"' in request.content
    except httpx2.RequestNotRead:
        return False


class _Capped(httpx2.AsyncByteStream):
    def __init__(self, stream: Any) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        left = MAX_BYTES
        async for part in self._stream:
            left -= len(part)
            if left < 0:
                raise httpx2.ReadError(f"its answer is larger than {MAX_BYTES // 2**20} MB")
            yield part

    async def aclose(self) -> None:
        await self._stream.aclose()


def ask(connection: ServerAccess, *, timeout_s: float = ASK_SECONDS) -> ServedTools:
    """What the server offers now. Raises ``UnavailableError`` that says why it can't be asked and
    what to do."""
    return asyncio.run(ask_now(connection, timeout_s=timeout_s))


async def ask_now(connection: ServerAccess, *, timeout_s: float = ASK_SECONDS) -> ServedTools:
    """The same inside an event loop."""
    address = connection.address
    if address.module:
        raise UnavailableError(
            f"The tool server “{address.slug}” is a Python module, which can't be asked for its"
            " tools. State input_schema for each.",
            server=address.slug,
        )
    sdk.load()  # which takes a second once, that is not the server's
    transport = AskingTransport(connection)
    try:
        async with asyncio.timeout(timeout_s), connected(connection, transport) as client:
            return _with_problems(await listing(client), transport.sieve)
    except Exception as error:
        # The SDK raises groups of transport errors; whatever it is, the server wasn't asked.
        raise _unasked(error, connection, transport, timeout_s) from None


@asynccontextmanager
async def connected(
    connection: ServerAccess, transport: EgressTransport, *, mode: str = "auto"
) -> AsyncIterator[Client]:
    """A client of the server, of whichever revision it speaks."""
    async with (
        http_client(connection, transport) as http,
        sdk.client(connection.url, http, mode=mode) as client,
    ):
        yield client


async def listing(client: Client) -> ServedTools:
    """Every page of the server's tools."""
    started = time.perf_counter()
    found: dict[str, ServedTool] = {}
    twice: list[str] = []
    unnamable, cursor = 0, None
    for _ in range(MAX_PAGES):
        page = await client.list_tools(cursor=cursor)
        for tool in page.tools:
            if not TOOL_NAME.fullmatch(tool.name):
                unnamable += 1
            elif tool.name in found:
                twice.append(tool.name)
            else:
                found[tool.name] = _served(tool)
        if len(found) > MAX_TOOLS:
            raise ValueError(f"it lists more than {MAX_TOOLS} tools")
        cursor = page.next_cursor
        if not cursor:
            break
    else:
        raise ValueError(f"its list of tools has more than {MAX_PAGES} pages")
    return ServedTools(
        tools=found,
        twice=tuple(dict.fromkeys(twice)),
        unnamable=unnamable,
        protocol=str(client.protocol_version or ""),
        server=_named(client),
        latency_ms=(time.perf_counter() - started) * 1000,
    )


def _with_problems(found: ServedTools, sieve: Sieve) -> ServedTools:
    wrong = {n: ServedTool(n, problem=why) for n, why in sieve.problems.items()}
    unnamable = found.unnamable + sieve.unnamable
    return replace(found, tools={**wrong, **found.tools}, unnamable=unnamable)


def _named(client: Client) -> str:
    info = client.server_info
    return f"{info.name} {info.version}".strip()[:200] if info else ""


def _served(tool: Any) -> ServedTool:
    said = tool.annotations.model_dump(by_alias=True) if tool.annotations else {}
    return read_tool(tool.name, tool.description or "", tool.input_schema, tool.output_schema, said)


def _unasked(
    error: Exception, connection: ServerAccess, transport: AskingTransport, timeout_s: float
) -> UnavailableError:
    address = connection.address
    if words := refused_credentials(transport.status, connection):
        return UnavailableError(words, server=address.slug, http_status=transport.status)
    reason = connection.redacted(reason_of(error, timeout_s))
    if transport.status is not None and transport.status >= 300:
        reason = f"it answered {transport.status}. {reason}"
    return UnavailableError(
        f"The tool server “{address.slug}” can't be asked for its tools at {address.shown}:"
        f" {reason.rstrip('.')}.",
        server=address.slug,
    )


def reason_of(error: BaseException, timeout_s: float) -> str:
    """Why, in a few words, out of the groups that the SDK wraps it in."""
    while isinstance(error, BaseExceptionGroup) and error.exceptions:
        error = error.exceptions[0]
    if isinstance(error, TowerError):
        return str(error)
    if isinstance(error, TimeoutError | httpx2.TimeoutException):
        return f"no answer within {timeout_s:g} s"
    text = (str(error) or type(error).__name__)[:300]
    return "connection refused" if "connection attempts failed" in text else text
