"""What a server says of a tool now, beside what it said when the tool was published."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from apps.catalog.domain.schemadiff import names, plain
from apps.kernel.canonical import digest
from apps.kernel.exactjson import dumps

GONE: Mapping[str, Any] = {"gone": True}
_SCHEMAS = {"input_schema": "argument", "output_schema": "part of its answer"}
SHORT = 200  # characters
MOST = 12  # sentences; a schema may change in a thousand places


def served_digest(document: Mapping[str, Any]) -> str:
    """The fingerprint of what a server says of a tool."""
    return digest(dict(document), purpose="tool-served")


def changes(published: Any, live: Any) -> list[str]:
    """The differences, as sentences for people; empty if there are none. Never raises, whatever is
    kept of what the server said."""
    if not isinstance(published, Mapping) or not isinstance(live, Mapping):
        return ["What is kept of the server's description can't be read."]
    if live.get("gone"):
        return ["The server doesn't offer it any more."]
    if problem := live.get("problem"):
        return [f"What the server says of it can't be read: {_short(problem)}"]
    found = list(_changes(published, live))
    if not found and served_digest(published) != served_digest(live):
        found = ["The server describes it in another way."]
    left = len(found) - MOST
    return found if left <= 0 else [*found[:MOST], f"And {left} more."]


def _changes(published: Mapping[str, Any], live: Mapping[str, Any]) -> Iterator[str]:
    for key, noun in _SCHEMAS.items():
        yield from _schema(published.get(key), live.get(key), noun, key)
    hints, now = _group(published, "hints"), _group(live, "hints")
    for name in sorted({*hints, *now}):
        if hints.get(name) != now.get(name):
            was, is_now = _said(hints.get(name)), _said(now.get(name))
            yield f"Hint {_short(name)}: {was} → {is_now}."
    if published.get("description") != live.get("description"):
        yield "Its description changed."


def _schema(old: Any, new: Any, noun: str, key: str) -> Iterator[str]:
    if old == new:
        return
    if not isinstance(old, Mapping) or not isinstance(new, Mapping):
        yield f"{_titled(key)} was {'added' if old is None else 'taken away'}."
        return
    yield from _properties(_group(old), _group(new), noun)
    needed, now = names(old, "required"), names(new, "required")
    for name in sorted(now - needed):
        yield f"The {noun} “{_short(name)}” is required now."
    for name in sorted(needed - now):
        yield f"The {noun} “{_short(name)}” is not required any more."
    if _rest(old) != _rest(new):
        yield f"{_titled(key)} changed as a whole."


def _properties(before: Mapping[str, Any], after: Mapping[str, Any], noun: str) -> Iterator[str]:
    for name in sorted({*before, *after}):
        if name not in after:
            yield f"The {noun} “{_short(name)}” is gone."
        elif name not in before:
            yield f"The {noun} “{_short(name)}” is new."
        elif before[name] != after[name]:
            same = plain(before[name]) == plain(after[name])
            how = "described anew" if same else "of another kind"
            yield f"The {noun} “{_short(name)}” is {how}."


def _rest(schema: Mapping[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in schema.items() if k not in {"properties", "required"}}


def _group(whole: Mapping[str, Any], key: str = "properties") -> Mapping[str, Any]:
    found = whole.get(key)
    return found if isinstance(found, Mapping) else {}


def _short(said: Any) -> str:
    """A name or a word of the server's in a sentence."""
    text = said if isinstance(said, str) else dumps(said)
    return text if len(text) <= SHORT else f"{text[:SHORT]}…"


def _titled(key: str) -> str:
    return f"The {key.replace('_', ' ')}"


def _said(hint: Any) -> str:
    return "not stated" if hint is None else _short(hint)
