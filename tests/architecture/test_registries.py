"""Apps name what is theirs where they live: permissions, pages, streams, duties and subscribers
stand in no other app's list. What is called once after a commit is a hint, and stands in the
guide."""

from __future__ import annotations

import ast
import re
import tomllib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.utils.module_loading import import_string

from apps.accounts.registry import entries, permissions
from apps.audit import registry
from apps.audit.domain.streams import HOME, RUN
from apps.dashboards.registry import panels
from apps.kernel.apart import Aside

ROOT = Path(__file__).resolve().parents[2]
APPS = ROOT / "apps"
NAMED = {"Permission", "NavigationEntry", "Stream", "Duty", "Subscriber", "HomePanel"}
CONSTANTS = {"HOME": HOME, "RUN": RUN}
ASKING = {"requires", "may", "allows", "NavigationEntry"}


def sources() -> list[Path]:
    return [path for path in sorted(APPS.rglob("*.py")) if "migrations" not in path.parts]


def app_of(path: Path) -> str:
    return path.relative_to(APPS).parts[0] if APPS in path.parents else path.parent.name


def text_of(node: ast.expr) -> str:
    if isinstance(node, ast.Name):
        return CONSTANTS.get(node.id, "")
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def texts_in(tree: ast.AST) -> set[str]:
    """Every text but those of pages: a page may ask for what another app allows."""
    if isinstance(tree, ast.Call) and getattr(tree.func, "id", "") == "NavigationEntry":
        return set()
    own = {text_of(tree)} if isinstance(tree, ast.expr) else set()
    return own.union(*map(texts_in, ast.iter_child_nodes(tree)))


def named() -> Iterator[tuple[str, str, str]]:
    """(what it is, its name, the app whose ``apps.py`` names it)."""
    for path in [*sorted(APPS.glob("*/apps.py")), *sorted(ROOT.glob("controltower/*/apps.py"))]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in NAMED:
                keyword = [k.value for k in node.keywords if k.arg == "name"]
                yield node.func.id, text_of([*node.args, *keyword][0]), app_of(path)  # type: ignore[attr-defined]


OWNERS = {(what, name): app for what, name, app in named()}
PERMISSIONS = {name: app for (what, name), app in OWNERS.items() if what == "Permission"}
STREAMS = {name: app for (what, name), app in OWNERS.items() if what == "Stream"}


def test_each_is_named_by_one_app() -> None:
    registered = Counter(
        [
            *(("Permission", p.name) for p in permissions()),
            *(("NavigationEntry", e.label) for e in entries()),
            *(("Stream", s.name) for s in registry.streams()),
            *(("HomePanel", p.name) for p in panels()),
            *(("Duty", d.name) for d in registry.duties()),
            *(("Subscriber", s.name) for s in registry.subscribers()),
        ]
    )

    assert Counter((what, name) for what, name, _ in named()) == registered


def in_lists(path: Path, owners: dict[str, str]) -> list[tuple[int, list[str]]]:
    """Tuples, lists, sets and dictionaries that hold two or more names of other apps."""
    app, found = app_of(path), []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Tuple | ast.List | ast.Set | ast.Dict):
            strange = sorted(n for n in texts_in(node) if owners.get(n, app) != app)
            if len(strange) > 1:
                found.append((node.lineno, strange))
    return found


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(APPS)))
def test_no_app_keeps_a_list_of_what_others_may(path: Path) -> None:
    assert in_lists(path, PERMISSIONS) == []


@pytest.mark.parametrize("app", ["accounts", "audit", "web", "api"])
def test_who_holds_a_registry_knows_nothing_that_is_in_it(app: str) -> None:
    strange = {name for name, owner in PERMISSIONS.items() if owner != app}
    for path in (path for path in sources() if app_of(path) == app):
        assert in_lists(path, STREAMS) == []  # each by itself is a word of many meanings
        if app != "api":  # its views ask for what others allow
            assert texts_in(ast.parse(path.read_text())) & strange == set(), path


def floors() -> dict[str, int]:
    """How low each app stands, by the import contract."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    layers = next(c["layers"] for c in contracts["contracts"] if c["id"] == "floors")
    return {app: n for n, layer in enumerate(layers) for app in layer.split(" | ")}


def asked_for(path: Path) -> set[str]:
    """The permissions that a module's decorators and calls ask for."""
    calls = [n for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Call)]
    asked = [n for n in calls if getattr(n.func, "id", getattr(n.func, "attr", "")) in ASKING]
    return {text_of(arg) for n in asked for arg in n.args} & set(PERMISSIONS)


def test_nobody_asks_for_what_only_a_floor_above_knows() -> None:
    floor = floors()
    upside_down = {
        f"{path.relative_to(APPS)}: {name}"
        for path in sources()
        for name in asked_for(path)
        if floor[PERMISSIONS[name]] < floor[app_of(path)]
    }

    assert upside_down == set()


def test_every_duty_can_be_found_and_says_what_is_not_done() -> None:
    for duty in registry.duties():
        assert duty.words
        assert callable(import_string(duty.work) if isinstance(duty.work, str) else duty.work)
        if isinstance(duty.aside, str):
            assert isinstance(import_string(duty.aside), Aside)


# --- hints ----------------------------------------------------------------------------------------


def after_commits(tree: ast.AST, within: tuple[str, ...]) -> Iterator[str]:
    """The dotted names of functions that have something called after the commit."""
    for node in ast.iter_child_nodes(tree):
        named = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        place = (*within, node.name) if named else within  # type: ignore[attr-defined]
        if isinstance(node, ast.Call):
            called = getattr(node.func, "id", getattr(node.func, "attr", ""))
            if called in ("after_commit", "on_commit"):
                yield ".".join(place)
        yield from after_commits(node, place)


def test_whatever_is_called_once_after_a_commit_is_listed_as_a_hint() -> None:
    found = {
        name
        for path in [*sources(), *sorted((ROOT / "controltower").rglob("*.py"))]
        for name in after_commits(
            ast.parse(path.read_text()), path.relative_to(ROOT).with_suffix("").parts
        )
    }
    guide = (ROOT / "docs" / "events.md").read_text().split("## What is only a hint")[1]
    rows = [line.split("|")[1] for line in guide.split("\n## ")[0].splitlines() if "|" in line]

    listed = {name for row in rows for name in re.findall(r"`([\w.]+)`", row)}

    assert found - {"apps.kernel.transactions.after_commit"} == listed
