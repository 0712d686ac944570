"""A panel and the table that stands beside its chart: the same numbers, each with its link."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from apps.dashboards.figures.plot import Mark
from apps.web.domain.quantities import DASH


@dataclass(frozen=True, slots=True)
class TableCell:
    """One cell of a table: what is shown, where it leads, and what an export writes."""

    text: str
    href: str = ""
    raw: Any = None
    is_number: bool = False

    @property
    def exported(self) -> Any:
        return self.text if self.raw is None else self.raw


@dataclass(slots=True)
class Panel:
    """One chart with its table."""

    key: str
    title: str
    question: str
    how: list[str]
    columns: list[str] = field(default_factory=list)
    rows: list[list[TableCell]] = field(default_factory=list)
    figure: dict[str, Any] | None = None
    facts: list[tuple[str, str]] = field(default_factory=list)
    changes: list[Mark] = field(default_factory=list)
    note: str = ""
    empty: str = ""
    failed: bool = False
    wide: bool = False
    csv: str = ""

    @property
    def figure_json(self) -> str:
        """For a data attribute: htmx takes every script element out of a refreshed part."""
        return json.dumps(self.figure, separators=(",", ":"))


def number(value: float | None, *, href: str = "", text: str | None = None) -> TableCell:
    if value is None:
        return TableCell(DASH, raw="", is_number=True)
    return TableCell(f"{value:,.0f}" if text is None else text, href, value, is_number=True)
