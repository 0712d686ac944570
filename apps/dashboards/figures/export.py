"""A panel's table as CSV, safe to open in a spreadsheet."""

from __future__ import annotations

import csv
import io
from typing import Any

from apps.dashboards.figures.table import Panel

# A cell that begins so is run as a formula by spreadsheets (OWASP: CSV injection).
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")


def defused(value: Any) -> Any:
    """Text that no spreadsheet takes for a formula; numbers stay numbers."""
    if isinstance(value, str) and value.lstrip(" ").startswith(FORMULA):
        return f"'{value}"
    return value


def as_csv(panel: Panel) -> str:
    """Columns as shown; numbers unrounded, times in ISO 8601."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(panel.columns)
    for row in panel.rows:
        writer.writerow([defused(value.exported) for value in row])
    return out.getvalue()
