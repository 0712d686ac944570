"""Whoever did something is named by the typed actor, in every event and in every row."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.apps import apps
from django.conf import settings
from django.db.models import CharField

ROOT = Path(settings.BASE_DIR)
FILES = sorted(
    path
    for top in ("apps", "controltower")
    for path in (ROOT / top).rglob("*.py")
    if "migrations" not in path.parts
)
# Columns that keep who did something, beside those that point at a person's row.
COLUMNS = {
    field.name
    for model in apps.get_models()
    for field in model._meta.get_fields()
    if isinstance(field, CharField) and field.name.endswith("_by")
} | {"actor"}


def bare(node: ast.expr) -> bool:
    """Whether an expression makes a text of its own instead of an actor's."""
    match node:
        case ast.Constant(value=str(text)):
            return bool(text)
        case ast.JoinedStr() | ast.Call(func=ast.Name(id="str")):
            return True
        case ast.Attribute(attr="username") | ast.Call(func=ast.Attribute(attr="get_username")):
            return True
        case ast.Subscript() | ast.Starred():
            return bare(node.value)
        case ast.IfExp():
            return bare(node.body) or bare(node.orelse)
        case ast.BoolOp():
            return any(map(bare, node.values))
    return False


def named(call: ast.Call) -> Iterator[ast.expr]:
    """The expressions of a call that say who did it."""
    yield from (k.value for k in call.keywords if k.arg in COLUMNS)
    name = getattr(call.func, "id", getattr(call.func, "attr", ""))
    if name == "Fact" and len(call.args) > 2:
        yield call.args[1]


def wrong(source: str) -> list[int]:
    """The lines that name an actor by a bare text."""
    tree = ast.parse(source)
    calls = [n for n in ast.walk(tree) if isinstance(n, ast.Call)]
    found = [e.lineno for call in calls for e in named(call) if bare(e)]
    for node in ast.walk(tree):
        if isinstance(node, ast.Dict):
            pairs = zip(node.keys, node.values, strict=True)
            keyed = [v for k, v in pairs if isinstance(k, ast.Constant) and k.value in COLUMNS]
            found += [value.lineno for value in keyed if bare(value)]
    return sorted(found)


def test_nobody_is_named_by_a_bare_text() -> None:
    found = {str(p.relative_to(ROOT)): wrong(p.read_text()) for p in FILES}
    assert {path: lines for path, lines in found.items() if lines} == {}


@pytest.mark.parametrize(
    "line",
    [
        'Fact("run.paused", "sweeper", "run", run_id)',
        'record(kind="x", actor=f"user:{name}", subject_type="x", subject_id="x")',
        "cancel_run(run_id, actor=str(person), reason=said)",
        "rows.update(paused_by=str(actor)[:150])",
        "note(actor=user.username)",
        'Desk.objects.update_or_create(defaults={"changed_by": "desk"})',
        'tell(actor=person.actor if person else "sweeper")',
    ],
)
def test_the_check_sees_a_bare_text(line: str) -> None:
    assert wrong(line) == [1]


def test_events_are_inserted_in_one_place() -> None:
    found = [p for p in FILES if "INTO audit_event" in p.read_text()]
    assert [str(p.relative_to(ROOT)) for p in found] == ["apps/audit/services/recording.py"]
