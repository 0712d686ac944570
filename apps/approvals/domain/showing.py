"""Turns the frozen question into lines that a person can check one by one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from apps.accounts.domain.untrusted import has_hidden, mixes_scripts
from apps.kernel.exactjson import is_number, number_text

LONG_CHARACTERS = 400
LONG_LINES = 8


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
    if isinstance(value, Mapping) and value:
        # The database keeps no order of keys: plain values first, then what is nested, by name.
        for key, item in sorted(value.items(), key=lambda kv: (_is_nested(kv[1]), kv[0])):
            yield from _values(item, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list) and value:
        for index, item in enumerate(value):
            yield from _values(item, f"{path}[{index}]")
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
    """A value as text, exact: numbers in full and never rounded, text in quotation marks."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f'"{value}"'
    if is_number(value):
        return number_text(value)
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {text_of(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(text_of(item) for item in value) + "]"
    return str(value)


def entities(changes: Sequence[Mapping[str, Any]]) -> list[Entity]:
    """The changes of a preview, put together by the thing they concern (table and key)."""
    found: dict[str, list[Change]] = {}
    for change in changes:
        steps = [_unescaped(step) for step in str(change.get("path", "")).split("/")[1:]]
        name, rest = " ".join(steps[:2]), ".".join(steps[2:])
        found.setdefault(name, []).append(
            Change(rest or "all of it", _side(change.get("before")), _side(change.get("after")))
        )
    return [Entity(name, tuple(items)) for name, items in found.items()]


def _side(value: Any) -> str | None:
    return None if value is None else text_of(value)


def _unescaped(step: str) -> str:
    return step.replace("~1", "/").replace("~0", "~")


def flags(arguments: Any, preview: Mapping[str, Any]) -> list[str]:
    """What a person should notice before reading on."""
    listed = values(arguments)
    found = [
        ("hidden characters", any(v.has_hidden for v in listed)),
        ("look-alike letters", any(v.mixes_scripts for v in listed)),
        ("tool would refuse", bool(preview.get("refusal"))),
        ("no preview", "changes" not in preview),
    ]
    return [word for word, is_so in found if is_so]
