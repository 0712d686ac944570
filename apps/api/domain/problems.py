"""What went wrong, for machines: RFC 9457 problem documents that name the field and the fix."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from jsonschema import ValidationError

from apps.kernel.schemas import compiled, shown

CONTENT_TYPE = "application/problem+json"
LISTED = 20  # problems of one request that are told

TITLES = {
    400: "Bad request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not found",
    405: "Method not allowed",
    409: "Conflict",
    413: "Request too large",
    422: "Invalid request",
    429: "Too many requests",
    500: "Internal server error",
    503: "Service unavailable",
}


@dataclass(frozen=True, slots=True)
class Wrong:
    """One thing that is wrong: a JSON Pointer into the body (or a header, or a parameter), what is
    wrong there, and how to mend it."""

    field: str
    message: str
    fix: str = ""


def problem(
    status: int, code: str, detail: str, *, wrongs: Sequence[Wrong] = (), **more: Any
) -> dict[str, Any]:
    """A problem document. ``code`` is stable: programs branch on it, people read ``detail``."""
    body: dict[str, Any] = {
        "type": f"urn:control-tower:problem:{code.replace('_', '-')}",
        "title": TITLES.get(status, "Request failed"),
        "status": status,
        "code": code,
        "detail": detail,
    }
    if wrongs:
        listed = [{"field": w.field, "message": w.message, "fix": w.fix} for w in wrongs[:LISTED]]
        body |= {"errors": listed, "field": listed[0]["field"], "fix": listed[0]["fix"]}
    return body | {k: v for k, v in more.items() if v not in (None, "")}


def pointer(path: Iterable[str | int]) -> str:
    """RFC 6901."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in path)


def input_problems(value: Any, schema: Mapping[str, Any], *, at: str) -> list[Wrong]:
    """In what ``value`` (the body's member ``at``) differs from a contract's input schema. Never
    raises: a schema that can't be used takes no value, and says why."""
    schema = compiled(dict(schema))
    if schema.problems:
        message = f"The contract's input schema can't be used: {schema.problems[0]}"
        return [Wrong(pointer([at]), shown(message), "An admin has to fix the contract.")]
    wrongs = [wrong for error in schema.misfits(value) for wrong in _wrongs(error, at)]
    return sorted(wrongs, key=lambda w: w.field)


def _wrongs(error: ValidationError, at: str) -> list[Wrong]:
    path = [at, *error.absolute_path]
    if not isinstance(error.validator, str):
        return [Wrong(pointer(path), shown(error.message[:200]), "Send something smaller.")]
    if error.validator == "required":
        missing = [k for k in error.validator_value if k not in error.instance]
        named = [k for k in missing if error.message.startswith(repr(k))]
        return [Wrong(pointer([*path, k]), "It is missing.", f"Add “{shown(k)}”.") for k in named]
    if error.validator == "additionalProperties":
        known = list(error.schema.get("properties", {}))
        unknown = [k for k in error.instance if k not in known][:LISTED]
        return [Wrong(pointer([*path, k]), "Unknown field.", _near(k, known)) for k in unknown]
    return [Wrong(pointer(path), shown(error.message[:200]), shown(_fix(error)))]


def _near(word: str, known: Sequence[str]) -> str:
    found = get_close_matches(word, known, n=1, cutoff=0.55)
    return f"Did you mean “{found[0]}”?" if found else f"Known: {', '.join(known) or 'nothing'}."


def _fix(error: ValidationError) -> str:
    wanted = error.validator_value
    if error.validator == "type":
        kinds = wanted if isinstance(wanted, list) else [wanted]
        return f"Send {' or '.join(map(str, kinds))}."
    if error.validator == "enum":
        return f"Choose one of: {', '.join(map(str, wanted))}."
    return f"The contract's input says {error.validator}: {str(wanted)[:120]}."
