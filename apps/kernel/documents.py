"""YAML read strictly, with a line for everything that is said about it.

A contract is edited by people: a key that is silently ignored, or a duplicate that silently wins,
is a control that silently isn't there. So the text is composed into nodes and turned into plain
JSON values here: every duplicate key, anchor, odd type and syntax error is reported at once, with
its place, and every path of the result knows its line and column.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from apps.kernel import exactjson

MAX_CHARACTERS = 200_000
MAX_EXACT_CHARACTERS = 1_000_000
MAX_DEPTH = 60
MAX_INTEGER = 2**53 - 1

Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Place:
    line: int = 1
    column: int = 1


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong: where (file, line, column, path), what, and how to mend it."""

    message: str
    fix: str = ""
    path: str = ""
    line: int = 1
    column: int = 1
    severity: str = "error"
    file: str = ""

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}:{self.column}" if self.file else f"line {self.line}"
        path = f" {self.path}:" if self.path else ""
        fix = f" {self.fix}" if self.fix else ""
        return f"{where}:{path} {self.message}{fix}"

    def in_file(self, name: str) -> Problem:
        return replace(self, file=name)

    @property
    def is_error(self) -> bool:
        return self.severity == "error"


@dataclass(slots=True)
class Document:
    """A parsed text: its value, the place of each path, and what was wrong with it."""

    value: Any = None
    places: dict[Path, Place] = field(default_factory=dict)
    key_places: dict[Path, Place] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    unreadable: set[str] = field(default_factory=set)

    def problem(
        self, path: Path, message: str, fix: str = "", *, severity: str = "error", key: bool = False
    ) -> Problem:
        """A problem at ``path``, or at its nearest ancestor that is written in the text."""
        place = self.place(path, key=key)
        return Problem(message, fix, path_text(path), place.line, place.column, severity)

    def place(self, path: Path, *, key: bool = False) -> Place:
        if key and path in self.key_places:
            return self.key_places[path]
        while path and path not in self.places:
            path = path[:-1]
        return self.places.get(path, Place())


def path_text(path: Iterable[str | int]) -> str:
    """``tools[0].retry.attempts``, as people write a path."""
    out = ""
    for part in path:
        out += f"[{part}]" if isinstance(part, int) else f".{part}" if out else str(part)
    return out


def load(text: str, *, exact: bool = False) -> Document:
    """Read ``text``; never raises. ``value`` is None when there is nothing usable. ``exact`` takes
    numbers of any size, and text of any length that a tool server may describe itself with."""
    most = MAX_EXACT_CHARACTERS if exact else MAX_CHARACTERS
    if len(text) > most:
        return _refused(f"The text is longer than {most:,} characters.", "Shorten it.")
    try:
        node = YAML(typ="safe", pure=True).compose(text)
    except MarkedYAMLError as error:
        return Document(problems=[_syntax_problem(error)])
    except YAMLError as error:
        return _refused(_first_line(str(error)), "Remove the character.")
    except RecursionError:
        return _refused("It is nested too deeply.", "Flatten it.")
    except (ValueError, OverflowError):  # of the number in an escape, such as "\\UFFFFFFFF"
        return _refused("An escape in it names no character.", "Write the character itself.")
    if node is None:
        return _refused("The text is empty.", "Write the document, or start from a version.")
    reader = _Reader(exact=exact)
    value = reader.read(node, ())
    return Document(value, reader.places, reader.key_places, reader.problems, reader.unreadable)


def _refused(message: str, fix: str) -> Document:
    return Document(problems=[Problem(message, fix)])


def _first_line(text: str) -> str:
    return text.strip().splitlines()[0][:200] if text.strip() else "This is not YAML."


def _syntax_problem(error: MarkedYAMLError) -> Problem:
    mark = error.problem_mark or error.context_mark
    what = " ".join(x.strip() for x in (error.context, error.problem) if x) or "This is not YAML"
    line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
    return Problem(
        f"YAML can't be read: {_first_line(what)}.",
        "Check indentation, quotes and colons on this line and the one above.",
        line=line,
        column=column,
    )


def _integer(text: str) -> int:
    return int(text.replace("_", ""), 0) if not re.fullmatch(r"[-+]?0+\d*", text) else int(text)


