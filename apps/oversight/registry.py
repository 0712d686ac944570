"""Who is a party to what is decided: each app that knows of some names them when it is ready."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from django.utils.module_loading import import_string

Parties = Callable[[Any], Mapping[str, str]]  # of an approval: user name → what they had in it

_sources: dict[str, None] = {}


def add_parties(*paths: str) -> None:
    """Ask these functions, given by dotted path, who is a party to an approval. What they say of
    somebody ends the sentence "You can't approve this: you …"."""
    _sources.update(dict.fromkeys(paths))


def parties_to(approval: Any) -> dict[str, str]:
    """Everybody whose approval wouldn't be a second person's, with what they had in it."""
    found: dict[str, str] = {}
    for path in _sources:
        source: Parties = import_string(path)
        for name, had in source(approval).items():
            found.setdefault(name, had)
    return found
