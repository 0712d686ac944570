"""A form on a document: the main values of a YAML text as fields, with the text as the one source.

A field shows what the text says and writes back only what a person changed, so a form and an
editor can stand side by side without ever disagreeing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from apps.kernel.documents import Path, path_text
from apps.kernel.patching import patch, without

NEW, OLD = "f:", "i:"  # what a person left in the field, and what it said when it was drawn


@dataclass(frozen=True, slots=True)
class Field:
    """One value. ``kind``: text, long (several lines), whole, number, choice, flag or names (a
    list of words, written with commas). An ``optional`` one that is emptied leaves the text."""

    path: Path
    label: str
    kind: str = "text"
    choices: tuple[str, ...] = ()
    help: str = ""
    unit: str = ""
    default: Any = ""
    optional: bool = False
    value: str = ""
    error: str = ""

    @property
    def name(self) -> str:
        return path_text(self.path)

    @property
    def options(self) -> tuple[str, ...]:
        """The choices, with the present value even when it is none of them."""
        known = ("yes", "no") if self.kind == "flag" else self.choices
        return known if self.value in known else (self.value, *known)


@dataclass(frozen=True, slots=True)
class Section:
    title: str
    fields: tuple[Field, ...]


def shown(
    sections: Sequence[Section], document: Any, errors: Mapping[str, str] | None = None
) -> list[Section]:
    """The sections, each field with what ``document`` says there."""
    errors = errors or {}
    return [
        replace(
            section,
            fields=tuple(
                replace(f, value=_text(_at(document, f)), error=errors.get(f.name, ""))
                for f in section.fields
            ),
        )
        for section in sections
    ]


def _at(document: Any, field: Field) -> Any:
    value = document
    for part in field.path:
        try:
            value = value[part]
        except (KeyError, IndexError, TypeError):
            return field.default
    return value


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list) and all(isinstance(word, str) for word in value):
        return ", ".join(value)
    if value is None or isinstance(value, (dict, list)):
        return ""
    return str(value).strip()


def take(
    sections: Sequence[Section], text: str, posted: Mapping[str, str]
) -> tuple[str, dict[str, str]]:
    """``text`` with every field a person changed written into it, and what was wrong by name."""
    errors: dict[str, str] = {}
    for field in (f for s in sections for f in s.fields):
        new, old = posted.get(NEW + field.name), posted.get(OLD + field.name)
        if new is None or old is None or _same(new, old):
            continue
        try:
            is_gone = field.optional and not new.strip()
            text = (
                without(text, field.path)
                if is_gone
                else patch(text, field.path, _value(field, new))
            )
        except ValueError as error:
            errors[field.name] = str(error)
    return text, errors


def _same(new: str, old: str) -> bool:
    return new.replace("\r\n", "\n").strip() == old.replace("\r\n", "\n").strip()


def _value(field: Field, text: str) -> Any:
    text = text.replace("\r\n", "\n").strip()
    if field.kind == "flag":
        return text == "yes"
    if field.kind == "names":
        return [word for part in text.split(",") if (word := part.strip())]
    if field.kind not in {"whole", "number"}:
        if not text:
            raise ValueError("It must not be empty.")
        return text
    try:
        return int(text) if field.kind == "whole" or text.lstrip("-").isdigit() else float(text)
    except ValueError:
        kind = "a whole number" if field.kind == "whole" else "a number"
        raise ValueError(f"Write {kind}.") from None
