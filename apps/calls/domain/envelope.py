"""What a tool server's answer to one request says: a result, an error of its own, or nothing.

Whatever can be read is read. An answer whose envelope is sound stays an answer though a part of it
is not (a NaN, a number without end, a hundred levels, a key twice): that part is set aside as the
text that came, and a note says so. Only the envelope decides whether something was answered.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from apps.kernel import exactjson

# Python reads a codec from a file when it is first used. That is now: a process that can open no
# more files by the time the first answer comes would lose what the answer says was done.
codecs.lookup("utf-8-sig")
LIMIT_BYTES = 4 * 1024 * 1024  # of one answer, as it comes over the wire
WORDS = 2000
# Codes that say that the server did not begin: what was sent was not understood, or not taken on.
# JSON-RPC 2.0's own but -32603, and MCP's for what a request lacks.
NOTHING_DONE = frozenset({-32700, -32600, -32601, -32602, -32002, -32042, -32020, -32021, -32022})
_BARE = re.compile(r'[{}\[\],:]|[^\s"{}\[\],:]+')
_TOKEN = re.compile(rf'"(?:[^"\\]|\\.)*(?P<end>")?|{_BARE.pattern}', re.DOTALL)
_DEEPER = {"{": 1, "[": 1, "}": -1, "]": -1}
_UNFIT = re.compile("[\x00\ud800-\udfff]")
MARK = "\ufffd"


def is_legible(text: str) -> bool:
    """Whether there is anything to read in a text: more than spaces and marks of direction."""
    return any(letter.isprintable() and not letter.isspace() for letter in text)


@dataclass(frozen=True, slots=True)
class UnreadPart:
    """A part of an answer that is no JSON of ours: the text that came, and why it wasn't read."""

    text: str
    why: str


@dataclass(frozen=True, slots=True)
class ServerError:
    """An error that the server itself sent."""

    code: int | None
    message: str

    @property
    def proves_nothing_done(self) -> bool:
        return self.code in NOTHING_DONE

    @property
    def words(self) -> str:
        said = self.message if is_legible(self.message) else "no message"
        return f"{said} (code {self.code})" if self.code is not None else said


@dataclass(frozen=True, slots=True)
class EnvelopeReply:
    """What one message says about the request: a ``result``, an ``error``, or ``missing``, words
    for why it says nothing about it. ``notes`` is what was odd about an answer."""

    result: Mapping[str, Any] | None = None
    error: ServerError | None = None
    missing: str = ""
    notes: tuple[str, ...] = field(default=())

    @property
    def is_answer(self) -> bool:
        return self.result is not None or self.error is not None


def read(raw: bytes | str, request_id: Any) -> EnvelopeReply:
    """Read the body of an answer to the request of this id. Never raises."""
    text, notes = _text(raw)
    if not text.strip():
        return EnvelopeReply(missing="the answer is empty")
    message = _parsed(text)
    if message is None:
        message, more = _piecewise(text)
        notes += more
    if isinstance(message, list):
        return _of_batch(message, request_id, notes)
    if not isinstance(message, Mapping):
        return EnvelopeReply(missing=f"the answer is no JSON-RPC message: {_shown(text)}")
    return _envelope(message, request_id, notes)


def _text(raw: bytes | str) -> tuple[str, list[str]]:
    if isinstance(raw, str):
        return raw, []
    try:
        return raw.decode("utf-8-sig"), []
    except UnicodeDecodeError:
        note = f"The answer was not valid UTF-8; {MARK} stands for what could not be read."
        return raw.decode(errors="replace"), [note]


def _parsed(text: str) -> Any:
    try:
        return exactjson.loads(text, most_bytes=LIMIT_BYTES)
    except ValueError:
        return None


def _of_batch(messages: list[Any], request_id: Any, notes: list[str]) -> EnvelopeReply:
    """The one message of a batch that answers the request."""
    mine = [m for m in messages if isinstance(m, Mapping) and _is_for(m.get("id"), request_id)]
    if len(mine) != 1:
        return EnvelopeReply(
            missing=f"a batch of {len(messages)} messages, {len(mine)} of them for this"
        )
    return _envelope(mine[0], request_id, notes)


def _is_for(answered: Any, request_id: Any) -> bool:
    """Whether the id is ours: as it was sent, or as text, which some servers make of it."""
    return not isinstance(answered, bool) and str(answered) == str(request_id)


def _envelope(message: Mapping[str, Any], request_id: Any, notes: list[str]) -> EnvelopeReply:
    has_result, error = "result" in message, message.get("error")
    if has_result and error is not None:
        return EnvelopeReply(missing="the answer is a result and an error at once")
    if not has_result and error is None:
        method = str(message.get("method") or "")[:80]
        said = f"a message “{method}” came in its place" if method else "it has neither"
        return EnvelopeReply(missing=f"no result and no error: {said}")
    answered = message.get("id")
    if not _is_for(answered, request_id) and (has_result or answered is not None):
        return EnvelopeReply(
            missing=f"it names another request ({answered!r:.60}, not {request_id!r})"
        )
    if message.get("jsonrpc") != "2.0":
        notes.append(f"The answer says jsonrpc {message.get('jsonrpc')!r:.40} where “2.0” is due.")
    if has_result:
        return _result(message["result"], notes)
    return EnvelopeReply(error=_error(error), notes=tuple(notes))


def _result(result: Any, notes: list[str]) -> EnvelopeReply:
    if isinstance(result, Mapping):
        return EnvelopeReply(result=result, notes=tuple(notes))
    notes.append("The result is no JSON object; it is kept as it came.")
    return EnvelopeReply(result={"content": [], "structuredContent": result}, notes=tuple(notes))


