"""Formulas as SMT-LIB text, folded where their value is known already."""

from __future__ import annotations

from collections.abc import Iterable

TRUE, FALSE = "true", "false"


def no(part: str) -> str:
    if part in (TRUE, FALSE):
        return FALSE if part == TRUE else TRUE
    return part[5:-1] if part.startswith("(not ") else f"(not {part})"


def both(*parts: str) -> str:
    """True if all of them are."""
    return _joined("and", parts, TRUE, FALSE)


def either(*parts: str) -> str:
    """True if one of them is."""
    return _joined("or", parts, FALSE, TRUE)


def _joined(word: str, parts: Iterable[str], nothing: str, settles: str) -> str:
    kept = [part for part in dict.fromkeys(parts) if part != nothing]
    if settles in kept:
        return settles
    if len(kept) < 2:
        return kept[0] if kept else nothing
    return f"({word} {' '.join(kept)})"


def implies(one: str, other: str) -> str:
    return either(no(one), other)


def choose(condition: str, then: str, otherwise: str) -> str:
    """``then`` if the condition is true. Terms of any sort."""
    if condition in (TRUE, FALSE) or then == otherwise:
        return otherwise if condition == FALSE else then
    if then == TRUE and otherwise == FALSE:
        return condition
    return f"(ite {condition} {then} {otherwise})"


def equal(one: str, other: str) -> str:
    """Of two terms of one sort."""
    if one == other:
        return TRUE
    if _is_number(one) and _is_number(other):
        return FALSE  # numbers are written in one way only
    return f"(= {one} {other})"


def number(value: int) -> str:
    return str(value) if value >= 0 else f"(- {-value})"


def _is_number(term: str) -> bool:
    return term.isdigit() or (term.startswith("(- ") and term[3:-1].isdigit())
