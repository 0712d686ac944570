"""What an expression of a rule is worth: a term, and when there is none because it fails."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from apps.policy.domain.proofs.formulas import FALSE, choose, either


class UntranslatableError(Exception):
    """Something that is not modelled, by name: nothing is said about a text that uses it."""


@dataclass(frozen=True, slots=True)
class SymbolicValue:
    """``fails``: when evaluating it is an error."""

    fails: str = field(default=FALSE, kw_only=True)

    def failing(self, *more: str) -> SymbolicValue:
        return replace(self, fails=either(self.fails, *more))


@dataclass(frozen=True, slots=True)
class BoolTerm(SymbolicValue):
    term: str


@dataclass(frozen=True, slots=True)
class LongTerm(SymbolicValue):
    term: str


@dataclass(frozen=True, slots=True)
class TextTerm(SymbolicValue):
    """A word, by its number."""

    term: str


@dataclass(frozen=True, slots=True)
class EntityTerm(SymbolicValue):
    """``name`` is a word. What isn't known of an entity that a rule writes down (``attributes``
    is None) depends on what else is asked at the same time."""

    kind: str
    name: str
    attributes: Mapping[str, tuple[str, SymbolicValue]] | None = None
    groups: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True, slots=True)
class RecordTerm(SymbolicValue):
    """For each attribute when it is there, and its value."""

    attributes: Mapping[str, tuple[str, SymbolicValue]]


@dataclass(frozen=True, slots=True)
class SetTerm(SymbolicValue):
    """A set: ``has`` says of a term whether it is in. ``listed`` are its elements where a rule
    writes them down; else its elements are words. ``of``: the class of its elements, None for the
    empty set."""

    has: Callable[[str], str]
    listed: tuple[str, ...] | None = None
    of: type[SymbolicValue] | None = TextTerm


def chosen(condition: str, one: SymbolicValue, other: SymbolicValue) -> SymbolicValue:
    """One of two values of one type. Raises ``UntranslatableError`` for others."""
    if isinstance(one, SetTerm) and isinstance(other, SetTerm):
        return _chosen_set(condition, one, other)
    if type(one) is not type(other) or not isinstance(one, BoolTerm | LongTerm | TextTerm):
        raise UntranslatableError("“if” with branches of different types, records or entities")
    assert isinstance(other, BoolTerm | LongTerm | TextTerm)  # noqa: S101 - of the same type
    return replace(one, term=choose(condition, one.term, other.term), fails=FALSE)


def _chosen_set(condition: str, one: SetTerm, other: SetTerm) -> SetTerm:
    if not {one.of, other.of} <= {TextTerm, None}:
        raise UntranslatableError("“if” between sets of anything but text")
    return SetTerm(lambda term: choose(condition, one.has(term), other.has(term)))
