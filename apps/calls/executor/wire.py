"""The HTTP under the SDK's client: it notes what really became of each call, and keeps calls that
share a connection from one another's trouble.

The SDK ends a connection with whatever HTTP raises, reads numbers as floats, and drops what its
types don't know. So the call's own answer is read here, byte by byte as it came, and the SDK gets
one of the same meaning that can't hurt it. Nothing that goes wrong is raised through it: every
request is answered, if need be by an error made here. Which call a request belongs to is told by a
context variable, which the SDK carries along with its messages.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import suppress
from contextvars import ContextVar
from typing import Any

import httpx2
import orjson

from apps.calls.domain.envelope import LIMIT_BYTES, EnvelopeReply, read
from apps.calls.executor.result import Trace, retry_after_seconds, words_of
from apps.catalog import adapters as servers

logger = logging.getLogger(__name__)

CURRENT: ContextVar[Trace | None] = ContextVar("tower_call", default=None)
PLAIN = "identity"
SESSION = "mcp-session-id"
EVENTS = "text/event-stream"
ASIDE_S = 5.0  # for what is sent on the side: cancellations, answers to a server's own requests
GOODBYE_S = 2.0
GRACE_S = 0.25  # after a call's own time: what read for it stops
MOST_EVENTS = 5000  # in one answer
SERVERS_REQUESTS = 50  # of a server's own, within one answer, that are answered
SESSION_WORDS = re.compile(r"\bsession\b", re.IGNORECASE)
LOST_SESSION = {400, 404, 410}
NOT_THE_SESSION = {-32601, -32602}
FAILED = -32000  # of answers that are made here
_ANY = httpx2.Request("POST", "http://server.invalid/")  # a response has to have one

Message = Mapping[str, Any]


class Wire(servers.EgressTransport):
    """Sends the requests of one connection to a tool server."""

    def __init__(self, connection: servers.ServerAccess) -> None:
        limits = httpx2.Limits(max_connections=256, max_keepalive_connections=256)
        super().__init__(connection, limits=limits)
        self._server = connection
        self._redacted = connection.redacted if connection.headers else None
        self.last = Trace()  # what became of the last request that was no call
        self._aside: set[asyncio.Task[None]] = set()

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send a request of the SDK's. Raises nothing that the other side is the cause of."""
        trace = CURRENT.get()
        if request.method != "POST":
            return await self._without_body(request, trace)
        message = orjson.loads(request.content)
        if "id" not in message or "method" not in message:
            if message.get("method") == "notifications/initialized":
                return await self._sent_first(request)
            return self._send_aside(request)
        if trace is None or message["method"] != "tools/call":
            self.last.begin()
            return await self._exchange(request, self.last, message["id"], is_call=False)
        trace.begin()
        message["params"]["arguments"] = orjson.Fragment(trace.arguments)
        body = orjson.dumps(message)
        request.stream = httpx2.ByteStream(body)
        request.headers["content-length"] = str(len(body))
        return await self._exchange(request, trace, message["id"], is_call=True)

    async def aclose(self) -> None:
        for task in self._aside:
            task.cancel()
        await super().aclose()

    # --- one request, one answer ------------------------------------------------------------------

    async def _exchange(
        self, request: httpx2.Request, trace: Trace, request_id: Any, *, is_call: bool
    ) -> httpx2.Response:
        trace.request_id = request_id
        try:
            async with asyncio.timeout_at(_until(trace)):
                response = await self._send(request, trace)
                if _is_stream(response):
                    stream = Events(response, trace, self._redacted, is_call=is_call)
                    return _response(
                        200, {**_kept(response), "content-type": EVENTS}, stream=stream
                    )
                raw = await _whole(response, trace)
        except Exception as error:
            trace.trouble = words_of(error)
            return _error(request_id, FAILED, trace.trouble)
        if is_call:
            self._read(raw, trace, request, request_id)
            return _stand_in(trace, request_id)
        return _passed_on(response, raw, request_id)

    async def _send(self, request: httpx2.Request, trace: Trace) -> httpx2.Response:
        async def note(event: str, info: Any) -> None:
            if event.endswith("send_request_headers.started"):
                trace.sent = True

        request.extensions = {**request.extensions, "trace": note}
        response = await super().handle_async_request(request)
        said = response.headers
        trace.status = response.status_code
        trace.content_type = _content_type(response)
        trace.retry_after_s = retry_after_seconds(said.get("retry-after"), said.get("date"))
        trace.refused = servers.refused_credentials(trace.status, self._server)
        return response

    def _read(self, raw: bytes, trace: Trace, request: httpx2.Request, request_id: Any) -> None:
        if not trace.too_large and not trace.packed:
            trace.reply = _reply(self._redacted_bytes(raw), request_id)
        if SESSION in request.headers and trace.status in LOST_SESSION:
            trace.session_lost = _says_session_lost(trace, raw)
            if trace.session_lost:
                trace.reply = None

    def _redacted_bytes(self, raw: bytes) -> bytes:
        """An answer without the credentials that were sent, should the server repeat them."""
        if self._redacted is None:
            return raw
        text = raw.decode("utf-8", "surrogateescape")
        return self._redacted(text).encode("utf-8", "surrogateescape")

    # --- what isn't waited for --------------------------------------------------------------------

    async def _without_body(self, request: httpx2.Request, trace: Trace | None) -> httpx2.Response:
        """Nothing that a server says unasked is wanted, so no stream is opened for it; one that
        broke off in a call's answer is taken up again. A goodbye is waited for a little."""
        if request.method == "GET":
            if trace is None or "last-event-id" not in request.headers:
                return _response(405, {})
            response = await self._send(request, trace)
            stream = Events(response, trace, self._redacted, is_call=True)
            kept = {**_kept(response), "content-type": _content_type(response)}
            return _response(response.status_code, kept, stream=stream)
        async with asyncio.timeout(GOODBYE_S):
            return await super().handle_async_request(request)

    async def _sent_first(self, request: httpx2.Request) -> httpx2.Response:
        """A message without an answer that has to arrive before the next."""
        with suppress(Exception):
            async with asyncio.timeout(ASIDE_S):
                response = await super().handle_async_request(request)
                await response.aclose()
        return _response(202, {})

    def _send_aside(self, request: httpx2.Request) -> httpx2.Response:
        """A message without an answer that nobody has to wait for: the SDK sends one at a time."""
        task = asyncio.create_task(self._sent_aside(request))
        self._aside.add(task)
        task.add_done_callback(self._aside.discard)
        return _response(202, {})

    async def _sent_aside(self, request: httpx2.Request) -> None:
        await self._sent_first(request)


