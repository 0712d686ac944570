"""What guides, docstrings and charters call things by is what they are called."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from django.apps import AppConfig
from django.apps import apps as installed

from tests.docs.test_links import COMMITTED, ROOT

APPS = sorted(path.parent for path in (ROOT / "apps").glob("*/__init__.py"))
FLOORS = {path.name for path in APPS}
# In full, and as prose shortens it. Two parts alone may be a permission or a stream.
FULL = re.compile(r"\b(?:apps|controltower)(?:\.[a-z_]\w*)+(?:\.[A-Za-z_]\w*)?")
SHORT = re.compile(rf"`((?:{'|'.join(FLOORS)})\.[a-z_]\w*\.[A-Za-z_]\w*)`")
HISTORY = re.compile(r"CHANGELOG\.md|docs/decisions/|.*/migrations/")
OURS = {"apps", "controltower"}
CLASS = re.compile(r"\b[A-Z][A-Za-z]+\b")


def resolve(name: str) -> Any:
    """What a dotted name leads to. Raises ``LookupError`` where that is nothing."""
    found: Any = None
    parts = name.split(".")
    for n, part in enumerate(parts):
        try:
            found = import_module(".".join(parts[: n + 1]))
        except ModuleNotFoundError:
            if not hasattr(found, part):
                raise LookupError(name) from None
            found = getattr(found, part)
    return found


def leads_nowhere(name: str) -> bool:
    try:
        resolve(name)
    except LookupError:
        return True
    return False


def named(text: str) -> Iterator[str]:
    """Names of modules and of what is in them."""
    for match in FULL.finditer(text):
        if match[0].count(".") > 1 and not match[0].endswith((".py", ".md", ".toml", ".json")):
            yield match[0]
    yield from (f"apps.{name}" for name in SHORT.findall(text))


def stale(text: str) -> list[str]:
    return sorted({name for name in named(text) if leads_nowhere(name)})


PAGES = [n for n in COMMITTED if n.endswith(".md") and not HISTORY.match(n)]
CODE = [
    n for n in COMMITTED if n.endswith(".py") and n.split("/")[0] in OURS and not HISTORY.match(n)
]


@pytest.mark.parametrize("name", PAGES)
def test_names_in_guides_are_there(name: str) -> None:
    assert stale((ROOT / name).read_text()) == []


def test_names_in_code_and_its_docstrings_are_there() -> None:
    found = {name: stale((ROOT / name).read_text()) for name in CODE}

    assert {name: gone for name, gone in found.items() if gone} == {}


def test_a_name_that_leads_nowhere_is_seen() -> None:
    said = "`apps.gone.services.sweep`, `kernel.gone.thing`, apps.audit.services.sweep"

    assert stale(said) == ["apps.gone.services.sweep", "apps.kernel.gone.thing"]


def charter(app: Path) -> dict[str, str]:
    """What an app's docstring says after each of its words."""
    said = inspect.getdoc(import_module(f"apps.{app.name}")) or ""
    parts = re.split(r"^(Owns|Hides|Offers): ", said, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def config_of(app: Path) -> AppConfig | None:
    return next((c for c in installed.get_app_configs() if c.name == f"apps.{app.name}"), None)


@pytest.mark.parametrize("app", APPS, ids=lambda path: path.name)
def test_a_charter_names_every_table_and_none_that_is_gone(app: Path) -> None:
    config = config_of(app)
    tables = {model.__name__ for model in config.get_models()} if config else set()
    owned = set(CLASS.findall(charter(app)["Owns"]))

    assert tables - owned == set(), "it owns these, too"
    gone = {name for name in owned if leads_nowhere(f"apps.{app.name}.models.{name}")}
    assert gone == set(), "it owns them no more"


@pytest.mark.parametrize("app", APPS, ids=lambda path: path.name)
def test_what_a_charter_offers_is_there(app: Path) -> None:
    offered = re.findall(r"\b[a-z_]+(?:\.[A-Za-z_]+)+", charter(app)["Offers"])

    assert [name for name in offered if leads_nowhere(f"apps.{app.name}.{name}")] == []


def test_the_readme_names_every_floor() -> None:
    listed = (ROOT / "README.md").read_text().split("imports only go down", 1)[1].split("```")[1]
    first = {line[:20] for line in listed.splitlines() if line[:1].strip()}

    assert set(re.findall(r"[a-z]+", " ".join(first))) - OURS == FLOORS
