"""Floors hold for strings too, which import-linter can't see: no app names a model or a table of an
app above it, and what it reads of an app below it imports (decision 0052)."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.apps import apps as registry

from tests.architecture.test_house_rules import APPS, modules, name_of
from tests.architecture.test_templates import FLOORS

MODELS = [m for m in registry.get_models() if m.__module__.startswith("apps.")]
OWNERS = {m._meta.app_label: m.__module__.split(".")[1] for m in MODELS}
TABLES = {m._meta.db_table: m.__module__.split(".")[1] for m in MODELS}
MODEL = re.compile(r"([a-z]+)\.[A-Z]\w*")


def named(tree: ast.AST) -> Iterator[str]:
    """Apps whose models or tables are named in strings."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            called = getattr(node.func, "attr", getattr(node.func, "id", ""))
            first = node.args[0] if node.args else None
            if called in {"get_model", "_model"} and isinstance(first, ast.Constant):
                yield OWNERS.get(str(first.value), "")
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            if found := MODEL.fullmatch(node.value):
                yield OWNERS.get(found[1], "")
            yield from (TABLES.get(word, "") for word in re.findall(r"\w+", node.value))


def above(app: str, tree: ast.AST) -> set[str]:
    return {other for other in named(tree) if other and FLOORS[other] < FLOORS[app]}


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_no_string_names_rows_of_a_floor_above(path: Path) -> None:
    assert above(path.relative_to(APPS).parts[0], ast.parse(path.read_text())) == set()


def of_others(app: str, tree: ast.AST) -> tuple[set[str], set[str]]:
    """Other apps whose models are asked of the registry, and those whose tables are named."""
    asked, tables = set(), set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and node.args:
            called = getattr(node.func, "attr", getattr(node.func, "id", ""))
            first = node.args[0].value if isinstance(node.args[0], ast.Constant) else ""
            if called in {"get_model", "_model", "get_app_config"} and isinstance(first, str):
                asked.add(OWNERS.get(first.partition(".")[0], ""))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and " " in node.value:
            tables |= {TABLES.get(word, "") for word in re.findall(r"\w+", node.value)}
    return asked - {"", app}, tables - {"", app}


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_what_is_read_of_an_app_below_is_imported(path: Path) -> None:
    app = path.relative_to(APPS).parts[0]
    asked, tables = of_others(app, ast.parse(path.read_text()))

    assert asked == set()
    assert tables == set(), "SQL on their tables: use the ORM, or a selector of that app"


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ('apps.get_model("catalog", "Job")', ({"catalog"}, set())),
        ('apps.get_app_config("catalog").get_model("Job")', ({"catalog"}, set())),
        ('_model("approvals.Vote")', ({"oversight"}, set())),
        ('apps.get_model("runs", "Run")', (set(), set())),
        ('execute("SELECT 1 FROM catalog_job j")', (set(), {"catalog"})),
        ('execute("SELECT 1 FROM runs_run r")', (set(), set())),
    ],
)
def test_rows_below_are_seen_however_they_are_named(
    code: str, found: tuple[set[str], set[str]]
) -> None:
    assert of_others("runs", ast.parse(code)) == found


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ('apps.get_model("runs", "Run")', {"runs"}),
        ('_model("approvals.Vote")', set()),
        ('ForeignKey("runs.Run")', {"runs"}),
        ('execute("SELECT 1 FROM runs_step s")', {"runs"}),
        ('execute(f"SELECT {x} FROM runs_step")', {"runs"}),
        ('execute("SELECT 1 FROM accounts_user")', set()),
        ('_model("catalog.Job")', set()),
    ],
)
def test_rows_above_are_seen_however_they_are_named(code: str, found: set[str]) -> None:
    assert above("catalog", ast.parse(code)) == found
