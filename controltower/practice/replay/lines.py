"""One line of a recording, parsed into an episode whose fields have the types that are read of it.
Pure. ``episode.schema.json`` says which fields those are."""

from __future__ import annotations

import json
import sys
from collections import deque
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

from apps.kernel import exactjson

MAX_DEPTH = 64
BOM = "\ufeff"
NAMES = {
    "string": "a text", "integer": "a whole number", "number": "a number", "array": "a list",
    "object": "an object", "boolean": "true or false", "null": "null",
}  # fmt: skip


class UnusableError(ValueError):
    """A line that can't be used; the text says what is wrong, with the field."""


def parse(line: bytes, domains: frozenset[str]) -> dict[str, Any]:
    """The episode of a line. Raises ``UnusableError``, and nothing else, for an unusable one."""
    episode = _object(line)
    _check_values(episode)
    _check_fields(episode)
    if episode["domain"] not in domains:
        known = ", ".join(sorted(domains))
        raise UnusableError(f"domain “{_short(episode['domain'])}” has no pack (known: {known})")
    _number_calls(episode["steps"])
    return episode


def _object(line: bytes) -> dict[str, Any]:
    try:
        text = line.decode("utf-8").removeprefix(BOM)
        episode = json.loads(text, parse_constant=_not_json, parse_float=_number)
    except UnicodeDecodeError as error:
        raise UnusableError(f"not UTF-8: {error.reason} at byte {error.start + 1}") from error
    except RecursionError as error:
        raise UnusableError(f"nested deeper than {MAX_DEPTH} levels") from error
    except json.JSONDecodeError as error:
        raise UnusableError(f"not JSON: {error.msg} at character {error.pos + 1}") from error
    except UnusableError:
        raise
    except ValueError as error:  # the interpreter's limit for whole numbers
        limit = sys.get_int_max_str_digits()
        raise UnusableError(f"not JSON: a number has more than {limit} digits") from error
    if not isinstance(episode, dict):
        raise UnusableError("not a JSON object")
    return episode


def _not_json(name: str) -> None:
    raise UnusableError(f"not JSON: {name} is no JSON number")


def _number(text: str) -> exactjson.Number:
    """By its value, as everywhere: what a recording proposed reaches the tool with every digit."""
    try:
        return exactjson.number(text)
    except exactjson.NotCarriedError as error:
        raise UnusableError(f"not JSON: the number {_short(text)} is out of range") from error


def _check_values(episode: dict[str, Any]) -> None:
    """Depth, and texts that no database stores; without recursion, so that depth can't hurt."""
    waiting: deque[tuple[tuple[Any, ...], Any]] = deque([((), episode)])
    while waiting:
        path, group = waiting.popleft()
        if len(path) >= MAX_DEPTH:
            raise UnusableError(f"{_field(path[:3])}: nested deeper than {MAX_DEPTH} levels")
        for name, value in group.items() if isinstance(group, dict) else enumerate(group):
            if isinstance(name, str):
                _check_text(path, name)
            if isinstance(value, str):
                _check_text((*path, name), value)
            elif isinstance(value, dict | list):
                waiting.append(((*path, name), value))


def _check_text(path: tuple[Any, ...], text: str) -> None:
    if "\0" in text:
        raise UnusableError(f"{_field(path)}: a text contains the character U+0000")
    if not text.isascii() and any("\ud800" <= sign <= "\udfff" for sign in text):
        raise UnusableError(f"{_field(path)}: a text contains half of a surrogate pair")


def _check_fields(episode: dict[str, Any]) -> None:
    errors = _validator().iter_errors(episode)
    # The first in reading order: later ones are often its consequence.
    if first := min(errors, key=lambda e: [str(p).zfill(9) for p in e.absolute_path], default=None):
        raise UnusableError(_said(first))


@cache
def _validator() -> Draft202012Validator:
    schema = Path(__file__).with_name("episode.schema.json").read_text(encoding="utf-8")
    return Draft202012Validator(json.loads(schema))


def _said(error: ValidationError) -> str:
    path = list(error.absolute_path)
    if error.validator == "required":
        where = f"{_field(path)}: " if path else ""
        missing = next(name for name in error.validator_value if name not in error.instance)
        return f"{where}missing field “{missing}”"
    if error.validator == "type":
        wanted = error.validator_value
        kinds = [wanted] if isinstance(wanted, str) else list(wanted)
        return f"{_field(path)}: must be {' or '.join(NAMES[kind] for kind in kinds)}"
    if error.validator == "enum":
        options = ", ".join(str(v) for v in error.validator_value if v)
        return f"{_field(path)}: must be one of {options}"
    return f"{_field(path)}: {_limit(str(error.validator), error.validator_value)}"


def _limit(kind: str, value: Any) -> str:
    limits = {
        "minimum": f"must be at least {value}",
        "maximum": f"must be at most {value}",
        "minLength": "must not be empty",
    }
    return limits.get(kind, f"breaks “{kind}”")


def _number_calls(steps: Iterable[dict[str, Any]]) -> None:
    """Whole numbers as such (``3.0`` is 3), each once: calls are found again by their number."""
    seen: set[int] = set()
    for index, step in enumerate(steps):
        if step["role"] != "tool":
            continue
        step["i"] = int(step["i"])
        if step["i"] in seen:
            raise UnusableError(f"steps[{index}].i: another call has the number {step['i']}")
        seen.add(step["i"])


def _field(path: Iterable[Any]) -> str:
    """``steps[3].args`` of the keys and indices that lead there."""
    parts = [f"[{p}]" if isinstance(p, int) else f".{_short(str(p))}" for p in path]
    return "".join(parts).removeprefix(".") or "the line"


def _short(text: str) -> str:
    shown = text.encode("utf-8", "replace").decode() if not text.isascii() else text
    return shown if len(shown) <= 40 else f"{shown[:40]}…"
