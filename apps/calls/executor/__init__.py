"""The network door of the engine: a tool is called here, and how that ended is told honestly.

Outside any transaction, with a timeout, an idempotency key and a size limit; redirects are never
followed. The official MCP SDK speaks the protocol; a transport of ours under it (``wire``) notes
what HTTP really did with each request, since "was it sent?" decides whether a mutation may be
repeated, and reads the answer as it came. What a server may do and what that comes to is told in
``docs/tool-servers.md``.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from apps.calls.domain.retry import Ending
from apps.calls.executor import hiding, inprocess
from apps.calls.executor.connection import Connection, Connections
from apps.calls.executor.result import (
    CallResult,
    ConnectingError,
    EndedCall,
    Trace,
    outcome,
    words_of,
)
from apps.calls.executor.wire import CURRENT
from apps.catalog import adapters as servers
from apps.catalog.adapters import sdk
from apps.kernel import exactjson
from apps.redaction.domain.hidden import Hidden

__all__ = ["CallResult", "ToolClient"]
SESSIONS = 2  # a call is sent under so many: a lost one, then a new one
HEADER_TEXT = 4096  # of an argument that a server may ask for in a header too


class ToolClient:
    """Calls tools, over one connection to each server. Used as a context."""

    def __init__(self) -> None:
        self._modules: dict[str, str] = {}
        self._connections = Connections()

    async def __aenter__(self) -> ToolClient:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._connections.close()

    async def call(
        self,
        server: str,
        tool: str,
        arguments: Mapping[str, Any],
        *,
        meta: Mapping[str, Any],
        call_id: str,
        timeout_s: float,
        hidden: Hidden | None = None,
    ) -> CallResult:
        """Call ``tool`` once. Never raises for what the other side does: the result says how it
        ended. ``meta`` carries the idempotency key, the run and its context. What is ``hidden``
        is sent, and never comes back (``executor.hiding``)."""
        how = {"call_id": call_id, "timeout_s": timeout_s}
        if hidden is None:
            return await self._plainly(server, tool, arguments, meta=meta, **how)
        asked = hiding.asked(hidden, arguments, meta)
        if isinstance(asked, CallResult):
            return asked
        try:
            result = await self._plainly(server, tool, asked[0], meta=asked[1], **how)
            return hiding.masked(hidden, result)
        except Exception as error:
            raise hiding.without_values(hidden, error) from None

    async def _plainly(
        self,
        server: str,
        tool: str,
        arguments: Mapping[str, Any],
        *,
        meta: Mapping[str, Any],
        call_id: str,
        timeout_s: float,
    ) -> CallResult:
        if module := self._module_of(server):
            return await inprocess.call(module, tool, arguments, meta=meta, timeout_s=timeout_s)
        sdk.load()  # which takes a second once, that is not the server's
        started = time.monotonic()
        try:
            written = exactjson.dumps(exactjson.check(dict(arguments))).encode()
        except (ValueError, TypeError) as error:
            said = f"The arguments can't be sent: {error}"
            return EndedCall(Trace(), started).as_(Ending.REJECTED, "unsendable", said)
        trace = Trace(written, asyncio.get_running_loop().time() + timeout_s)
        sending = _Sending(server, tool, arguments, {**meta, "tower/call": call_id}, trace)
        try:
            async with asyncio.timeout(timeout_s):
                return await self._call(sending, started)
        except TimeoutError:
            return _late(trace, started, timeout_s)
        except ConnectingError as error:
            return _unconnected(error, started)
        except Exception as error:  # anything the other side does is a result, not a crash
            return outcome(trace, started, why=words_of(error))

    async def _call(self, sending: _Sending, started: float) -> CallResult:
        why = ""
        for _ in range(SESSIONS):
            connection = await self._connections.of(sending.server)
            connection.users += 1
            try:
                why = await sending.over(connection)
                if sending.is_to_go_again:
                    self._connections.drop(sending.server, connection)
                    continue
                result = outcome(sending.trace, started, why=why)
                return await _compared(connection, sending.tool, result)
            finally:
                connection.leave()
        return outcome(sending.trace, started, why=why)

    def at_once(
        self,
        server: str,
        tool: str,
        arguments: Mapping[str, Any],
        *,
        meta: Mapping[str, Any],
        hidden: Hidden | None = None,
    ) -> CallResult | None:
        """Call a tool of this process whose module answers it at once; ``None``, and nothing was
        done, for every other tool, and for calls that hide something, which take the long way."""
        module = self._module_of(server) if hidden is None else ""
        return inprocess.at_once(module, tool, arguments, meta=meta) if module else None

    def _module_of(self, server: str) -> str:
        """The module of an in-process server; empty for one on the network. Asked once a client:
        a drain lives for seconds, so a changed address is soon seen."""
        if server not in self._modules:
            self._modules[server] = servers.module_of(server)
        return self._modules[server]


class _Sending:
    """One call on its way, under one session or two."""

    def __init__(
        self,
        server: str,
        tool: str,
        arguments: Mapping[str, Any],
        meta: dict[str, Any],
        trace: Trace,
    ) -> None:
        self.server = server
        self.tool = tool
        self.trace = trace
        self._arguments = arguments
        self._meta = meta
        self._is_broken = False

    async def over(self, connection: Connection) -> str:
        """Send it; what the client raised, in words. How it ended is in the trace."""
        self._is_broken = False
        token = CURRENT.set(self.trace)
        try:
            shown = mirrored(self._arguments)
            await connection.client.call_tool(self.tool, shown, meta=self._meta)  # type: ignore[arg-type]  # keys of our own
        except Exception as error:  # whatever it is, the trace knows better
            self._is_broken = not self.trace.sent and self.trace.trouble == ""
            return words_of(error)
        finally:
            CURRENT.reset(token)
        return ""

    @property
    def is_to_go_again(self) -> bool:
        """Whether nothing was done because our session was gone: the server said so, or the
        connection had broken down before anything was sent."""
        return self.trace.session_lost or self._is_broken


def mirrored(value: Mapping[str, Any], depth: int = 4) -> dict[str, Any]:
    """What the SDK is given of the arguments: single values, which it repeats in headers where the
    server's schema asks for that. The arguments themselves are written by us, digit by digit."""
    shown: dict[str, Any] = {}
    for key, inner in value.items():
        if isinstance(inner, Mapping):
            if depth:
                shown[key] = mirrored(inner, depth - 1)
        elif isinstance(inner, str):
            if len(inner) <= HEADER_TEXT:
                shown[key] = inner
        elif isinstance(inner, bool | float) or (isinstance(inner, int) and abs(inner) < 2**63):
            shown[key] = inner
    return shown


