"""Turns the frozen question into lines that a person can check one by one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from itertools import islice
from typing import Any

from apps.kernel.exactjson import is_number, number_text
from apps.oversight.domain.preview import captured
from apps.web.domain.untrusted import has_hidden, mixes_scripts

LONG_CHARACTERS = 400
LONG_LINES = 8
MOST_VALUES = 1_000  # of one question
MOST_CHARACTERS = 200_000  # of all values of one question, and their names
MOST_LOOKED_AT = 5_000  # values of one question in the list, of which there are many
KEY_CHARACTERS = 200
PATH_CHARACTERS = 1_000
DEEPEST = 50


@dataclass(frozen=True, slots=True)
class Value:
    """One value of the arguments: where it stands, what it is, and its exact text, of which
    ``more`` characters are left out where it is without measure."""

    path: str
    kind: str
    text: str
    is_long: bool = False
    has_hidden: bool = False
    mixes_scripts: bool = False
    more: int = 0


@dataclass(frozen=True, slots=True)
class ArgumentList:
    """The values of the arguments, each on its own. ``is_whole``: nothing of them is left out."""

    values: tuple[Value, ...]
    is_whole: bool


@dataclass(frozen=True, slots=True)
class ValueChange:
    """One difference between the world now and the world after."""

    path: str
    before: str | None
    after: str | None


@dataclass(frozen=True, slots=True)
class Entity:
    """A thing that would change, with its changes."""

    name: str
    changes: tuple[ValueChange, ...]


def values(arguments: Any) -> list[Value]:
    """Every value of ``arguments``, none folded into another: what is not listed is not there,
    unless they are more than a page can hold (``listing`` says so)."""
    return list(listing(arguments).values)


def listing(arguments: Any) -> ArgumentList:
    """The values of ``arguments`` as far as a page can hold them and a person can read them."""
    room, found = MOST_CHARACTERS, list[Value]()
    for leaf in _leaves(arguments):
        if room <= 0 or len(found) == MOST_VALUES:
            return ArgumentList(tuple(found), is_whole=False)
        found.append(_value(leaf, room))
        room -= len(found[-1].text) + len(leaf.path)
    return ArgumentList(tuple(found), is_whole=not any(v.more for v in found))


def texts(arguments: Any) -> dict[str, str]:
    """The text of each place in ``arguments``, however many; those of several places of one name
    stand behind each other."""
    found: dict[str, str] = {}
    for leaf in _leaves(arguments) if arguments else ():
        text = text_of(leaf.value)
        found[leaf.path] = f"{found[leaf.path]}, {text}" if leaf.path in found else text
    return found


def places(arguments: Any, *, most: int) -> frozenset[tuple[str, str]] | None:
    """Where each value of ``arguments`` stands, and its text; ``None`` if they are more."""
    leaves = list(islice(_leaves(arguments), most + 1))
    return None if len(leaves) > most else frozenset((x.path, text_of(x.value)) for x in leaves)


@dataclass(frozen=True, slots=True)
class _Leaf:
    """A value that holds no other, and where it stands."""

    value: Any
    path: str
    has_hidden: bool
    mixes_scripts: bool


def _leaves(arguments: Any) -> Iterator[_Leaf]:
    """No recursion: what came from outside may be nested at will. A path is made only when its turn
    comes, and is no longer than its keys are shown: there may be many below a key without end."""
    left: list[tuple[Any, _Leaf, str | int | None]]
    left = [(arguments, _Leaf(None, "", has_hidden=False, mixes_scripts=False), None)]
    while left:
        value, parent, part = left.pop()
        here = _at(parent, part, value)
        if isinstance(value, Mapping) and value:
            # The database keeps no order of keys: plain ones first, then what is nested, by name.
            items = sorted(value.items(), key=lambda kv: (_is_nested(kv[1]), kv[0]), reverse=True)
            left += [(item, here, str(key)) for key, item in items]
        elif isinstance(value, list) and value:
            left += [(item, here, i) for i, item in reversed(list(enumerate(value)))]
        else:
            yield here


def _at(parent: _Leaf, part: str | int | None, value: Any) -> _Leaf:
    if part is None:
        return replace(parent, value=value)
    if isinstance(part, int):
        return replace(parent, value=value, path=_bounded(f"{parent.path}[{part}]"))
    name = part if len(part) <= KEY_CHARACTERS else _shortened(part)
    return _Leaf(
        value,
        _bounded(f"{parent.path}.{name}" if parent.path else name),
        parent.has_hidden or has_hidden(part),
        parent.mixes_scripts or mixes_scripts(part),
    )


def _bounded(path: str) -> str:
    return path if len(path) <= PATH_CHARACTERS else f"{path[:200]}…{path[-500:]}"


def _shortened(key: str) -> str:
    return f"{key[:120]}…{key[-40:]} ({len(key):,} characters)"


def _is_nested(value: Any) -> bool:
    return isinstance(value, Mapping | list) and bool(value)


def _value(leaf: _Leaf, room: int) -> Value:
    whole = text_of(leaf.value)
    shown = whole[:room]
    return Value(
        path=leaf.path or "(none)",
        kind=kind_of(leaf.value),
        text=shown,
        is_long=len(shown) > LONG_CHARACTERS or shown.count("\n") >= LONG_LINES,
        has_hidden=leaf.has_hidden or has_hidden(whole),
        mixes_scripts=leaf.mixes_scripts or mixes_scripts(whole),
        more=len(whole) - len(shown),
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
    found: dict[str, list[ValueChange]] = {}
    for change in changes:
        steps = [_unescaped(step) for step in str(change.get("path", "")).split("/")[1:]]
        name, rest = " ".join(steps[:2]), ".".join(steps[2:])
        found.setdefault(name or "It", []).append(
            ValueChange(
                rest or "all of it", _side(change.get("before")), _side(change.get("after"))
            )
        )
    return [Entity(name, tuple(items)) for name, items in found.items()]


def _side(value: Any) -> str | None:
    return None if value is None else text_of(value)


def _unescaped(step: str) -> str:
    return step.replace("~1", "/").replace("~0", "~")


def flags(arguments: Any, stored: Any) -> list[str]:
    """What a person should notice before reading on; ``stored`` is the preview."""
    listed = list(islice(_leaves(arguments), MOST_LOOKED_AT + 1))
    said = stored if isinstance(stored, Mapping) else {}
    found = [
        ("hidden characters", any(v.has_hidden or has_hidden(_said(v)) for v in listed)),
        ("look-alike letters", any(v.mixes_scripts or mixes_scripts(_said(v)) for v in listed)),
        ("too much to show", _is_too_much(listed)),
        ("tool would refuse", bool(said.get("refusal"))),
        ("preview failed", bool(said.get("unavailable"))),
        ("no preview", not said.get("unavailable") and "changes" not in said),
    ]
    return [word for word, is_so in found if is_so]


def _said(leaf: _Leaf) -> str:
    return leaf.value if isinstance(leaf.value, str) else ""


def _is_too_much(leaves: Sequence[_Leaf]) -> bool:
    """Whether a page leaves something out: see ``listing``."""
    if len(leaves) > MOST_VALUES:
        return True
    room = MOST_CHARACTERS
    for leaf in leaves:
        room -= len(text_of(leaf.value))
        if room < 0:
            return True
        room -= len(leaf.path)
    return False