def _float(text: str) -> float:
    return float(text.replace("_", "").replace(".inf", "inf").replace(".nan", "nan"))


_TAG = "tag:yaml.org,2002:"


class _Reader:
    def __init__(self, *, exact: bool = False) -> None:
        self.exact = exact
        self.places: dict[Path, Place] = {}
        self.key_places: dict[Path, Place] = {}
        self.problems: list[Problem] = []
        self.unreadable: set[str] = set()
        self._seen: set[int] = set()

    def read(self, node: Node, path: Path) -> Any:
        self.places[path] = _place(node)
        if id(node) in self._seen or node.anchor is not None:
            self.unreadable.add(path_text(path))
            self._say(node, path, "Anchors and aliases are not supported.", "Write the value out.")
            return None
        self._seen.add(id(node))
        if len(path) > MAX_DEPTH:
            self._say(node, path, "It is nested too deeply.", "Flatten it.")
            return None
        if isinstance(node, MappingNode):
            return self._mapping(node, path)
        if isinstance(node, SequenceNode):
            return [self.read(child, (*path, i)) for i, child in enumerate(node.value)]
        return self._scalar(node, path)

    def _mapping(self, node: MappingNode, path: Path) -> dict[str, Any]:
        out: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, ScalarNode) or _is_merge(key_node):
                self._say(key_node, path, "A key must be plain text.", "Rename the key.")
                continue
            key = str(key_node.value)
            inner = (*path, key)
            if self._is_unfit(key_node, path, key):
                continue
            if key in out:
                first = self.key_places[inner].line
                self._say(
                    key_node,
                    inner,
                    f"“{key}” is written twice; the first is on line {first}.",
                    "Keep one of them.",
                )
                continue
            self.key_places[inner] = _place(key_node)
            out[key] = self.read(value_node, inner)
        return out

    def _scalar(self, node: Node, path: Path) -> Any:
        tag = str(node.tag).removeprefix(_TAG)
        text = str(node.value)
        if tag == "str":
            return None if self._is_unfit(node, path, text) else text
        if tag == "null":
            return None
        if tag == "bool":
            return text.lower() in {"true", "yes", "on"}
        try:
            if tag in {"int", "float"}:
                return self._number(node, path, text, is_whole=tag == "int")
        except ValueError:
            pass
        kind = "a date" if tag == "timestamp" else f"of the type {tag}"
        self.unreadable.add(path_text(path))
        self._say(node, path, f"“{text[:40]}” is read as {kind}.", f'Quote it: "{text[:40]}".')
        return None

    def _is_unfit(self, node: Node, path: Path, text: str) -> bool:
        """Whether an escape of YAML's made it text that can't be stored."""
        try:
            exactjson.check(text)
        except exactjson.NotCarriedError as error:
            self.unreadable.add(path_text(path))
            self._say(node, path, f"The text {error.reason}.", error.fix)
            return True
        return False

    def _number(
        self, node: Node, path: Path, text: str, *, is_whole: bool
    ) -> exactjson.Number | None:
        if self.exact and (found := _exact(text)) is not None:
            return found
        value = _integer(text) if is_whole else _float(text)
        message, fix = "", "Write a number."
        if isinstance(value, float) and not math.isfinite(value):
            message = "A number must be finite."
        elif abs(value) > MAX_INTEGER:
            message, fix = "The number is too large to be exact.", "Write a smaller one."
        elif isinstance(value, float) and Decimal(repr(value)) != Decimal(text):
            message, fix = "The number has more digits than are kept.", "Write fewer digits."
        if message:
            self.unreadable.add(path_text(path))
            self._say(node, path, message, fix)
            return None
        return int(value) if value == int(value) else value

    def _say(self, node: Node, path: Path, message: str, fix: str) -> None:
        place = _place(node)
        self.problems.append(Problem(message, fix, path_text(path), place.line, place.column))


def _is_merge(key: ScalarNode) -> bool:
    """Whether a key is YAML's merge key; in quotation marks it is a name like any other."""
    return key.value == "<<" and not key.style


def _exact(text: str) -> exactjson.Number | None:
    """A number written as JSON writes it, to the digit."""
    try:
        return exactjson.number(text)
    except exactjson.NotCarriedError:
        return None


def _place(node: Node) -> Place:
    return Place(node.start_mark.line + 1, node.start_mark.column + 1)
