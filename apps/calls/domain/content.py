"""What a tool answered, of every kind that MCP knows and of those that it doesn't.

Each piece of an answer has its own part in the answer's digest. What is text is told to the agent;
of what is not (images, audio, files) it is told that it was left out, and people may download it.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from apps.calls.domain.envelope import LIMIT_BYTES, MARK, EnvelopeReply, UnreadPart, clean
from apps.kernel import exactjson

SHOWN_PARTS = 100  # described one by one; what comes after is kept as one piece
KEPT_BYTES = LIMIT_BYTES  # of one answer's files: as much as an answer may be
NAME = 300
ASIDE = 2000  # characters of annotations or of an unknown kind's JSON that are shown


@dataclass(frozen=True, slots=True)
class Part:
    """One piece of an answer. ``told`` is what an agent is told of it; ``body`` is what people may
    download, where the piece isn't all told."""

    kind: str  # text | image | audio | resource | link | unknown | structured | rest
    sha256: str
    size: int
    told: str = ""
    media_type: str = ""
    name: str = ""
    annotations: str = ""
    body: bytes | None = None

    def row(self) -> dict[str, Any]:
        """As it is stored with the step."""
        said = {
            "kind": self.kind,
            "sha256": self.sha256,
            "size": self.size,
            "media_type": self.media_type,
            "name": self.name,
            "annotations": self.annotations,
            "kept": self.body is not None,
        }
        return {key: value for key, value in said.items() if value not in ("", False)}


@dataclass(frozen=True, slots=True)
class Content:
    """An answer, read: what is told, its structured value, its pieces, and what was odd."""

    told: str
    data: Any = None
    parts: tuple[Part, ...] = ()
    is_error: bool = False
    needs_input: bool = False
    notes: tuple[str, ...] = field(default=())
    meta: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_plain(self) -> bool:
        """Whether it is one text and nothing else, as most answers are."""
        return all(p.kind == "text" and not p.annotations for p in self.parts)

    @property
    def digested(self) -> Any:
        """What the answer's digest is made over: the text of a plain answer, else every piece."""
        if self.is_plain:
            return self.told
        return [[p.kind, p.media_type, p.name, p.annotations, p.sha256] for p in self.parts]


def read_result(reply: EnvelopeReply) -> Content:
    """The result of a tool's call as its server sent it. Never raises."""
    result = reply.result or {}
    notes = list(reply.notes)
    items = result.get("content")
    if not isinstance(items, list):
        if items is not None or "structuredContent" not in result:
            notes.append("The result's content is no list.")
        items = [] if items is None else [items]
    parts = [_part(item, notes) for item in items[:SHOWN_PARTS]]
    if len(items) > SHOWN_PARTS:
        parts.append(_rest(items[SHOWN_PARTS:], notes))
    data = result.get("structuredContent")
    if isinstance(data, UnreadPart):
        parts.append(_structured(data))
        data = None
    elif data is not None:
        parts.append(_structured(data, [p.told for p in parts if p.kind == "text"]))
    flag = result.get("isError")
    if not isinstance(flag, bool | None):
        notes.append(f"isError is {str(flag)[:40]!r}, not true or false: taken for an error.")
    return Content(
        told="\n".join(p.told for p in parts if p.told),
        data=data,
        parts=tuple(_bounded(parts, notes)),
        is_error=flag not in (None, False),
        needs_input=result.get("resultType") == "input_required",
        notes=tuple(dict.fromkeys(notes)),
        meta=_meta(result.get("_meta")),
    )


def of_value(value: Any, notes: Sequence[str] = ()) -> Content:
    """What a tool of this process returned: a JSON value, told as its text."""
    told = exactjson.dumps(value)
    return Content(told, value, (_of_text("structured", told),), notes=tuple(notes))


def of_text(text: str) -> Any:
    """The JSON object or list that a text is, for servers that know no structured answers; else
    ``None``."""
    if not text.lstrip().startswith(("{", "[")):
        return None
    try:
        return exactjson.loads(text)
    except ValueError:
        return None


