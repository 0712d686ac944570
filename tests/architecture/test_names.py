"""No two public classes of the apps share a name: a name that is read means one thing."""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path

from django.conf import settings

ROOT = Path(settings.BASE_DIR) / "apps"
DJANGOS = {"Command"}  # by Django's convention, each in a command of its own


def shared() -> dict[str, list[str]]:
    """Public classes of modules by name, where there are two."""
    found: dict[str, list[str]] = defaultdict(list)
    for path in sorted(ROOT.rglob("*.py")):
        if "migrations" in path.parts:
            continue
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                found[node.name].append(str(path.relative_to(ROOT)))
    return {n: at for n, at in found.items() if len(at) > 1 and n not in DJANGOS}


def test_no_name_has_two_meanings() -> None:
    assert shared() == {}
