"""Where in a text is the mistake? Cedar says what is wrong, not where; these find the place."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

TOKEN = re.compile(
    r'//[^\n]*|"(?:\\.|[^"\\])*"?|[A-Za-z_]\w*|\d+|::|[=!<>]=|&&|\|\||\S',
)
NEAR = 20  # characters
MOST_TRIED = 1_000_000  # characters parsed in the search for a mistake: about a second
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

    ``fails`` says whether a prefix is wrong other than by ending too soon. Policy by policy, since
    a parser that recovers after one may then complain of the end of the text instead; and from the
    front, since prefixes beyond the first mistake say nothing reliable. In a very long policy the
    place is where the search ended: each try parses all that is before it.
    """
    spans = _chunks(text)
    wrong = [span for span in spans if fails(text[span.start : span.end])]
    left = MOST_TRIED
    for span in wrong or spans:
        chunk, good = text[span.start : span.end], 0
        for match in TOKEN.finditer(chunk):
            if match.group().startswith("//"):
                continue
            left -= match.end()
            if left < 0:
                return span.start + good
            if fails(chunk[: match.end()]):
                return span.start + match.start()
            good = match.start()
    return len(text.rstrip())


def _chunks(text: str) -> list[Span]:
    """The policies, and what follows the last one."""
    spans = policy_spans(text)
    rest = spans[-1].end if spans else 0
    return [*spans, Span(rest, len(text))]


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


def offset_of_token(text: str, offset: int, message: str) -> int:
    """The place of the token that a message names, at or just before an offset: the parser may
    need one token more before it is sure."""
    named = QUOTED.findall(message)
    if not named:
        return offset
    found = text.rfind(named[0], max(0, offset - NEAR), offset + len(named[0]))
    return offset if found < 0 else found


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