class Events(httpx2.AsyncByteStream):
    """A stream of events in which the answer to a request comes. The SDK gets the server's own
    requests (a few), the marks by which a broken stream is taken up again, and a stand-in for the
    answer, with which the stream ends."""

    def __init__(
        self,
        response: httpx2.Response,
        trace: Trace,
        redacted: Callable[[str], str] | None,
        *,
        is_call: bool,
    ) -> None:
        self._response = response
        self._trace = trace
        self._redacted = redacted
        self._is_call = is_call
        self._requests = 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        trace = self._trace
        body = Capped(self._response, trace)
        whole = httpx2.Response(200, headers={"content-type": EVENTS}, stream=body, request=_ANY)
        events = aiter(httpx2.EventSource(whole, max_event_size=None))
        for _ in range(MOST_EVENTS):
            try:
                async with asyncio.timeout_at(_until(trace)):
                    event = await anext(events)
            except StopAsyncIteration:
                trace.trouble = trace.trouble or "the stream of events ended without the answer"
                return
            except Exception as error:
                trace.trouble = words_of(error)
                return
            passed = self._passed(event)
            if passed:
                yield passed
            if trace.answer is not None and self._is_call:
                return
        trace.too_large = True

    async def aclose(self) -> None:
        with suppress(Exception):
            await self._response.aclose()

    def _passed(self, event: httpx2.ServerSentEvent) -> bytes:
        marks = [f"id: {event.id}"] if event.id else []
        if event.retry is not None:
            marks.append(f"retry: {event.retry}")
        data = self._data(event.data) if event.event in {"message", ""} and event.data else ""
        if not data and not marks:
            return b""
        return "\n".join([*marks, f"data: {data}", "", ""]).encode(errors="replace")

    def _data(self, data: str) -> str:
        if not self._is_call:
            return " ".join(data.splitlines())
        reply = _reply(self._redacted(data) if self._redacted else data, self._trace.request_id)
        if reply.is_answer:
            self._trace.reply = reply
            return _stand_in_text(reply, self._trace.request_id)
        self._requests += 1
        if self._requests <= SERVERS_REQUESTS and (asked := _servers_request(data)):
            return asked
        if '"result"' in data or '"error"' in data:
            self._trace.trouble = reply.missing
        return ""


def _reply(raw: bytes | str, request_id: Any) -> EnvelopeReply:
    """Reading never raises; should it do so all the same, that is one call's trouble: an exception
    here would end the connection and every other call on it."""
    try:
        return read(raw, request_id)
    except Exception as error:
        logger.exception("an answer could not be read")
        return EnvelopeReply(missing=f"the answer could not be read: {words_of(error)}")


