"""What a JSON Schema from outside is made of, found without trying it on anything.

Every subschema that could be reached is visited once: where its references point, which patterns it
brings, and how often one value would be tried against it. So a schema that would fetch, go round in
circles or take exponential time is known by its text.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from decimal import Decimal
from math import isfinite
from typing import Any
from urllib.parse import unquote

import jsonschema
import jsonschema_rs

from apps.kernel.documents import Path, path_text
from apps.kernel.ecma import PatternError
from apps.kernel.patterns import pattern

MOST_NODES, MOST_DEPTH = 10_000, 64  # of the JSON that it is written in
MOST_TRIES = 5_000  # of one value against subschemas that all look at it
MOST_PLAIN_TRIES = 2_000  # of a whole schema, unfolded, for it to count as plain
MOST_PROBLEMS = 20

_ONE = frozenset(
    {
        "additionalItems", "additionalProperties", "contains", "else", "if", "items", "not",
        "propertyNames", "then", "unevaluatedItems", "unevaluatedProperties",
    }
)  # fmt: skip
_LISTS = frozenset({"allOf", "anyOf", "items", "oneOf", "prefixItems"})
_NAMED = frozenset(
    {
        "$defs", "definitions", "dependencies", "dependentSchemas", "patternProperties",
        "properties",
    }
)  # fmt: skip
# Tried on the very value that the schema is tried on; the others look at a part of it.
_SAME = frozenset(
    {"allOf", "anyOf", "dependencies", "dependentSchemas", "else", "if", "not", "oneOf", "then"}
)
_NEVER = frozenset({"$defs", "definitions"})  # only when something points there
_REFERENCES = ("$ref", "$dynamicRef", "$recursiveRef")
_ANCHORS = ("$anchor", "$dynamicAnchor")


@dataclass(frozen=True, slots=True)
class SchemaProblem:
    """One thing that is wrong in a schema: its place, what, and how to mend it."""

    path: Path
    message: str
    fix: str = ""

    def __str__(self) -> str:
        where = f"{path_text(self.path)}: " if self.path else ""
        return f"{where}{self.message} {self.fix}".strip()


@dataclass(frozen=True, slots=True)
class SchemaDialect:
    """A version of JSON Schema: the validator whose words people read, and the fast one."""

    name: str
    exact: Any
    quick: Any


NEWEST = SchemaDialect(
    "2020-12", jsonschema.Draft202012Validator, jsonschema_rs.Draft202012Validator
)
DRAFTS = {
    "json-schema.org/draft/2020-12/schema": NEWEST,
    "json-schema.org/draft/2019-09/schema": SchemaDialect(
        "2019-09", jsonschema.Draft201909Validator, jsonschema_rs.Draft201909Validator
    ),
    "json-schema.org/draft-07/schema": SchemaDialect(
        "7", jsonschema.Draft7Validator, jsonschema_rs.Draft7Validator
    ),
    "json-schema.org/draft-06/schema": SchemaDialect(
        "6", jsonschema.Draft6Validator, jsonschema_rs.Draft6Validator
    ),
    "json-schema.org/draft-04/schema": SchemaDialect(
        "4", jsonschema.Draft4Validator, jsonschema_rs.Draft4Validator
    ),
}


@dataclass(frozen=True)
class Outline:
    """A schema as it may be tried: ``is_plain`` when it holds nothing that only the exact validator
    can be trusted with. With any ``problems`` it may not be tried at all."""

    schema: Any
    draft: SchemaDialect = NEWEST
    problems: tuple[SchemaProblem, ...] = ()
    is_plain: bool = False


def outline(schema: Any) -> Outline:
    """Look through a schema; never raises."""
    if isinstance(schema, bool):
        return Outline(schema, is_plain=True)
    found = _unfit(schema)
    if found:
        return Outline(schema, problems=(found,))
    draft = _draft(schema)
    if draft is None:
        return Outline(schema, problems=(_unknown_draft(schema),))
    if wrong := _ill_formed(schema, draft):
        return Outline(schema, draft, wrong)
    own = deepcopy(schema)
    walk = _Walk(own, draft)
    walk.go()
    problems = walk.problems or walk.circles()
    return Outline(own, draft, tuple(problems[:MOST_PROBLEMS]), not problems and walk.is_plain)


def _unfit(schema: Any) -> SchemaProblem | None:
    """Why a schema isn't even looked at: it is no object, too large, or too deep."""
    if not isinstance(schema, Mapping):
        return SchemaProblem((), "A schema is an object.", 'Write {"type": "object"}.')
    level: list[tuple[Path, Any]] = [((), schema)]
    nodes = 0
    for _ in range(MOST_DEPTH):
        nodes += len(level)
        if nodes > MOST_NODES:
            message = f"It has more than {MOST_NODES:,} parts."
            return SchemaProblem((), message, "Say less, or share parts in $defs.")
        level = [((*path, key), part) for path, whole in level for key, part in _members(whole)]
        if not level:
            return None
        if odd := next((p for p, v in level if not _is_json(v)), None):
            return SchemaProblem(odd, "It is no JSON value.", "Write text, numbers or lists.")
    return SchemaProblem(level[0][0][:6], "It is nested too deeply.", "Move parts to $defs.")


