"""How a call ended: what HTTP did with it, and what that comes to."""

from __future__ import annotations

import email.utils
import ssl
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from math import isfinite
from typing import Any

import httpx2

from apps.calls.domain.content import Content, Part, of_text, read_result
from apps.calls.domain.envelope import (
    LIMIT_BYTES,
    WORDS,
    EnvelopeReply,
    ServerError,
    clean,
    is_legible,
)
from apps.calls.domain.retry import NOTHING_STATUSES, Ending
from apps.catalog.adapters import sdk

# Statuses by which whoever answered says that the request was not taken on: there is no such place,
# not in this form, not from you. Others below 500 say nothing about what was done before.
NOT_TAKEN = {404, 405, 406, 410, 411, 413, 414, 415, 417, 421, 426, 428, 431, 501}
ELSEWHERE = {307, 308}  # the same request is to be made at another place: it wasn't taken on here
NO_REASON = "The tool refused and gave no reason that can be read."
MANY = f"{LIMIT_BYTES // 2**20} MiB"


@dataclass(slots=True)
class Trace:
    """What HTTP did with one call."""

    arguments: bytes = b"{}"
    deadline: float | None = None  # of the event loop's clock: nothing is read for longer
    sent: bool = False
    status: int | None = None
    retry_after_s: float | None = None
    content_type: str = ""
    too_large: bool = False
    packed: str = ""
    session_lost: bool = False
    request_id: Any = None
    reply: EnvelopeReply | None = None
    refused: str = ""  # words for credentials that weren't accepted
    trouble: str = ""  # what went wrong on the way, in words

    def begin(self) -> None:
        """The same call is sent once more: what became of it before is no matter."""
        self.status = self.retry_after_s = self.reply = None
        self.content_type = self.packed = self.refused = self.trouble = ""
        self.too_large = self.session_lost = False

    @property
    def answer(self) -> EnvelopeReply | None:
        return self.reply if self.reply is not None and self.reply.is_answer else None


@dataclass(frozen=True, slots=True)
class CallResult:
    """How one attempt ended. ``content`` is what the agent is told of the answer; ``data`` its
    structured value; ``parts`` its pieces, where it is more than one text; ``notes`` what was odd
    about it; ``digested`` what its digest is made over (``content``, where there is none)."""

    ending: Ending
    content: str = ""
    data: Any = None
    error_class: str = ""
    error: str = ""
    http_status: int | None = None
    retry_after_s: float | None = None
    duration_ms: float = 0.0
    replayed: bool = False
    meta: Mapping[str, Any] = field(default_factory=dict)
    parts: tuple[Part, ...] = ()
    notes: tuple[str, ...] = ()
    digested: Any = None
    looked_up: bool = False  # not the call's own answer: the look-up found it

    @property
    def document(self) -> Any:
        """The answer's value: the structured one, else the JSON that its text is."""
        return self.data if self.data is not None else of_text(self.content)


class ConnectingError(Exception):
    """A tool server with which no connection came about; ``result`` says how that ended."""

    def __init__(self, trace: Trace, why: str) -> None:
        super().__init__(why)
        self.trace = trace
        self.why = why


# --- what a trace comes to ------------------------------------------------------------------------


def outcome(trace: Trace, started: float, *, why: str = "") -> CallResult:
    """How a call ended of which this is known. ``why``: what the client raised, in words."""
    ended = EndedCall(trace, started)
    if trace.refused:
        return ended.as_(Ending.REJECTED, f"http_{trace.status}", _credentials(trace))
    if error_class := _come_again(trace):
        said = f"The tool server said to retry later ({_status(trace)})."
        return ended.as_(Ending.TURNED_AWAY, error_class, said)
    if (reply := trace.answer) is not None:
        return ended.answered(reply)
    if not trace.sent:
        return ended.as_(Ending.NOT_SENT, "not_connected", trace.trouble or why)
    return _unanswered(trace, ended, why)


def _credentials(trace: Trace) -> str:
    words = trace.answer.error.words if trace.answer and trace.answer.error else ""
    return f"{trace.refused} It said: {words}" if words else trace.refused


def _come_again(trace: Trace) -> str:
    if trace.status in NOTHING_STATUSES:
        return f"http_{trace.status}"
    by_itself = trace.answer is not None and trace.answer.error is not None
    told = trace.status == 503 and trace.retry_after_s is not None and by_itself
    return "turned_away" if told else ""


def _unanswered(trace: Trace, ended: EndedCall, why: str) -> CallResult:
    status = trace.status or 0
    if trace.too_large:
        return ended.as_(Ending.BROKEN, "too_large", f"The answer has more than {MANY}, or no end.")
    if trace.packed:
        said = f"The answer is compressed ({trace.packed}), which the tower didn't ask for."
        return ended.as_(Ending.BROKEN, "packed", said)
    if trace.session_lost:
        said = "The tool server rejected the session as unknown, and a new one too."
        return ended.as_(Ending.NOT_SENT, "session_lost", said)
    if status in NOT_TAKEN or status in ELSEWHERE:
        return ended.as_(Ending.REJECTED, f"http_{status}", _not_taken(trace))
    if 300 <= status < 500:
        said = f"The tool server answered {_status(trace)} and nothing that can be read."
        return ended.as_(Ending.BROKEN, f"http_{status}", said)
    if status >= 500:
        said = f"The tool server failed ({_status(trace)}). {trace.trouble}".strip()
        return ended.as_(Ending.LOST, f"http_{status}", said)
    said = trace.reply.missing if trace.reply else trace.trouble or why
    if said and trace.status is not None and not _is_message(trace.content_type):
        said = (
            f"The answer is {trace.content_type or 'of no stated type'}, not an MCP message: {said}"
        )
        return ended.as_(Ending.BROKEN, "not_mcp", said)
    return ended.as_(Ending.LOST, "connection_lost", f"No answer can be trusted: {said}.")


