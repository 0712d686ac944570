"""Turns the frozen question into lines that a person can check one by one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from apps.accounts.domain.untrusted import has_hidden, mixes_scripts
from apps.approvals.domain.preview import captured
from apps.kernel.exactjson import is_number, number_text

LONG_CHARACTERS = 400
LONG_LINES = 8
DEEPEST = 50


@dataclass(frozen=True, slots=True)
class Value:
    """One value of the arguments: where it stands, what it is, and its exact text."""

    path: str
    kind: str
    text: str
    is_long: bool = False
    has_hidden: bool = False
    mixes_scripts: bool = False


@dataclass(frozen=True, slots=True)
class Change:
    """One difference between the world now and the world after."""

    path: str
    before: str | None
    after: str | None


@dataclass(frozen=True, slots=True)
class Entity:
    """A thing that would change, with its changes."""

    name: str
    changes: tuple[Change, ...]


def values(arguments: Any, path: str = "") -> list[Value]:
    """Every value of ``arguments``, none folded into another: what is not listed is not there."""
    return list(_values(arguments, path))


def _values(value: Any, path: str) -> Iterator[Value]:
    left = [(value, path)]  # no recursion: what came from outside may be nested at will
    while left:
        value, path = left.pop()
        if isinstance(value, Mapping) and value:
            # The database keeps no order of keys: plain ones first, then what is nested, by name.
            items = sorted(value.items(), key=lambda kv: (_is_nested(kv[1]), kv[0]), reverse=True)
            left += [(item, f"{path}.{key}" if path else str(key)) for key, item in items]
        elif isinstance(value, list) and value:
            left += [(item, f"{path}[{i}]") for i, item in reversed(list(enumerate(value)))]
        else:
            yield _value(value, path)


def _is_nested(value: Any) -> bool:
    return isinstance(value, Mapping | list) and bool(value)


def _value(value: Any, path: str) -> Value:
    shown = text_of(value)
    return Value(
        path=path or "(none)",
        kind=kind_of(value),
        text=shown,
        is_long=len(shown) > LONG_CHARACTERS or shown.count("\n") >= LONG_LINES,
        has_hidden=has_hidden(shown) or has_hidden(path),
        mixes_scripts=mixes_scripts(shown) or mixes_scripts(path),
    )


def kind_of(value: Any) -> str:
    """The type in one plain word."""
    if isinstance(value, bool):
        return "yes or no"
    kinds: list[tuple[type | tuple[type, ...], str]] = [
        ((int, float, Decimal), "number"),
        (str, "text"),
        (list, "empty list"),
        (dict, "empty object"),
    ]
    return next((word for kind, word in kinds if isinstance(value, kind)), "nothing")


def text_of(value: Any) -> str:
    """A value as text, exact: numbers in full and never rounded, text in quotation marks. What is
    nested more deeply than any stored preview is left out, and says so."""
    return _text_of(value, DEEPEST)


def _text_of(value: Any, levels: int) -> str:
    if isinstance(value, Mapping | list | tuple) and not levels:
        return "… (nested too deeply to be shown)"
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f'"{value}"'
    if is_number(value):
        return number_text(value)
    if isinstance(value, Mapping):
        return (
            "{"
            + ", ".join(f"{key}: {_text_of(item, levels - 1)}" for key, item in value.items())
            + "}"
        )
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_text_of(item, levels - 1) for item in value) + "]"
    return str(value)


@dataclass(frozen=True, slots=True)
class Preview:
    """What the dry run said, in parts that a page can show whatever it was. ``error``: why there
    is none; ``said``: what was in no form that can be compared, as text; ``tells``: it says what
    would change."""

    error: str = ""
    refusal: str = ""
    entities: tuple[Entity, ...] = ()
    said: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    tells: bool = False

    @property
    def is_there(self) -> bool:
        return bool(self.tells or self.refusal or self.said or self.notes)


def preview(stored: Any) -> Preview:
    """The preview of a question as it was stored, by whichever release. Never raises."""
    if not isinstance(stored, Mapping):
        return Preview(notes=(f"The preview is {kind_of(stored)} and can't be shown.",))
    if error := stored.get("unavailable"):
        return Preview(error=_text_or_kind(error))
    read = captured("", stored).preview
    return Preview(
        refusal=str(read.get("refusal") or ""),
        entities=tuple(entities(read.get("changes") or [])),
        said=(*_texts(stored.get("said")), *read.get("said", ())),
        notes=tuple(dict.fromkeys((*_texts(stored.get("notes")), *read.get("notes", ())))),
        tells="changes" in read,
    )


def unknown(asked_rules: Any) -> list[Mapping[str, str]]:
    """What was not known when a question was asked: ``name``, ``wanted`` and ``came`` of each fact,
    from the rules that are stored with it."""
    found: list[Mapping[str, str]] = []
    for rule in asked_rules if isinstance(asked_rules, list) else ():
        gaps = rule.get("unknown") if isinstance(rule, Mapping) else None
        for gap in gaps if isinstance(gaps, list) else ():
            if isinstance(gap, Mapping):
                found.append({key: str(gap.get(key, "")) for key in ("name", "wanted", "came")})
    return found


def _texts(stored: Any) -> tuple[str, ...]:
    return tuple(s for s in stored if isinstance(s, str)) if isinstance(stored, list) else ()


def _text_or_kind(value: Any) -> str:
    return value if isinstance(value, str) else kind_of(value)


def entities(changes: Sequence[Mapping[str, Any]]) -> list[Entity]:
    """The changes of a preview that was read (``preview``), put together by the thing they concern
    (table and key)."""
    found: dict[str, list[Change]] = {}
    for change in changes:
        steps = [_unescaped(step) for step in str(change.get("path", "")).split("/")[1:]]
        name, rest = " ".join(steps[:2]), ".".join(steps[2:])
        found.setdefault(name or "It", []).append(
            Change(rest or "all of it", _side(change.get("before")), _side(change.get("after")))
        )
    return [Entity(name, tuple(items)) for name, items in found.items()]


def _side(value: Any) -> str | None:
    return None if value is None else text_of(value)


def _unescaped(step: str) -> str:
    return step.replace("~1", "/").replace("~0", "~")


def flags(arguments: Any, stored: Any) -> list[str]:
    """What a person should notice before reading on; ``stored`` is the preview."""
    listed = values(arguments)
    said = stored if isinstance(stored, Mapping) else {}
    found = [
        ("hidden characters", any(v.has_hidden for v in listed)),
        ("look-alike letters", any(v.mixes_scripts for v in listed)),
        ("tool would refuse", bool(said.get("refusal"))),
        ("preview failed", bool(said.get("unavailable"))),
        ("no preview", not said.get("unavailable") and "changes" not in said),
    ]
    return [word for word, is_so in found if is_so]
