"""How two JSON Schemas of a tool's arguments differ, property by property.

A pack may state a narrower schema than its server's; one that lets through what the server can't
take, or leaves out what it needs, is wrong.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

# Words about a value, not about what it may be.
_WORDS = {"$comment", "$id", "$schema", "default", "deprecated", "description", "examples", "title"}
_COMBINED = ("$ref", "allOf", "anyOf", "oneOf")
_WALKED = {"additionalProperties", "enum", "items", "properties", "required", "type"}
MOST_DEPTH = 8


@dataclass(frozen=True, slots=True)
class Difference:
    """One property in which a stated schema isn't the server's. ``breaks``: calls that fit the
    stated one would not fit the server's."""

    path: tuple[str, ...]
    message: str
    fix: str = ""
    breaks: bool = True

    @property
    def name(self) -> str:
        return ".".join(self.path) or "the arguments"


def differences(stated: Mapping[str, Any], served: Mapping[str, Any]) -> list[Difference]:
    """Everything in which ``stated`` differs from ``served``, words left aside."""
    return list(_walk(stated, served, ()))


def _walk(
    stated: Mapping[str, Any], served: Mapping[str, Any], path: tuple[str, ...]
) -> Iterator[Difference]:
    if len(path) > MOST_DEPTH or any(key in s for key in _COMBINED for s in (stated, served)):
        if plain(stated) != plain(served):
            yield Difference(path, "is described in another way by the server", breaks=False)
        return
    yield from _types(stated, served, path)
    yield from _choices(stated, served, path)
    yield from _properties(stated, served, path)
    if isinstance(stated.get("items"), Mapping) and isinstance(served.get("items"), Mapping):
        yield from _walk(stated["items"], served["items"], (*path, "[]"))
    for key in sorted(set(stated) | set(served)):
        if key in _WORDS or key in _WALKED:
            continue
        if stated.get(key) != served.get(key):
            yield Difference(
                path,
                f"has another “{key}” at the server",
                "Take over the server's, or leave input_schema out.",
                breaks=False,
            )


def _types(
    stated: Mapping[str, Any], served: Mapping[str, Any], path: tuple[str, ...]
) -> Iterator[Difference]:
    theirs = types_of(served)
    ours = types_of(stated)
    if not theirs or theirs == ours:
        return
    words = " or ".join(sorted(theirs))
    if not ours:
        yield Difference(path, f"may be anything, but the server takes {words}", breaks=False)
    elif any(kind not in theirs and not _fits(kind, theirs) for kind in ours):
        said = " or ".join(sorted(ours))
        yield Difference(path, f"is {said}, but the server takes {words}", f"Write type: {words}.")


def types_of(schema: Mapping[str, Any]) -> set[str]:
    """The types that a schema names."""
    kind = schema.get("type")
    return {kind} if isinstance(kind, str) else names(schema, "type")


def names(schema: Mapping[str, Any], key: str) -> set[str]:
    """The texts of a list in a schema; a server may have anything there."""
    found = schema.get(key)
    return {n for n in found if isinstance(n, str)} if isinstance(found, list) else set()


def _fits(kind: str, theirs: set[str]) -> bool:
    return kind == "integer" and "number" in theirs


def _choices(
    stated: Mapping[str, Any], served: Mapping[str, Any], path: tuple[str, ...]
) -> Iterator[Difference]:
    theirs, ours = served.get("enum"), stated.get("enum")
    if not isinstance(theirs, list):
        return
    if not isinstance(ours, list):
        yield Difference(
            path, "may be anything, but the server has a list of choices", breaks=False
        )
        return
    unknown = [choice for choice in ours if choice not in theirs]
    if unknown:
        said = f"offers “{str(unknown[0])[:40]}”, which the server doesn't take"
        yield Difference(path, said, "Leave that choice out.")


def _properties(
    stated: Mapping[str, Any], served: Mapping[str, Any], path: tuple[str, ...]
) -> Iterator[Difference]:
    theirs = _group(served, "properties")
    ours = _group(stated, "properties")
    needed = names(served, "required")
    given = names(stated, "required")
    for name in ours:
        if name not in theirs and (theirs or served.get("additionalProperties") is False):
            fix = f"Leave it out, or write one of: {', '.join(list(theirs)[:20])}."
            yield Difference((*path, name), "is not known to the server", fix)
    for name in sorted(needed - given):
        what = "may be left out" if name in ours else "is missing"
        fix = "Add it to “required”." if name in ours else "Add it to “properties”."
        yield Difference((*path, name), f"{what}, but the server requires it", fix)
    for name in ours:
        if name in theirs and isinstance(ours[name], Mapping) and isinstance(theirs[name], Mapping):
            yield from _walk(ours[name], theirs[name], (*path, name))


def _group(schema: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = schema.get(key)
    return found if isinstance(found, Mapping) else {}


def plain(schema: Any) -> Any:
    """A schema without the words that it is explained with."""
    if isinstance(schema, list):
        return [plain(item) for item in schema]
    if not isinstance(schema, Mapping):
        return schema
    named = {"properties", "$defs", "definitions", "patternProperties"}
    return {
        key: {n: plain(v) for n, v in value.items()}
        if key in named and isinstance(value, Mapping)
        else plain(value)
        for key, value in schema.items()
        if key not in _WORDS
    }
