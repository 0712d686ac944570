"""The plain sentence a person reads, made from the canonical arguments and nothing else."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from apps.kernel.exactjson import is_number, number_text

_FIELD = re.compile(r"\{([a-zA-Z_][\w.]*)\}")


def render(template: str, arguments: Mapping[str, Any], facts: Mapping[str, Any]) -> str:
    """Fill ``{argument}`` and ``{facts.name}`` in ``template``. A field that isn't there is shown
    as “unknown”, never left out. No other syntax is understood, so data can't format anything."""
    scope: dict[str, Any] = {**arguments, "facts": facts}

    def fill(match: re.Match[str]) -> str:
        return show(look_up(scope, match.group(1)))

    return _FIELD.sub(fill, template)


def look_up(scope: Mapping[str, Any], path: str) -> Any:
    """The value at a dotted path, or ``None``."""
    value: Any = scope
    for part in path.split("."):
        if not isinstance(value, Mapping) or part not in value:
            return None
        value = value[part]
    return value


def show(value: Any) -> str:
    """One value as a person reads it: lists joined, objects as ``key value`` pairs."""
    if value is None:
        return "unknown"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return " ".join(f"{k} {show(v)}" for k, v in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(show(v) for v in value) or "none"
    return number_text(value) if is_number(value) else str(value)
