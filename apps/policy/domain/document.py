"""A policy document: YAML with a name, limits, and Cedar text in a literal block.

Positions matter more than anything here: a person who types must be shown the line that is wrong.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.scalarstring import LiteralScalarString

KEYS = ("policy", "name", "limits", "policies")
MAX_LIMIT = 2**53 - 1


@dataclass(frozen=True, slots=True)
class Problem:
    """Something to mend before a document can be published."""

    line: int
    column: int
    path: str
    message: str
    fix: str = ""


@dataclass(frozen=True, slots=True)
class PolicyDocument:
    """What a document says. ``first_line`` and ``indent`` say where the Cedar text stands in it."""

    slug: str = ""
    name: str = ""
    limits: Mapping[str, int] = field(default_factory=dict)
    policies: str = ""
    first_line: int = 1
    indent: int = 0

    def position(self, line: int, column: int) -> tuple[int, int]:
        """Where a position of the Cedar text is in the document (lines and columns from 1)."""
        return self.first_line + line - 1, self.indent + column


def read_document(text: str) -> tuple[PolicyDocument | None, list[Problem]]:
    """Read a document strictly. With problems of structure there may still be a document, so that
    its Cedar text can be judged as well; there is none when the YAML itself can't be read."""
    try:
        value = YAML(typ="rt").load(text)
    except MarkedYAMLError as error:
        return None, [_yaml_problem(error)]
    except (YAMLError, ValueError) as error:
        return None, [Problem(1, 1, "", f"this is not YAML: {error}".strip())]
    if not isinstance(value, CommentedMap):
        fix = "start with “policy: a-name”, then limits and policies"
        return None, [Problem(1, 1, "", "the document is not a group of keys", fix)]
    problems = [*_key_problems(value), *_limit_problems(value)]
    return _document(value, text), problems


def _document(value: CommentedMap, text: str) -> PolicyDocument:
    policies = value.get("policies")
    first_line, indent = 1, 0
    if "policies" in value:
        line, column = value.lc.value("policies")
        first_line, indent = line + 1, column
        if isinstance(policies, LiteralScalarString):
            first_line, indent = line + 2, _indent(text, line + 1)
    limits = value.get("limits")
    return PolicyDocument(
        slug=str(value.get("policy") or ""),
        name=str(value.get("name") or ""),
        limits={str(k): v for k, v in limits.items() if _whole(v)} if _is_map(limits) else {},
        policies=str(policies) if isinstance(policies, str) else "",
        first_line=first_line,
        indent=indent,
    )


def _key_problems(value: CommentedMap) -> Iterator[Problem]:
    for key in value:
        if key not in KEYS:
            fix = f"use only {', '.join(KEYS)}"
            yield Problem(*_at_key(value, key), str(key), f"unknown key “{key}”", fix)
    for key in ("policy", "name", "policies"):
        found = value.get(key)
        if found is None:
            yield Problem(1, 1, key, f"“{key}” is missing", f"add “{key}: …”")
        elif not isinstance(found, str) or not found.strip():
            yield Problem(*_at_key(value, key), key, f"“{key}” must be text")
    policies = value.get("policies")
    if isinstance(policies, str) and not isinstance(policies, LiteralScalarString):
        fix = "write “policies: |” and indent the rules below it"
        yield Problem(*_at_key(value, "policies"), "policies", "rules need a literal block", fix)


def _limit_problems(value: CommentedMap) -> Iterator[Problem]:
    limits = value.get("limits")
    if limits is None:
        return
    if not _is_map(limits):
        fix = "write one “name: number” a line"
        yield Problem(*_at_key(value, "limits"), "limits", "limits are not a group of keys", fix)
        return
    for name, number in limits.items():
        path = f"limits.{name}"
        if not str(name).isidentifier():
            fix = "use letters, digits and _ in names"
            yield Problem(*_at_key(limits, name), path, f"“{name}” can't be a limit's name", fix)
        elif not _whole(number):
            fix = "use a whole number, such as 50000"
            yield Problem(*_at_key(limits, name), path, f"“{name}” is not a whole number", fix)


def _yaml_problem(error: MarkedYAMLError) -> Problem:
    mark = error.problem_mark or error.context_mark
    line, column = (mark.line + 1, mark.column + 1) if mark is not None else (1, 1)
    return Problem(line, column, "", f"this is not YAML: {error.problem or error.context}")


def _at_key(value: CommentedMap, key: Any) -> tuple[int, int]:
    line, column = value.lc.key(key)
    return line + 1, column + 1


def _is_map(value: Any) -> bool:
    return isinstance(value, CommentedMap)


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) <= MAX_LIMIT


def _indent(text: str, after_line: int) -> int:
    """The least indentation of the block that starts after a line."""
    found = 0
    for line in text.split("\n")[after_line:]:
        if line.strip():
            found = len(line) - len(line.lstrip(" "))
            break
    return found