def _is_message(content_type: str) -> bool:
    return content_type in {"application/json", "text/event-stream"}


def _not_taken(trace: Trace) -> str:
    if trace.status in ELSEWHERE:
        return (
            f"The tool server redirects to another address ({_status(trace)}), which is not "
            "followed: set the right address."
        )
    if trace.status in {404, 405, 410}:
        return f"There is no MCP server at this address ({_status(trace)}): set the right one."
    return f"The tool server refuses the tower's requests ({_status(trace)})."


def _status(trace: Trace) -> str:
    return f"HTTP {trace.status}"


@dataclass(frozen=True, slots=True)
class EndedCall:
    """A call that ended just now."""

    trace: Trace
    started: float

    def as_(self, ending: Ending, error_class: str, error: str) -> CallResult:
        return CallResult(
            ending=ending,
            error_class=error_class,
            error=clean(error)[:WORDS],
            http_status=self.trace.status,
            retry_after_s=self.trace.retry_after_s,
            duration_ms=self._took_ms(),
        )

    def answered(self, reply: EnvelopeReply) -> CallResult:
        """An answer of the server's own, whatever came after it."""
        if reply.error is not None:
            return self._errored(reply.error)
        return self.with_content(read_result(reply))

    def with_content(self, content: Content) -> CallResult:
        ending, error_class, error = Ending.ANSWERED, "", ""
        if content.needs_input:
            ending, error_class = Ending.ERRED, "refused_by_tool"
            error = "The tool asks for more input, which it can't be given in a call."
        elif content.is_error:
            ending, error_class, error = Ending.ERRED, "refused_by_tool", content.told[:WORDS]
            error = error if is_legible(error) else NO_REASON
        return CallResult(
            ending=ending,
            content=content.told,
            data=content.data,
            error_class=error_class,
            error=error,
            http_status=self.trace.status,
            duration_ms=self._took_ms(),
            replayed=bool(content.meta.get("replayed")),
            meta=content.meta,
            parts=() if content.is_plain else content.parts,
            notes=content.notes,
            digested=content.digested,
        )

    def _errored(self, error: ServerError) -> CallResult:
        ending = Ending.REFUSED if error.proves_nothing_done else Ending.ERRED
        return CallResult(
            ending=ending,
            content=error.words,
            error_class="refused_by_tool",
            error=error.words,
            http_status=self.trace.status,
            duration_ms=self._took_ms(),
        )

    def _took_ms(self) -> float:
        return (time.monotonic() - self.started) * 1000


# --- words ----------------------------------------------------------------------------------------


def words_of(error: BaseException) -> str:
    """What went wrong, in words: of a group the first that says something."""
    first = next(leaves(error))
    if (told := sdk.said(first)) is not None:
        return clean(told)[:500]
    if isinstance(first, httpx2.ConnectTimeout):
        return "the tool server could not be connected to in time"
    if isinstance(first, httpx2.ConnectError):
        return f"the tool server could not be connected to: {_cause(first)}"
    if isinstance(first, httpx2.RemoteProtocolError):
        return f"the tool server does not speak HTTP as it should: {first}"[:500]
    if isinstance(first, httpx2.ReadError | httpx2.WriteError | httpx2.CloseError):
        return "the connection to the tool server broke off"
    if isinstance(first, TimeoutError | httpx2.TimeoutException):
        return "the tool server did not answer in time"
    return clean(str(first) or type(first).__name__)[:500]


def leaves(error: BaseException) -> Iterator[BaseException]:
    """The errors that a group is made of, in order; the error itself, if it is none."""
    if isinstance(error, BaseExceptionGroup):
        for one in error.exceptions:
            yield from leaves(one)
    else:
        yield error


def _cause(error: BaseException) -> str:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLError):
            return f"its certificate was not accepted ({cause.reason or cause})"
        cause = cause.__cause__ or cause.__context__
    return str(error) or "connection refused"


def retry_after_seconds(value: str | None, answered_at: str | None = None) -> float | None:
    """``Retry-After`` (RFC 9110) as seconds: a number, or an HTTP date counted from the answer's
    own ``Date`` (``answered_at``), since the clock here may be minutes off; else ``None``."""
    if not value:
        return None
    with suppress(ValueError):
        return seconds if isfinite(seconds := float(value)) else None
    if (when := _http_date(value)) is None:
        return None
    return (when - (_http_date(answered_at) or datetime.now(UTC))).total_seconds()


def _http_date(value: str | None) -> datetime | None:
    try:
        return email.utils.parsedate_to_datetime(value or "").astimezone(UTC)
    except (TypeError, ValueError, OverflowError):
        return None