class Capped(httpx2.AsyncByteStream):
    """A body that breaks off where it grows beyond what an answer may be, so that no tool decides
    how much memory a worker needs. One that is too large by its own account isn't read at all, nor
    one that is packed, whatever it would unpack to: nobody asked for that."""

    def __init__(self, response: httpx2.Response, trace: Trace) -> None:
        self._stream: Any = response.stream
        self._trace = trace
        told = response.headers.get("content-length", "")
        trace.packed = _packed(response)
        trace.too_large = told.isascii() and told.isdigit() and int(told[:20]) > LIMIT_BYTES

    async def __aiter__(self) -> AsyncIterator[bytes]:
        left = LIMIT_BYTES
        if self._trace.too_large or self._trace.packed:
            raise httpx2.ReadError("the answer is too large, or compressed")
        async for part in self._stream:
            left -= len(part)
            if left < 0:
                self._trace.too_large = True
                raise httpx2.ReadError("the answer is too large")
            yield part

    async def aclose(self) -> None:
        await self._stream.aclose()


async def _whole(response: httpx2.Response, trace: Trace) -> bytes:
    """The body, as far as it may be read. What came before it broke off may be the whole answer
    all the same: a server that states the wrong length."""
    parts: list[bytes] = []
    body = Capped(response, trace)
    try:
        async for part in body:
            parts.append(part)
    except (httpx2.TransportError, httpx2.StreamError) as error:
        trace.trouble = words_of(error)
    finally:
        await body.aclose()
    return b"".join(parts)


def _until(trace: Trace) -> float | None:
    return None if trace.deadline is None else trace.deadline + GRACE_S


def _is_stream(response: httpx2.Response) -> bool:
    is_stream = _content_type(response) == EVENTS and response.status_code == 200
    return is_stream and not _packed(response)


def _content_type(response: httpx2.Response) -> str:
    said: str = response.headers.get("content-type", "")
    return said.partition(";")[0].strip().lower()[:80]


def _packed(response: httpx2.Response) -> str:
    said: str = response.headers.get("content-encoding", PLAIN).strip().lower()
    return "" if said == PLAIN else said[:40]


def _says_session_lost(trace: Trace, raw: bytes) -> bool:
    """Whether a refusal is about our session: 404 by the protocol, other statuses by their words.
    A method or parameters that are wrong are the server's answer."""
    error = trace.reply.error if trace.reply else None
    words = error.message if error else raw[:2000].decode(errors="replace")
    if SESSION_WORDS.search(words):
        return True
    return trace.status == 404 and (error is None or error.code not in NOT_THE_SESSION)


# --- what the SDK is given ------------------------------------------------------------------------


def _stand_in(trace: Trace, request_id: Any) -> httpx2.Response:
    if trace.answer is None:
        return _error(request_id, FAILED, "no answer")
    text = _stand_in_text(trace.answer, request_id)
    return _response(200, {"content-type": "application/json"}, content=text.encode())


def _stand_in_text(reply: EnvelopeReply, request_id: Any) -> str:
    """An answer of the same meaning. An error is told with its code, since the SDK has an answer to
    some; a result is empty, and marked so that the SDK doesn't compare it with a schema."""
    said: dict[str, Any] = {"jsonrpc": "2.0", "id": request_id}
    if reply.error is None:
        said["result"] = {"content": [], "isError": True, "resultType": "complete"}
    else:
        code = reply.error.code
        small = code is not None and abs(code) < 2**31
        said["error"] = {"code": code if small else FAILED, "message": reply.error.message[:500]}
    return json.dumps(said)


def _error(request_id: Any, code: int, message: str) -> httpx2.Response:
    said = {"jsonrpc": "2.0", "id": request_id, "error": {"code": code, "message": message}}
    return _response(200, {"content-type": "application/json"}, content=json.dumps(said).encode())


def _passed_on(response: httpx2.Response, raw: bytes, request_id: Any) -> httpx2.Response:
    """An answer that is no call's, as it came. A redirect isn't followed."""
    if 300 <= response.status_code < 400:
        return _error(request_id, FAILED, f"HTTP {response.status_code} is not followed")
    kept = {**_kept(response), "content-type": response.headers.get("content-type", "")}
    return _response(response.status_code, kept, content=raw)


def _kept(response: httpx2.Response) -> dict[str, str]:
    session = response.headers.get(SESSION)
    return {SESSION: session} if session else {}


def _response(status: int, headers: Mapping[str, str], **body: Any) -> httpx2.Response:
    return httpx2.Response(status, headers=dict(headers), **body)


def _servers_request(data: str) -> str:
    """A request of the server's own (a ping, say), for the SDK to answer; else empty."""
    if len(data) > 64 * 1024:
        return ""
    with suppress(ValueError, RecursionError):
        message = json.loads(data)
        if isinstance(message, dict) and "method" in message and "id" in message:
            return json.dumps(message)
    return ""
