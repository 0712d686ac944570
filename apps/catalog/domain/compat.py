"""Whether a changed JSON Schema still accepts what was accepted before."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Incompatibility:
    path: str
    sentence: str


def input_breaks(
    before: Mapping[str, Any], after: Mapping[str, Any], path: str
) -> list[Incompatibility]:
    """What callers of the old schema could send that the new one refuses (top level and nested
    objects; the constructs contracts use)."""
    out: list[Incompatibility] = []
    old, new = before.get("properties") or {}, after.get("properties") or {}
    closed = after.get("additionalProperties") is False
    for name in sorted(set(after.get("required") or []) - set(before.get("required") or [])):
        out.append(Incompatibility(f"{path}.required", f"“{name}” must now be given"))
    for name in old:
        here = f"{path}.properties.{name}"
        if name not in new:
            if closed:
                out.append(Incompatibility(here, f"“{name}” is no longer accepted"))
            continue
        out += _value_breaks(old[name], new[name], here, name)
    if closed and before.get("additionalProperties") is not False:
        out.append(Incompatibility(f"{path}.additionalProperties", "unknown keys are now refused"))
    return out


def output_breaks(
    before: Mapping[str, Any], after: Mapping[str, Any], path: str
) -> list[Incompatibility]:
    """What readers of the old output rely on that the new one no longer promises."""
    out: list[Incompatibility] = []
    old, new = before.get("properties") or {}, after.get("properties") or {}
    for name in old:
        here = f"{path}.properties.{name}"
        if name not in new:
            out.append(Incompatibility(here, f"“{name}” is no longer returned"))
        else:
            out += _value_breaks(new[name], old[name], here, name)
    for name in sorted(set(before.get("required") or []) - set(after.get("required") or [])):
        out.append(Incompatibility(f"{path}.required", f"“{name}” is no longer always returned"))
    return out


def _value_breaks(wide: Any, narrow: Any, path: str, name: str) -> list[Incompatibility]:
    if not isinstance(wide, Mapping) or not isinstance(narrow, Mapping):
        return []
    out = []
    before, after = _types(wide), _types(narrow)
    if after and not (before or {"anything"}) <= after:
        out.append(
            Incompatibility(f"{path}.type", f"“{name}” must now be {' or '.join(sorted(after))}")
        )
    if narrow.get("enum") is not None:
        allowed = [*narrow["enum"]]
        lost = [v for v in wide.get("enum") or ["any value"] if v not in allowed]
        if lost:
            said = ", ".join(str(v) for v in lost)
            out.append(Incompatibility(f"{path}.enum", f"“{name}” may no longer be {said}"))
    return out


def _types(schema: Mapping[str, Any]) -> set[str]:
    kind = schema.get("type")
    if kind is None:
        return set()
    found = {kind} if isinstance(kind, str) else set(kind)
    return found | {"integer"} if "number" in found else found
