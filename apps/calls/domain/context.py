"""A run's context: short texts by name that tool servers are told with every request of the run.

Whoever starts a run says what its tools need to know beside their arguments: a tenant, a branch, a
sandbox. The tower neither reads nor judges it, and a branch of a run has its parent's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

NAME = r"^[a-z][a-z0-9_.-]{0,39}$"
OURS = frozenset({"run", "idempotency_key"})  # what the tower itself says under these names
MOST_NAMES, MOST_CHARACTERS = 16, 200


def problem(context: Mapping[Any, Any]) -> str:
    """Why this can't be a run's context, and what to do; empty when it can."""
    if len(context) > MOST_NAMES:
        return f"A context has at most {MOST_NAMES} names; these are {len(context)}."
    for name, value in context.items():
        if not isinstance(name, str) or not re.fullmatch(NAME, name):
            return (
                f"A name in a context is at most 40 small letters, digits and _ . - and begins with"
                f" a letter, unlike “{str(name)[:60]}”."
            )
        if name in OURS:
            return f"“{name}” is what the tower itself tells tool servers: choose another name."
        if not isinstance(value, str) or len(value) > MOST_CHARACTERS or "\0" in value:
            return f"“{name}” must be a text of at most {MOST_CHARACTERS} characters."
    return ""


def told(stored: Any) -> dict[str, str]:
    """What of a stored context tool servers are told: whatever else lies there stays there."""
    if not isinstance(stored, Mapping):
        return {}
    return {name: value for name, value in stored.items() if not problem({name: value})}