def _meta(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _bounded(parts: list[Part], notes: list[str]) -> list[Part]:
    left = KEPT_BYTES
    kept = []
    for part in parts:
        left -= len(part.body or b"")
        kept.append(part if left >= 0 else replace(part, body=None))
    if left < 0:
        notes.append("Not all files are kept: together they are larger than an answer may be.")
    return kept


def _part(item: Any, notes: list[str]) -> Part:
    if isinstance(item, Mapping):
        kind = item.get("type")
        if kind == "text" and isinstance(item.get("text"), str):
            return _of_text("text", _stored(item["text"], notes), annotations=_aside(item))
        if kind in ("image", "audio") and isinstance(item.get("data"), str):
            return _file(str(kind), item["data"], item, item, notes)
        if kind == "resource" and isinstance(item.get("resource"), Mapping):
            return _resource(item, item["resource"], notes)
        if kind == "resource_link" and isinstance(item.get("uri"), str):
            return _link(item)
    return _unknown(item)


def _of_text(kind: str, text: str, **more: Any) -> Part:
    raw = text.encode(errors="replace")
    return Part(kind, _sha(raw), len(raw), text, **more)


def _resource(item: Mapping[str, Any], resource: Mapping[str, Any], notes: list[str]) -> Part:
    text = resource.get("text")
    if isinstance(text, str):
        name = _word(resource.get("uri"))
        raw = _stored(text, notes).encode()
        told = f"[resource {name}]\n{raw.decode()}"
        media = _word(resource.get("mimeType"))
        aside = _aside(item)
        return Part("resource", _sha(raw), len(raw), told, media, name, aside, raw)
    if isinstance(resource.get("blob"), str):
        return _file("resource", resource["blob"], resource, item, notes)
    return _unknown(item)


def _file(
    kind: str, data: str, about: Mapping[str, Any], item: Mapping[str, Any], notes: list[str]
) -> Part:
    try:
        raw = base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        notes.append(f"A part of kind “{kind}” is no valid base64; it is kept as it came.")
        raw = data.encode(errors="replace")
    media, name = _word(about.get("mimeType")), _word(about.get("uri"))
    named = " ".join(word for word in (kind, name, media) if word)
    told = f"[{named}, {len(raw):,} bytes: left out]"
    return Part(kind, _sha(raw), len(raw), told, media, name, _aside(item), raw)


def _link(item: Mapping[str, Any]) -> Part:
    uri = clean(item["uri"])
    raw = _json(item).encode(errors="replace")
    title = _word(item.get("title")) or _word(item.get("name"))
    about = _word(item.get("description"))
    told = " ".join(word for word in (f"[link {uri}]", title, about) if word)
    return Part(
        "link", _sha(raw), len(raw), told, _word(item.get("mimeType")), uri[:NAME], _aside(item)
    )


def _unknown(item: Any) -> Part:
    """A kind that the protocol's revisions of today don't have, or one that lacks what it needs."""
    text = _json(item)
    raw = text.encode(errors="replace")
    kind = _word(item.get("type")) if isinstance(item, Mapping) else ""
    told = text if len(text) <= ASIDE else f"[{kind or 'unknown'}, {len(raw):,} bytes: left out]"
    return Part("unknown", _sha(raw), len(raw), told, name=kind, body=raw)


def _rest(items: Sequence[Any], notes: list[str]) -> Part:
    notes.append(f"The answer has more than {SHOWN_PARTS} parts; the rest is kept as one.")
    parts = [_part(item, notes) for item in items]
    raw = "\n".join(_json(item) for item in items).encode(errors="replace")
    told = "\n".join(p.told for p in parts if p.told)
    return Part("rest", _sha(raw), len(raw), told, "application/x-ndjson", body=raw)


def _structured(data: Any, texts: Sequence[str] = ()) -> Part:
    """The structured value. Servers are to repeat it as text, so that it is told once."""
    if isinstance(data, UnreadPart):
        raw = data.text.encode(errors="replace")
        told = clean(data.text) if len(data.text) <= ASIDE else "[structured answer: left out]"
        return Part("structured", _sha(raw), len(raw), told, "application/json", body=raw)
    raw = exactjson.dumps(data, sort_keys=True).encode()
    is_said = any(exactjson.same(of_text(text), data) for text in texts)
    return Part("structured", _sha(raw), len(raw), "" if is_said else exactjson.dumps(data))


def _json(item: Any) -> str:
    if isinstance(item, UnreadPart):
        return clean(item.text)
    if isinstance(item, Mapping):
        return "{" + ",".join(f"{exactjson.dumps(k)}:{_json(v)}" for k, v in item.items()) + "}"
    return exactjson.dumps(item)


def _aside(item: Mapping[str, Any]) -> str:
    found = item.get("annotations")
    return "" if found is None else _json(found)[:ASIDE]


def _word(value: Any) -> str:
    return clean(value)[:NAME] if isinstance(value, str) else ""


def _stored(text: str, notes: list[str]) -> str:
    if (fit := clean(text)) != text:
        notes.append(f"{MARK} stands for characters that can't be stored.")
    return fit


def _sha(raw: bytes) -> str:
    return hashlib.sha256(raw).hexdigest()