def _members(whole: Any) -> Iterator[tuple[Any, Any]]:
    if isinstance(whole, Mapping):
        return iter(whole.items())
    return iter(enumerate(whole)) if isinstance(whole, list) else iter(())


def _is_json(value: Any) -> bool:
    if isinstance(value, Mapping):
        return all(isinstance(key, str) for key in value)
    if isinstance(value, Decimal):
        return value.is_finite()
    if isinstance(value, float):
        return isfinite(value)
    return value is None or isinstance(value, str | int | list)


def _draft(schema: Mapping[str, Any]) -> SchemaDialect | None:
    named = schema.get("$schema", "")
    if not named:
        return NEWEST
    if not isinstance(named, str):
        return None
    return DRAFTS.get(named.removeprefix("https://").removeprefix("http://").rstrip("#"))


def _unknown_draft(schema: Mapping[str, Any]) -> SchemaProblem:
    message = f"“{str(schema['$schema'])[:100]}” is no version of JSON Schema that is known here."
    return SchemaProblem(("$schema",), message, f"Write “https://{next(iter(DRAFTS))}”.")


def _ill_formed(schema: Mapping[str, Any], draft: SchemaDialect) -> tuple[SchemaProblem, ...]:
    """What the draft's own schema says. Patterns are judged elsewhere, so no format is asserted."""
    if _is_well_formed(schema):
        return ()
    judge = draft.exact(draft.exact.META_SCHEMA)
    out = []
    try:
        for error in judge.iter_errors(schema):
            path = tuple(error.absolute_path)
            fix = f"See json-schema.org, draft {draft.name}."
            out.append(SchemaProblem(path, f"This is not JSON Schema: {_reason(error)}.", fix))
            if len(out) >= MOST_PROBLEMS:
                break
    except RecursionError:
        out.append(SchemaProblem((), "It is nested too deeply.", "Move parts to $defs."))
    return tuple(out)


def _is_well_formed(schema: Mapping[str, Any]) -> bool:
    """What a fast validator says. It knows other patterns than we do, so its no isn't final."""
    try:
        return jsonschema_rs.meta.is_valid(dict(schema))
    except Exception:  # what it can't read, the other one judges
        return False


def _reason(error: jsonschema.ValidationError) -> str:
    return error.message[:160].encode("utf-8", "backslashreplace").decode()


@dataclass
class _Place:
    """A subschema: which others look at the same value, and which at a part of it."""

    path: Path
    same: list[int] = field(default_factory=list)
    parts: list[int] = field(default_factory=list)


