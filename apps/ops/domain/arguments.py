"""The arguments of a call as fields that a person can change: one a property of the tool's schema,
typed as it says. What is nested, can be of several types or isn't described is written as JSON.

A browser bends what it is given (it ends lines its own way, drops a first empty line, rounds
numbers), so numbers are read from text, and a text that would not come back as it was is written as
JSON, in which every character that hides is spelled out.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from apps.kernel import exactjson
from apps.kernel.schemas import compiled, sentence
from apps.redaction.domain.tokens import is_token
from apps.web.domain.untrusted import hides

MOST_FIELDS, MOST_CHOICES = 200, 50
LINE = 60  # characters of a text that stands in one line
WORDS = {"text": "text", "number": "number", "yes_no": "yes or no", "choice": "one of these"}


@dataclass(frozen=True, slots=True)
class ArgumentField:
    """One argument: ``kind`` is text, number, yes_no, choice or json, ``typed`` what stands in its
    field. One that is not ``is_needed`` may be left out: ``is_given`` says whether it isn't."""

    name: str
    kind: str
    typed: str = ""
    is_needed: bool = False
    is_given: bool = True
    help: str = ""
    choices: tuple[tuple[str, str], ...] = ()  # what is sent, and what is shown
    error: str = ""

    @property
    def is_long(self) -> bool:
        return self.kind == "json" or len(self.typed) > LINE or "\n" in self.typed

    @property
    def kind_words(self) -> str:
        return WORDS.get(self.kind, "JSON")

    @property
    def rows(self) -> int:
        """Lines of its field."""
        return min(max(self.typed.count("\n") + 1, len(self.typed) // LINE + 1, 2), 16)


def fields_of(schema: Any, arguments: Mapping[str, Any]) -> list[ArgumentField]:
    """A field for each argument that the schema describes, those that have to be there first, and
    for each that is there beside. Never raises: what can't be read in a schema makes no field."""
    schema = schema if isinstance(schema, Mapping) else {}
    properties = schema.get("properties")
    described = properties if isinstance(properties, Mapping) else {}
    needed = schema.get("required")
    required = set(map(str, needed)) if isinstance(needed, list) else set()
    names = sorted(
        dict.fromkeys([*map(str, described), *sorted(arguments)]), key=lambda n: n not in required
    )
    return [
        _field(name, described.get(name), arguments, is_needed=name in required)
        for name in names[:MOST_FIELDS]
    ]


def beside(fields: Sequence[ArgumentField], arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments that have no field, there being so many: they stay as they are."""
    names = {field.name for field in fields}
    return {name: value for name, value in arguments.items() if name not in names}


def _field(
    name: str, wanted: Any, arguments: Mapping[str, Any], *, is_needed: bool
) -> ArgumentField:
    wanted = wanted if isinstance(wanted, Mapping) else {}
    is_given = name in arguments
    value = arguments.get(name)
    choices = _choices(wanted)
    kind = "choice" if choices else _kind(wanted)
    if is_given and not _fits(kind, value, choices):
        kind, choices = "json", ()
    return ArgumentField(
        name=name,
        kind=kind,
        typed=_typed(kind, value) if is_given else "",
        is_needed=is_needed,
        is_given=is_given or is_needed,
        help=str(wanted.get("description") or wanted.get("title") or "")[:300],
        choices=choices,
    )


def _kind(wanted: Mapping[str, Any]) -> str:
    kinds = {"string": "text", "integer": "number", "number": "number", "boolean": "yes_no"}
    stated = wanted.get("type")
    return kinds.get(stated, "json") if isinstance(stated, str) else "json"


def _choices(wanted: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    values = wanted.get("enum")
    if not isinstance(values, list) or not 0 < len(values) <= MOST_CHOICES:
        return ()
    if any(isinstance(value, Mapping | list) for value in values):
        return ()
    return tuple((_json(v), v if isinstance(v, str) and v else _json(v)) for v in values)


def _fits(kind: str, value: Any, choices: Sequence[tuple[str, str]]) -> bool:
    """Whether a value comes back from a field of this kind as what it was."""
    if kind == "text":
        odd = isinstance(value, str) and any(hides(c) and c != "\n" for c in value)
        return isinstance(value, str) and not odd and not value.startswith("\n")
    if kind == "number":
        return exactjson.is_number(value)
    if kind == "yes_no":
        return isinstance(value, bool)
    return kind == "json" or _json(value) in dict(choices)


def _typed(kind: str, value: Any) -> str:
    if kind == "text":
        return str(value)
    return exactjson.number_text(value) if kind == "number" else _json(value)


def _json(value: Any) -> str:
    """JSON text in which no character hides: those that would are spelled out."""
    text = exactjson.dumps(value, indent=isinstance(value, Mapping | list))
    return "".join(_spelled(c) if hides(c) and c != "\n" else c for c in text)


def _spelled(char: str) -> str:
    return json.dumps(char)[1:-1]


def read(
    fields: Sequence[ArgumentField], sent: Mapping[str, str]
) -> tuple[dict[str, Any], list[ArgumentField]]:
    """What was typed into these fields (``v0`` and, of one that may be left out, ``g0`` …): the
    arguments, and the fields as they were sent, each with what is wrong in it. What was not sent at
    all stays as it was."""
    found: dict[str, Any] = {}
    filled = []
    for number, field in enumerate(fields):
        now = _sent(field, number, sent)
        if now.is_given:
            try:
                found[now.name] = _value(now)
            except exactjson.NotCarriedError as error:
                now = replace(now, error=f"{now.name}: it {error.reason}. {_fix(now, error)}")
        filled.append(now)
    return found, filled


def _fix(field: ArgumentField, error: exactjson.NotCarriedError) -> str:
    is_spelled = field.kind == "number" and error.code == "no_json"
    return "Write digits, with a point before a fraction: 12.50." if is_spelled else error.fix


def _sent(field: ArgumentField, number: int, sent: Mapping[str, str]) -> ArgumentField:
    typed = sent.get(f"v{number}", field.typed).replace("\r\n", "\n")
    # What is typed into a field that was left out is meant.
    is_given = field.is_needed or f"g{number}" in sent or (not field.is_given and typed != "")
    return replace(field, typed=typed, is_given=is_given)


def _value(field: ArgumentField) -> Any:
    if is_token(field.typed.strip()):
        return field.typed.strip()  # a hidden value, left as it is
    if field.kind == "text":
        return exactjson.check(field.typed)
    if field.kind == "number":
        return exactjson.number(field.typed.strip())
    return exactjson.loads(field.typed)


def judged(
    schema: Any, arguments: Mapping[str, Any], fields: Sequence[ArgumentField]
) -> tuple[list[ArgumentField], list[str]]:
    """The fields with what the schema finds wrong in each, and what it finds in none of them."""
    wrong: dict[str, str] = {}
    others = []
    names = {field.name for field in fields}
    for error in compiled(schema).misfits(arguments) if schema else ():
        place = str(next(iter(error.absolute_path), ""))
        if place in names:
            wrong.setdefault(place, sentence(error))
        else:
            others.append(sentence(error))
    told = [replace(f, error=f.error or wrong.get(f.name, "")) for f in fields]
    return told, others