def _error(error: Any) -> ServerError:
    if not isinstance(error, Mapping):
        return ServerError(None, clean(str(getattr(error, "text", error)))[:WORDS])
    code = error.get("code")
    whole = isinstance(code, int) and not isinstance(code, bool)
    message = error.get("message")
    said = message if isinstance(message, str) else ""
    return ServerError(code if whole else None, clean(said or _data_words(error))[:WORDS])


def _data_words(error: Mapping[str, Any]) -> str:
    data = error.get("data", error.get("message"))
    return "" if data is None else str(getattr(data, "text", data))


def clean(text: str) -> str:
    """Text as it can be stored: a mark stands for NUL and for half a surrogate pair."""
    return _UNFIT.sub(MARK, text) if not text.isascii() or "\x00" in text else text


def _shown(text: str) -> str:
    return clean(" ".join(text[:200].split()))[:120]


# --- answers that can't be read whole -------------------------------------------------------------


def _piecewise(text: str) -> tuple[Any, list[str]]:
    """The envelope of a message that is no JSON of ours as a whole, each member read by itself."""
    members, rest = _members(text)
    if members is None:
        return None, []
    notes: list[str] = []
    if rest.strip():
        notes.append(f"After the answer came something else, which was ignored: {_shown(rest)}")
    whole: dict[str, Any] = {}
    for name, pieces in members.items():
        if len(pieces) > 1 and name in {"id", "result", "error", "jsonrpc"}:
            return None, []  # two ids or two results: nobody can say which is meant
        whole[name] = _member(name, pieces[-1], notes)
    return whole, notes


def _member(name: str, piece: str, notes: list[str]) -> Any:
    if name in {"result", "error"} and _parsed(piece) is None:
        inner, _ = _members(piece)
        if inner is not None:
            return {k: _last(k, v, notes) for k, v in inner.items()}
    return _value(name, piece, notes)


def _last(name: str, pieces: list[str], notes: list[str]) -> Any:
    """The value of a member, which may have been written more than once: of two of them the last
    is shown, and whether it is an error is then not plain."""
    if len(pieces) == 1:
        return _value(name, pieces[0], notes)
    notes.append(f"“{name[:80]}” is written {len(pieces)} times; the last one is taken.")
    if name == "isError":
        return UnreadPart(", ".join(pieces), "it is written more than once")
    return _value(name, pieces[-1], notes)


def _value(name: str, piece: str, notes: list[str]) -> Any:
    try:
        return exactjson.loads(piece, most_bytes=LIMIT_BYTES)
    except ValueError as error:
        return _odd_value(name, piece, error, notes)


def _odd_value(name: str, piece: str, error: ValueError, notes: list[str]) -> Any:
    reason = error.reason if isinstance(error, exactjson.NotCarriedError) else ""
    if "NUL" in reason or "surrogate" in reason:
        # What is odd beside such a character is known only when that is mended.
        with suppress(ValueError, RecursionError):
            mended = exactjson.check(_cleaned(exactjson.read_stored(piece)))
            notes.append(f"{MARK} stands for characters of “{name}” that can't be stored.")
            return mended
    if name == "content" and (items := _items(piece)) is not None:
        return [_value("item", i, notes) for i in items]
    if name == "item" and (inner := _members(piece)[0]) is not None:
        return {k: _value(k, v[-1], notes) for k, v in inner.items()}
    why = clean(str(error))[:300]
    notes.append(f"“{name[:80]}” could not be read and is kept as it came: {why}")
    return UnreadPart(clean(piece), why)


def _cleaned(value: Any) -> Any:
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, dict):
        return {clean(k): _cleaned(v) for k, v in value.items()}
    return [_cleaned(v) for v in value] if isinstance(value, list) else value


def _members(text: str) -> tuple[dict[str, list[str]] | None, str]:
    """The members of the JSON object that ``text`` begins with, by name, each as its text, and
    what follows it; ``None`` when it doesn't begin with a whole object. Counts brackets instead of
    recursing, so that depth can't break it."""
    found: dict[str, list[str]] = {}
    for span, rest in _split(text, "{", "}"):
        if span is None:
            return found, rest
        name = _TOKEN.match(span := span.strip())
        value = span[name.end() :].lstrip() if name else ""
        if name is None or not value.startswith(":"):
            break
        found.setdefault(clean(_key(name.group())), []).append(value[1:].strip())
    return None, ""


def _key(token: str) -> str:
    try:
        return str(exactjson.read_stored(token))
    except ValueError:
        return token


def _items(text: str) -> list[str] | None:
    found: list[str] = []
    for span, rest in _split(text, "[", "]"):
        if span is None:
            return found if not rest.strip() else None
        found.append(span.strip())
    return None


def _tokens(text: str) -> Iterator[re.Match[str]]:
    """Texts, signs and words. A quote whose text never ends is none of them; nor are those after
    it, which don't end either, so that they needn't be tried."""
    for token in _TOKEN.finditer(text):
        if token[0].startswith('"') and token["end"] is None:
            yield from _BARE.finditer(text, token.start() + 1)
            return
        yield token


def _split(text: str, opens: str, closes: str) -> Iterator[tuple[str | None, str]]:
    """The comma-separated spans between the first bracket and its partner; then ``None`` with what
    follows. Ends without it where the text is cut off."""
    depth, begin = 0, 0
    for token in _tokens(text):
        sign = token.group()
        if depth == 0 and sign != opens:
            return
        depth += _DEEPER.get(sign, 0)
        if depth == 0 and sign != closes:
            return
        if sign == opens and depth == 1:
            begin = token.end()
        elif depth == 0 or (depth == 1 and sign == ","):
            if (span := text[begin : token.start()]).strip():
                yield span, ""
            begin = token.end()
        if depth == 0:
            yield None, text[begin:]
            return
