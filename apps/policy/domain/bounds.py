"""How large a Cedar text may be for a parser that answers depth with the end of the process.

The parser recurses in native code: a thousand and a half parentheses exhaust the stack, which no
``except`` catches, and the site dies with all its sockets. So a text is measured before it gets
there, with a margin of ten.
"""

from __future__ import annotations

from dataclasses import dataclass

from apps.policy.domain.locate import TOKEN

MOST_BYTES = 64 * 1024
MOST_NESTED = 64
MOST_OPERATORS = 500  # of one rule
MOST_DOTS = 2000  # of one rule
_OPENING, _CLOSING = frozenset("([{"), frozenset(")]}")
_OPERATORS = frozenset(
    [
        "&&",
        "||",
        "+",
        "-",
        "*",
        "!",
        "==",
        "!=",
        "<",
        "<=",
        ">",
        ">=",
        "=",
        "in",
        "has",
        "like",
        "is",
        "if",
        "when",
        "unless",
        "@",
    ]
)
TOO_DEEP = "one rule is too long a chain to be read"
TO_SPLIT = "make it several rules, or a set with “in”"


@dataclass(frozen=True, slots=True)
class Excess:
    """Where a text goes beyond what is let in, and how to mend it."""

    offset: int
    message: str
    fix: str


def excess(text: str) -> Excess | None:
    """The first place at which a text is too large, too deep or too long a chain; None if it may be
    parsed. Linear, whatever the text is."""
    if len(text.encode(errors="replace")) > MOST_BYTES:
        message = f"the text is longer than {MOST_BYTES // 1024} kB"
        return Excess(0, message, "say less, or use a second policy set")
    depth = operators = dots = 0
    for match in TOKEN.finditer(text):
        piece = match.group()
        depth += (piece in _OPENING) - (piece in _CLOSING)
        operators += piece in _OPERATORS
        dots += piece == "."
        if piece == ";":
            depth = operators = dots = 0
        if depth > MOST_NESTED:
            message = f"it is nested more than {MOST_NESTED} levels deep"
            return Excess(match.start(), message, "take brackets away, or make it several rules")
        if operators > MOST_OPERATORS or dots > MOST_DOTS:
            message = f"one rule holds more than {MOST_OPERATORS} operators"
            return Excess(match.start(), message, TO_SPLIT)
    return None
