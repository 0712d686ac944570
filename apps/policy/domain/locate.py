"""Where in a text is the mistake? Cedar says what is wrong, not where; these find the place."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

TOKEN = re.compile(
    r'//[^\n]*|"(?:\\.|[^"\\])*"?|[A-Za-z_]\w*|\d+|::|[=!<>]=|&&|\|\||\S',
)
QUOTED = re.compile(r"`([^`]+)`")


@dataclass(frozen=True, slots=True)
class Span:
    """Where one policy stands in a text: offsets of its first and last character, exclusive."""

    start: int
    end: int


def line_and_column(text: str, offset: int) -> tuple[int, int]:
    """Line and column of an offset, both from 1."""
    line = text.count("\n", 0, offset) + 1
    return line, offset - (text.rfind("\n", 0, offset) + 1) + 1


def first_bad_offset(text: str, fails: Callable[[str], bool]) -> int:
    """The offset of the first token after which no continuation could be right.

    ``fails`` says whether a prefix is wrong other than by ending too soon. Wrongness never heals as
    a prefix grows, so a binary search over tokens finds the place.
    """
    tokens = [(m.start(), m.end()) for m in TOKEN.finditer(text)]
    if not tokens or not fails(text[: tokens[-1][1]]):
        return len(text.rstrip())
    low, high = 0, len(tokens) - 1
    while low < high:
        middle = (low + high) // 2
        if fails(text[: tokens[middle][1]]):
            high = middle
        else:
            low = middle + 1
    return tokens[low][0]


def policy_spans(text: str) -> list[Span]:
    """Where each policy of a right text stands, in order: a policy ends with a semicolon."""
    spans: list[Span] = []
    start: int | None = None
    for match in TOKEN.finditer(text):
        piece = match.group()
        if piece.startswith("//"):
            continue
        if start is None:
            start = match.start()
        if piece == ";":
            spans.append(Span(start, match.end()))
            start = None
    return spans


def offset_of_subject(text: str, span: Span, message: str) -> int:
    """Where in a policy the thing stands that a message of the validator names in backquotes; the
    policy's start when it names nothing that is there."""
    body = text[span.start : span.end]
    for name in reversed(QUOTED.findall(message)):
        for candidate in (name, name.rpartition(".")[2]):
            found = re.search(rf"(?<!\w){re.escape(candidate)}(?!\w)", body)
            if found is not None:
                return span.start + found.start()
    return _condition(body) + span.start


def offset_of_annotation(text: str, span: Span, name: str) -> int:
    """Where a policy's annotation stands, or the policy's start when it has none of this name."""
    found = re.search(rf"@{re.escape(name)}\b", text[span.start : span.end])
    return span.start + (found.start() if found else 0)


def _condition(body: str) -> int:
    found = re.search(r"\bwhen\b|\bunless\b", body)
    return found.start() if found else 0
