"""Tables whose rows are evidence: the application adds to them and never takes anything back."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Guard:
    """A table that refuses TRUNCATE whoever asks, and UPDATE and DELETE too, but for what is named
    here: ``changes`` are columns that may still be written (the table's own triggers say when),
    or all of them but those that are ``fixed``; ``deletes`` lets some rows go (likewise)."""

    table: str
    changes: tuple[str, ...] = ()
    fixed: tuple[str, ...] = ()
    deletes: bool = False

    def changing(self, columns: Iterable[str]) -> list[str]:
        """Which of the table's columns the application may write again."""
        if self.fixed:
            return [name for name in columns if name not in self.fixed]
        return [name for name in columns if name in self.changes]
