"""Read episode files line by line; a malformed line is named and the rest goes on."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

NEEDED = ("episode_id", "domain", "model", "steps")
TOOL_STEP = ("i", "tool", "args")


@dataclass(frozen=True, slots=True)
class BadLine:
    file: str
    number: int
    problem: str

    def __str__(self) -> str:
        return f"{self.file}, line {self.number}: {self.problem}"


def read(
    paths: Sequence[Path], *, domains: frozenset[str], limit: int | None = None
) -> tuple[list[dict[str, Any]], list[BadLine]]:
    """All good episodes, at most ``limit``, and every bad line met on the way."""
    episodes: list[dict[str, Any]] = []
    bad: list[BadLine] = []
    for path in paths:
        for number, line in _lines(path, bad):
            if limit is not None and len(episodes) >= limit:
                return episodes, bad
            if not line.strip():
                continue
            episode, problem = _parse(line, domains)
            if problem:
                bad.append(BadLine(path.name, number, problem))
            else:
                episodes.append(episode)
    return episodes, bad


def _lines(path: Path, bad: list[BadLine]) -> Iterator[tuple[int, str]]:
    number = 0
    try:
        with (gzip.open if path.suffix == ".gz" else open)(path, "rt", encoding="utf-8") as lines:
            for number, line in enumerate(lines, start=1):
                yield number, line
    except FileNotFoundError:
        bad.append(BadLine(path.name, 0, "there is no such file"))
    except (OSError, EOFError, UnicodeDecodeError) as error:
        bad.append(BadLine(path.name, number + 1, f"the file can't be read on: {error}"))


def _parse(line: str, domains: frozenset[str]) -> tuple[dict[str, Any], str]:
    try:
        episode = json.loads(line)
    except ValueError as error:
        return {}, f"not JSON: {error}"
    if not isinstance(episode, dict):
        return {}, "not a JSON object"
    return episode, _problem(episode, domains)


def _problem(episode: dict[str, Any], domains: frozenset[str]) -> str:
    if missing := [name for name in NEEDED if name not in episode]:
        return f"missing field “{missing[0]}”"
    if episode["domain"] not in domains:
        return f"domain “{episode['domain']}” has no pack (known: {', '.join(sorted(domains))})"
    if not isinstance(episode["steps"], list):
        return "“steps” is not a list"
    for index, step in enumerate(episode["steps"]):
        if problem := _step_problem(step):
            return f"steps[{index}]: {problem}"
    return ""


def _step_problem(step: Any) -> str:
    if not isinstance(step, dict) or step.get("role") not in {"user", "assistant", "tool"}:
        return "“role” must be user, assistant or tool"
    if step["role"] == "tool":
        if missing := [name for name in TOOL_STEP if name not in step]:
            return f"missing field “{missing[0]}”"
        if not isinstance(step["args"], dict | None):
            return "“args” is not an object"
        if not isinstance(step["i"], int) or not isinstance(step["tool"], str):
            return "“i” must be a whole number and “tool” a text"
    return ""
