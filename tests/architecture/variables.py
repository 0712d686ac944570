"""The registry of the environment's variables, and the table that is made from it.

``python -m tests.architecture.variables`` writes the table of docs/deployment.md anew.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
DOCUMENT = ROOT / "docs" / "deployment.md"
HEAD = "| Variable | Default | Values | Effect |\n|---|---|---|---|\n"
VARIABLES: Mapping[str, dict[str, Any]] = tomllib.loads(
    (ROOT / "controltower" / "variables.toml").read_text()
)


def table() -> str:
    """The table of the document."""
    rows = []
    for name, entry in VARIABLES.items():
        if "effect" in entry:
            names = ", ".join(f"`{one}`" for one in entry.get("group", [name]))
            cells = (names, entry["default"], entry["values"], entry["effect"])
            rows.append("| " + " | ".join(cells) + " |\n")
    return HEAD + "".join(rows)


def write() -> None:
    """Put the table into the document."""
    text = DOCUMENT.read_text()
    start = text.index("| Variable |")
    end = text.index("\n\n", start) + 1
    DOCUMENT.write_text(text[:start] + table() + text[end:])


if __name__ == "__main__":
    write()
