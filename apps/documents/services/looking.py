"""What is to be said about a text before it is published, whatever kind it is of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from apps.documents.domain.changes import Change, weaker
from apps.documents.domain.kinds import Case, Consequences, DocumentKind
from apps.documents.domain.life import NEEDED_IF_WEAKER
from apps.documents.domain.sameness import same
from apps.kernel.documents import Problem
from apps.kernel.errors import InvalidInputError
from apps.kernel.textdiff import DiffLine, side_by_side

NOTHING = Consequences()


@dataclass(frozen=True, slots=True)
class Findings:
    """Problems of a text, and what it would change: in sentences, line by line, and for what
    happens under it."""

    problems: tuple[Problem, ...] = ()
    changes: tuple[Change, ...] = ()
    rows: tuple[DiffLine, ...] = ()
    consequences: Consequences = NOTHING
    published: Any | None = None

    @property
    def has_errors(self) -> bool:
        return any(p.is_error for p in self.problems)

    @property
    def weaker(self) -> tuple[Change, ...]:
        return weaker(self.changes)

    @property
    def impact(self) -> Mapping[Any, int]:
        return self.consequences.counts

    @property
    def cases(self) -> tuple[Case, ...]:
        return tuple(self.consequences.cases)

    @property
    def impact_lines(self) -> list[str]:
        lines = list(self.consequences.lines)
        if count := len(self.weaker):
            noun = "control gets" if count == 1 else "controls get"
            lines.append(
                f"{count} {noun} weaker: {NEEDED_IF_WEAKER} people besides the author approve it."
            )
        return lines


def look(kind: DocumentKind, subject: Any, text: str) -> Findings:
    """Everything that the editor says about ``text``."""
    problems = tuple(kind.problems(subject, text))
    published = kind.current(subject)
    readable = not any(p.is_error for p in problems)
    changes = _changes(kind, subject, published, text) if readable else ()
    return Findings(
        problems=problems,
        changes=tuple(changes),
        rows=tuple(side_by_side(published.text if published else "", text)),
        consequences=kind.consequences(subject, text, readable=readable),
        published=published,
    )


def require_publishable(kind: DocumentKind, subject: Any, text: str) -> None:
    """Raise InvalidInputError for a text with problems, and for one that changes nothing."""
    errors = [p for p in kind.problems(subject, text) if p.is_error]
    if errors:
        count = len(errors)
        noun = "problem" if count == 1 else "problems"
        raise InvalidInputError(f"Fix {count} {noun} first. {errors[0]}", problems=errors)
    published = kind.current(subject)
    is_prose = kind.format == "text"
    if published is not None and same(published.text, text, is_prose=is_prose):
        raise InvalidInputError(f"It says the same as v{published.number}: nothing to publish.")


def weakens(kind: DocumentKind, subject: Any, text: str) -> bool:
    """Whether a text without errors makes a control weaker than it is in force, or breaks what has
    to hold of every version."""
    if kind.broken(subject, text):
        return True
    published = kind.current(subject)
    return bool(weaker(_changes(kind, subject, published, text)))


def _changes(
    kind: DocumentKind, subject: Any, published: Any | None, text: str
) -> Sequence[Change]:
    if published is None:
        return kind.first_changes(subject, text)
    return kind.changes(subject, published, text)


def require_reason(kind: DocumentKind, subject: Any, text: str, note: str) -> None:
    """Raise InvalidInputError where a text breaks what has to hold of every version and nobody says
    why it should be published all the same."""
    if not note.strip() and (broken := kind.broken(subject, text)):
        raise InvalidInputError(f"Say why, in the note: {broken[0]}", field="note")
