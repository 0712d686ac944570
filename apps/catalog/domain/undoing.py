"""Where the arguments of an undoing call are read.

A path starts at one of four roots: the undone step's ``arguments``, its ``result`` (the answer),
its ``preview`` (``preview.before`` is how things stood before it) or its ``facts``. Names follow,
parted by dots; a number is a place in a list, and ``*`` is the one entry of a group or list that
has exactly one. Nothing is guessed: a path that doesn't lead to a value has none.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

ROOTS = ("arguments", "result", "preview", "facts")
BEFORE = ("preview", "facts")  # what was known before the step was carried out
_NAME = re.compile(r"^(\*|[^\s.*{}]+)$")


class MissingError(LookupError):
    """A path leads to nothing; the message says where it ends."""


def path_problem(path: str) -> str:
    """What is wrong with ``path`` itself; empty when it can be read."""
    root, *names = path.split(".")
    if root not in ROOTS:
        return f"“{path}” starts at “{root}”; it has to start at {', '.join(ROOTS)}."
    if not names:
        return f"“{path}” names no value of the {root}."
    wrong = next((n for n in names if not _NAME.fullmatch(n)), None)
    return "" if wrong is None else f"“{wrong}” in “{path}” is no name, number or “*”."


def reads_before(paths: Mapping[str, str]) -> bool:
    """Whether any of the paths reads how things stood before the step."""
    return any(path.split(".")[0] in BEFORE for path in paths.values())


def read(scope: Mapping[str, Any], path: str) -> Any:
    """The value at ``path`` in ``scope`` (a value for each root), or ``MissingError``."""
    value: Any = scope
    walked: list[str] = []
    for name in path.split("."):
        value = _enter(value, name, ".".join(walked) or "the step")
        walked.append(name)
    if value is None:
        raise MissingError(f"{path} is empty")
    return value


def _enter(value: Any, name: str, where: str) -> Any:
    if name == "*":
        entries = list(value.values()) if isinstance(value, Mapping) else value
        if not isinstance(entries, list) or len(entries) != 1:
            raise MissingError(f"{where} doesn't have exactly one entry")
        return entries[0]
    if isinstance(value, Mapping) and name in value:
        return value[name]
    if isinstance(value, list) and name.isdecimal() and int(name) < len(value):
        return value[int(name)]
    raise MissingError(f"{where} has no “{name}”")
