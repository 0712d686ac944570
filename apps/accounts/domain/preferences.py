"""What a person may choose about how the pages look and behave."""

from __future__ import annotations

from typing import Any

THEMES = ("auto", "light", "dark")
DENSITIES = ("compact", "default", "comfortable")
DEFAULTS: dict[str, Any] = {"theme": "auto", "density": "default", "single_keys": True}


def chosen(*sources: dict[str, Any]) -> dict[str, Any]:
    """Every preference, from the first source that holds a legal value for it."""
    return {name: _first(name, sources) for name in DEFAULTS}


def _first(name: str, sources: tuple[dict[str, Any], ...]) -> Any:
    values = (source.get(name) for source in sources)
    return next((value for value in values if _legal(name, value)), DEFAULTS[name])


def _legal(name: str, value: Any) -> bool:
    if name == "theme":
        return value in THEMES
    if name == "density":
        return value in DENSITIES
    return isinstance(value, bool)
