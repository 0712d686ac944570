"""What a JSON Schema says about a document, as sentences that people can act on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from typing import Any

from jsonschema import Draft202012Validator, ValidationError
from jsonschema.validators import extend

from apps.kernel import schemas
from apps.kernel.documents import Document, Path, Problem
from apps.kernel.patterns import TooLongError, pattern

_TYPE_WORDS = {
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "array": "a list",
    "object": "a group of keys",
    "null": "null",
}


MOST_UNKNOWN = 50  # keys of one group that are told, each with the nearest known one


def _pattern(validator: Any, wanted: str, value: Any, schema: Any) -> Iterator[ValidationError]:
    """As JSON Schema means it: to Python a line break may follow ``$``, and a slug could end in
    one."""
    try:
        is_right = not isinstance(value, str) or pattern(wanted).found_in(value)
    except TooLongError:
        is_right = False
    if not is_right:
        yield ValidationError(f"{value!r} does not match {wanted!r}")


_Validator: Any = extend(Draft202012Validator, {"pattern": _pattern})


def nearest(word: str, known: Iterable[str]) -> str:
    """“Did you mean …?”, or nothing when no known word is near."""
    found = get_close_matches(word, list(known), n=1, cutoff=0.55)
    return f"Did you mean “{found[0]}”?" if found else ""


def structure_problems(document: Document, schema: dict[str, Any]) -> list[Problem]:
    """Everything in which ``document`` differs from ``schema``, in the order of the text."""
    problems: list[Problem] = []
    for error in _Validator(schema).iter_errors(document.value):
        problems.extend(_problems_of(document, error))
    return sorted(problems, key=lambda p: (p.line, p.column))


def read_problems(document: Document, schema: dict[str, Any]) -> list[Problem]:
    """What reading found, then what the schema says; a value that couldn't be read is said once."""
    found = structure_problems(document, schema)
    return document.problems + [p for p in found if p.path not in document.unreadable]


def _problems_of(document: Document, error: ValidationError) -> list[Problem]:
    path: Path = tuple(error.absolute_path)
    if error.validator == "additionalProperties":
        return _unknown_keys(document, path, error)
    if error.validator == "required":
        return _missing_keys(document, path, error)
    message, fix = _sentence(error)
    return [document.problem(path, message, fix)]


def _unknown_keys(document: Document, path: Path, error: ValidationError) -> list[Problem]:
    known = list(error.schema.get("properties", {}))
    out = []
    for key in [k for k in error.instance if k not in known][:MOST_UNKNOWN]:
        fix = nearest(key, [k for k in known if k not in error.instance])
        fix = fix or f"Known keys here: {', '.join(known)}."
        out.append(document.problem((*path, key), f"“{key}” is not a known key.", fix, key=True))
    return out


def _missing_keys(document: Document, path: Path, error: ValidationError) -> list[Problem]:
    # jsonschema reports one error a missing key and names it only in its message.
    missing = [k for k in error.validator_value if k not in error.instance]
    named = [k for k in missing if error.message.startswith(repr(k))] or missing[:1]
    return [
        document.problem((*path, key), f"“{key}” is missing.", f"Add “{key}:”.") for key in named
    ]


_SIZES = {
    "minimum": ("too small", "It must be at least {}."),
    "exclusiveMinimum": ("too small", "It must be more than {}."),
    "maximum": ("too large", "It must be at most {}."),
    "exclusiveMaximum": ("too large", "It must be less than {}."),
    "pattern": ("written with characters that are not allowed", "Pattern: {}."),
}
_LENGTHS = {
    **dict.fromkeys(
        ("minLength", "minItems", "minProperties"), ("It must not be empty.", "Write at least {}.")
    ),
    **dict.fromkeys(
        ("maxLength", "maxItems", "maxProperties"), ("It is too long.", "At most {} are allowed.")
    ),
    "uniqueItems": ("It names the same thing twice.", "Keep one of them."),
}


def _sentence(error: ValidationError) -> tuple[str, str]:
    value, wanted, rule = error.instance, error.validator_value, str(error.validator)
    if rule == "type":
        kinds = [wanted] if isinstance(wanted, str) else list(wanted)
        words = " or ".join(_TYPE_WORDS.get(k, k) for k in kinds)
        return f"It must be {words}, not {_shown(value)}.", ""
    if rule == "enum":
        known = [str(w) for w in wanted]
        fix = nearest(str(value), known) or f"Choose one of: {', '.join(known)}."
        return f"{_shown(value)} is not one of the choices.", fix
    if rule in _SIZES:
        what, fix = _SIZES[rule]
        return f"{_shown(value)} is {what}.", fix.format(wanted)
    if rule in _LENGTHS:
        what, fix = _LENGTHS[rule]
        return what, fix.format(wanted)
    return error.message[:200], ""


def _shown(value: Any) -> str:
    if isinstance(value, str):
        return f"“{value[:40]}”"
    if isinstance(value, bool):
        return str(value).lower()
    if value is None:
        return "nothing"
    return (
        "a group of keys"
        if isinstance(value, dict)
        else ("a list" if isinstance(value, list) else str(value))
    )


def schema_problems(
    document: Document, path: Path, schema: Any, *, of_object: bool = False
) -> list[Problem]:
    """Whether the value at ``path`` is itself a JSON Schema that can be used; ``of_object``: for
    arguments or an input, which are objects."""
    if not isinstance(schema, dict):
        return []
    return [
        document.problem((*path, *found.path), found.message, found.fix)
        for found in schemas.schema_problems(schema, of_object=of_object)
    ]
