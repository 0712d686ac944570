"""What differs between two JSON values, as a list people can read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

MISSING: Any = object()


def changes(before: Any, after: Any) -> list[dict[str, Any]]:
    """List the differences as ``{"path", "before", "after"}``, ``None`` standing for absent.

    Paths are JSON Pointers; list items are compared by position.
    """
    return [
        {
            "path": path,
            "before": None if old is MISSING else old,
            "after": None if new is MISSING else new,
        }
        for path, old, new in _differences("", before, after)
    ]


def _differences(path: str, before: Any, after: Any) -> Iterator[tuple[str, Any, Any]]:
    if isinstance(before, dict) and isinstance(after, dict):
        for key in [*before, *(key for key in after if key not in before)]:
            step = f"{path}/{str(key).replace('~', '~0').replace('/', '~1')}"
            yield from _differences(step, before.get(key, MISSING), after.get(key, MISSING))
    elif isinstance(before, list) and isinstance(after, list):
        for index in range(max(len(before), len(after))):
            old = before[index] if index < len(before) else MISSING
            new = after[index] if index < len(after) else MISSING
            yield from _differences(f"{path}/{index}", old, new)
    elif before is MISSING or after is MISSING or before != after:
        yield path, before, after
