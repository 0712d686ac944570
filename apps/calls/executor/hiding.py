"""The door between tokens and values: what is sent has the values, what comes back has none.

Whatever a server says of a hidden value goes through here before anything else reads it: answers,
errors, notes, files.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from apps.calls.domain.content import Part
from apps.calls.domain.retry import Ending
from apps.calls.executor.result import CallResult
from apps.kernel import exactjson, trouble
from apps.redaction.domain.hidden import Hidden, UnknownTokenError

WITHHELD = "A file of the answer holds a hidden value and is not kept."
Asked = tuple[Mapping[str, Any], Mapping[str, Any]]


class HiddenError(Exception):
    """An error of ours with the hidden values taken out of its words."""


def asked(
    hidden: Hidden, arguments: Mapping[str, Any], meta: Mapping[str, Any]
) -> Asked | CallResult:
    """Arguments and metadata with the values in their places; a result where one isn't known."""
    try:
        return hidden.real(arguments), hidden.real(meta)
    except UnknownTokenError as error:
        said = f"The arguments can't be sent: {error}"
        return CallResult(Ending.REJECTED, error_class="unsendable", error=said)


def without_values(hidden: Hidden, error: Exception) -> HiddenError:
    """The error to be raised in the place of one whose words may hold values."""
    return HiddenError(hidden.message(trouble.words(error)))


def masked(hidden: Hidden, result: CallResult) -> CallResult:
    """The result as it may be read and kept. One that holds no hidden value stays as it is."""
    texts = (result.content, *(p.told for p in result.parts), result.error, *result.notes)
    hidden.learn(result.data)
    hidden.learn(dict(result.meta))
    for text in texts:
        hidden.learn_text(text)
    for part in result.parts:
        hidden.learn_text(_text(part.body) or "")
    parts = tuple(_part(hidden, part, result.data) for part in result.parts)
    notes = [hidden.message(note) for note in result.notes]
    if any(p.body is None and q.body is not None for p, q in zip(parts, result.parts, strict=True)):
        notes.append(WITHHELD)
    data = _same_or(hidden.mask, result.data)
    found = replace(
        result,
        content=_content(hidden, result, parts),
        data=data,
        meta=_same_or(hidden.mask, result.meta),
        error=hidden.message(result.error),
        parts=parts,
        notes=tuple(notes),
    )
    return replace(found, digested=_digested(found, result))


def _content(hidden: Hidden, result: CallResult, parts: tuple[Part, ...]) -> str:
    whole = "\n".join(p.told for p in result.parts if p.told)
    if result.parts and whole == result.content:
        return "\n".join(p.told for p in parts if p.told)
    return hidden.message(result.content)


def _digested(found: CallResult, before: CallResult) -> Any:
    if before.digested is None or before.digested == before.content:
        return None if before.digested is None else found.content
    return [[p.kind, p.media_type, p.name, p.annotations, p.sha256] for p in found.parts]


def _part(hidden: Hidden, part: Part, data: Any) -> Part:
    told, body = hidden.message(part.told), part.body
    name, annotations = hidden.text(part.name), hidden.message(part.annotations)
    digest, size = part.sha256, part.size
    raw = None
    if body is not None:
        body = raw = _body(hidden, body)
    elif told != part.told:
        raw = told.encode(errors="replace")
    elif part.kind == "structured" and not part.told:
        masked = _same_or(hidden.mask, data)
        raw = None if masked is data else exactjson.dumps(masked, sort_keys=True).encode()
    if raw is not None and raw != part.body:
        digest, size = hashlib.sha256(raw).hexdigest(), len(raw)
    if body is None and part.body is not None:
        digest, size = hashlib.sha256(told.encode()).hexdigest(), 0
    return replace(
        part, told=told, name=name, annotations=annotations, body=body, sha256=digest, size=size
    )


def _body(hidden: Hidden, body: bytes) -> bytes | None:
    """A file without hidden values; ``None`` for one that isn't text and holds one."""
    if (text := _text(body)) is not None:
        masked = hidden.message(text)
        return body if masked == text else masked.encode(errors="replace")
    return None if hidden.is_in(body) else body


def _text(body: bytes | None) -> str | None:
    try:
        return None if body is None else body.decode()
    except UnicodeDecodeError:
        return None


def _same_or(act: Callable[[Any], Any], value: Any) -> Any:
    """What ``act`` makes of it; the very value where that is the same."""
    if value is None:
        return None
    found = act(value)
    return value if exactjson.same(found, value) else found