class _Walk:
    """Visits every subschema once, and takes out what must not reach a validator: a version of its
    own, and names by which others could be found outside."""

    def __init__(self, root: dict[str, Any], draft: SchemaDialect) -> None:
        self.root = root
        self.addresses = ("id",) if draft.name == "4" else ("$id",)
        self.places: dict[int, _Place] = {}
        self.problems: list[SchemaProblem] = []
        self.anchors: dict[str, Any] = {}
        self.references: list[tuple[int, Path, str]] = []
        self.has_patterns = self.is_unusual = False
        self.queue: deque[tuple[Path, Any]] = deque()
        self.named = root.get("$schema")

    def go(self) -> None:
        for keyword in self.addresses:
            if not str(self.root.get(keyword, "")).startswith("#"):
                self.root.pop(keyword, None)
        self.reach((), self.root)
        self.visit_all()
        while self.references:
            origin, path, reference = self.references.pop()
            target = self.target(path, reference)
            if isinstance(target, dict):
                self.places[origin].same.append(id(target))
                self.reach(path, target)
                self.visit_all()

    def wrong(self, path: Path, message: str, fix: str) -> None:
        self.problems.append(SchemaProblem(path, message, fix))

    def reach(self, path: Path, schema: Any) -> None:
        if isinstance(schema, dict) and id(schema) not in self.places:
            self.places[id(schema)] = _Place(path)
            self.queue.append((path, schema))

    def visit_all(self) -> None:
        while self.queue:
            path, schema = self.queue.popleft()
            self.visit(path, schema)

    def visit(self, path: Path, schema: dict[str, Any]) -> None:
        self.identity(path, schema)
        for keyword in _REFERENCES:
            if keyword in schema:
                self.refer((*path, keyword), schema, schema[keyword])
        self.patterns(path, schema)
        self.is_unusual |= any(isinstance(value, Decimal) for value in schema.values())
        place = self.places[id(schema)]
        for keyword, inner_path, inner in _subschemas(path, schema):
            if not isinstance(inner, dict):
                continue
            if keyword in _SAME:
                place.same.append(id(inner))
            elif keyword not in _NEVER:
                place.parts.append(id(inner))
            self.reach(inner_path, inner)
        if "unevaluatedProperties" in schema or "unevaluatedItems" in schema:
            self.is_unusual = True

    def identity(self, path: Path, schema: dict[str, Any]) -> None:
        if schema.pop("$schema", self.named) != self.named:
            self.wrong((*path, "$schema"), "One part says another version.", "Leave it out.")
        for keyword in self.addresses:
            address = schema.get(keyword)
            if isinstance(address, str) and address.startswith("#"):  # an anchor, up to draft 7
                self.anchors[address[1:]] = schema
            elif isinstance(address, str):
                message = "A part with an address of its own can't be used."
                fix = f"Leave “{keyword}” out; point at “#/$defs/…”."
                self.wrong((*path, keyword), message, fix)
        for keyword in _ANCHORS:
            if isinstance(schema.get(keyword), str):
                self.anchors[schema[keyword]] = schema

    def refer(self, path: Path, schema: dict[str, Any], reference: Any) -> None:
        if not isinstance(reference, str) or not reference.startswith("#"):
            message = f"“{str(reference)[:100]}” points outside of this document."
            self.wrong(path, message, "Copy the part to “$defs”; write “#/$defs/…”.")
            return
        self.references.append((id(schema), path, reference))

    def target(self, path: Path, reference: str) -> Any:
        pointer = unquote(reference[1:])
        found = _pointed(self.root, pointer) if pointer[:1] in ("", "/") else None
        found = self.anchors.get(pointer) if found is None else found
        if not isinstance(found, dict | bool):
            self.wrong(path, f"“{reference[:100]}” points at nothing.", "Fix the reference.")
        return found

    def patterns(self, path: Path, schema: dict[str, Any]) -> None:
        texts: list[tuple[Path, str]] = []
        if isinstance(schema.get("pattern"), str):
            texts.append((("pattern",), schema["pattern"]))
        named = schema.get("patternProperties")
        if isinstance(named, dict):
            texts += [(("patternProperties", source), source) for source in named]
            if "unevaluatedProperties" in schema:
                message = "It can't be used beside “patternProperties”."
                fix = "Write “additionalProperties”."
                self.wrong((*path, "unevaluatedProperties"), message, fix)
        for place, source in texts:
            self.has_patterns = True
            try:
                pattern(source)
            except PatternError as error:
                self.wrong((*path, *place), f"The pattern can't be used: {error}", error.fix)

    @property
    def is_plain(self) -> bool:
        """Whether a fast validator may be trusted with it."""
        if self.has_patterns or self.is_unusual:
            return False
        tries = self.tries(lambda place: [*place.same, *place.parts], MOST_PLAIN_TRIES)
        return tries is not None and tries <= MOST_PLAIN_TRIES

    def circles(self) -> list[SchemaProblem]:
        """Whether trying one value would never end, or all but."""
        tries = self.tries(lambda place: place.same, MOST_TRIES)
        if tries is None:
            message = "It refers to itself without looking at a part of the value."
            return [SchemaProblem(self.circular, message, "Point at a part, or leave it out.")]
        if tries > MOST_TRIES:
            message = f"One value would be tried against it more than {MOST_TRIES:,} times."
            return [SchemaProblem((), message, "Combine fewer parts with allOf, anyOf and oneOf.")]
        return []

    circular: Path = ()

    def tries(self, following: Any, most: int) -> int | None:
        """How many subschemas the worst one unfolds to; None when that never ends."""
        known: dict[int, int] = {}
        for start in self.places:
            trail: list[tuple[int, bool]] = [(start, False)]
            open_: set[int] = set()
            while trail:
                node, is_done = trail.pop()
                if is_done:
                    open_.discard(node)
                    total = 1 + sum(known[n] for n in following(self.places[node]))
                    known[node] = min(total, most + 1)
                elif node in open_:
                    self.circular = self.places[node].path
                    return None
                elif node not in known:
                    open_.add(node)
                    trail.append((node, True))
                    trail.extend((n, False) for n in following(self.places[node]))
        return max(known.values(), default=0)


def _subschemas(path: Path, schema: Mapping[str, Any]) -> Iterator[tuple[str, Path, Any]]:
    for keyword, value in schema.items():
        if keyword in _ONE and isinstance(value, dict):
            yield keyword, (*path, keyword), value
        elif keyword in _LISTS and isinstance(value, list):
            for i, inner in enumerate(value):
                yield keyword, (*path, keyword, i), inner
        elif keyword in _NAMED and isinstance(value, dict):
            for name, inner in value.items():
                yield keyword, (*path, keyword, name), inner


def _pointed(root: Any, pointer: str) -> Any:
    """What a JSON Pointer finds, or None."""
    found = root
    for part in pointer.split("/")[1:]:
        key = part.replace("~1", "/").replace("~0", "~")
        if isinstance(found, dict):
            found = found.get(key)
        elif isinstance(found, list) and key.isdecimal() and int(key[:9]) < len(found):
            found = found[int(key[:9])]
        else:
            return None
    return found