async def _compared(connection: Connection, tool: str, result: CallResult) -> CallResult:
    """The answer, with a note where it isn't what the server's own schema promises. It was given
    all the same: what it tells about was done."""
    if result.ending is not Ending.ANSWERED:
        return result
    try:
        said = await connection.mismatch(tool, result)
    except TimeoutError:
        return result
    return replace(result, notes=(*result.notes, said)) if said else result


def _late(trace: Trace, started: float, timeout_s: float) -> CallResult:
    if trace.answer is not None:  # it came; what was late is what we did with it
        return outcome(trace, started)
    ended, why = EndedCall(trace, started), f": {trace.trouble}" if trace.trouble else ""
    if not trace.sent:
        said = f"No connection to the tool server in {timeout_s:g} s{why}"
        return ended.as_(Ending.NOT_SENT, "not_connected", said)
    return ended.as_(Ending.LOST, "timeout", f"no answer in {timeout_s:g} s{why}")


def _unconnected(error: ConnectingError, started: float) -> CallResult:
    """A server that wouldn't speak with us was sent no call."""
    result = outcome(error.trace, started, why=error.why)
    if result.ending in {Ending.REJECTED, Ending.TURNED_AWAY}:
        return result
    status = error.trace.status
    seen = f" (HTTP {status})" if status and status != 200 else ""
    said = f"No connection to the tool server{seen}: {error.trace.trouble or error.why}"
    return EndedCall(error.trace, started).as_(Ending.NOT_SENT, "not_connected", said)
