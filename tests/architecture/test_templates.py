"""A folder of templates belongs to the app whose views render it, and floors hold for templates
too: a page takes parts from its own app, from floors below, or from what belongs to nobody."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest
from django.urls import URLResolver, get_resolver

from apps.accounts import registry

ROOT = Path(__file__).resolve().parents[2]
APPS = ROOT / "apps"
TEMPLATES = ROOT / "templates"
MOST_CHARACTERS = 160  # of a line
NOBODYS = {"", "components"}  # the frame and errors, and what every page is made of
TAKEN = re.compile(r'{%\s*(?:include|extends)\s+"([^"]+)"|{%\s*with\s+"([\w./]+/_?)"\|add:')


def floors() -> dict[str, int]:
    """App → its floor, counted from above."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    layers = next(c for c in contracts["contracts"] if c["id"] == "floors")["layers"]
    return {app: n for n, layer in enumerate(layers) for app in layer.split(" | ")}


FLOORS = floors()


def folder(name: str) -> str:
    return name.partition("/")[0] if "/" in name else ""


def text_of(node: ast.AST) -> str:
    """A text as it stands in the code; what is put in shows as …"""
    if isinstance(node, ast.JoinedStr):
        return "".join(text_of(part) or "…" for part in node.values)
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def rendered(tree: ast.AST) -> Iterator[str]:
    """Templates that code names; ``templates/…`` is a place in the repository, not a template."""
    inner = {id(p) for n in ast.walk(tree) if isinstance(n, ast.JoinedStr) for p in n.values}
    for node in ast.walk(tree):
        text = "" if id(node) in inner else text_of(node)
        if re.fullmatch(r"[\w/.…]+\.html", text) and not text.startswith("templates/"):
            yield text


def taken(text: str) -> list[str]:
    return [one or other for one, other in TAKEN.findall(text)]


def may_take(owner: str, part: str) -> bool:
    if part in NOBODYS or part == owner:
        return True
    return owner not in NOBODYS and FLOORS[owner] < FLOORS[part]


def apps_of_names(within: URLResolver | None = None, app: str = "") -> dict[str, str]:
    """Namespace of addresses → the app whose ``urls`` they stand in, or else whose views answer."""
    found = {}
    for one in (within or get_resolver()).url_patterns:
        if not isinstance(one, URLResolver):
            continue
        module = getattr(one.urlconf_name, "__name__", "") or _view(one) or f"apps.{app}"
        above = module.split(".")[1] if module.startswith("apps.") else app
        if one.namespace and above:
            found[one.namespace] = above
        found |= apps_of_names(one, above)
    return found


def _view(resolver: URLResolver) -> str:
    first = resolver.url_patterns[0]
    name = getattr(first, "lookup_str", "")
    return name if name.startswith("apps.") else ""


NAMESPACES = apps_of_names()


def offered() -> set[str]:
    """Addresses that apps offer to floors below, and those that the navigation leads to."""
    modules = [import_module(f"apps.{app}.urls") for app in set(NAMESPACES.values())]
    names = {name for module in modules for name in getattr(module, "OFFERED", ())}
    return names | {entry.name for entry in registry.entries()}


def leads_up(owner: str, name: str) -> bool:
    """Whether a link of this folder's pages leads to a floor above, or anywhere at all from what
    belongs to nobody but to its people's own pages."""
    app = NAMESPACES[name.partition(":")[0]]
    return app != "accounts" if owner in NOBODYS else FLOORS[app] < FLOORS[owner]


def links(text: str) -> set[str]:
    return set(re.findall(r"""{%\s*url\s+['"]([\w:-]+)['"]""", text))


def pages() -> list[str]:
    return sorted(str(path.relative_to(TEMPLATES)) for path in TEMPLATES.rglob("*.html"))


def code() -> list[str]:
    files = APPS.glob("*/**/*.py")
    return sorted(str(path.relative_to(APPS)) for path in files if ".html" in path.read_text())


def test_every_folder_is_an_apps() -> None:
    assert {folder(page) for page in pages()} - NOBODYS <= set(FLOORS)


@pytest.mark.parametrize("name", code())
def test_an_app_renders_its_own_templates(name: str) -> None:
    found = set(rendered(ast.parse((APPS / name).read_text())))

    assert {one for one in found if folder(one) not in {folder(name), *NOBODYS}} == set()


@pytest.mark.parametrize("page", pages())
def test_a_template_takes_parts_from_nowhere_above(page: str) -> None:
    parts = taken((TEMPLATES / page).read_text())

    assert [part for part in parts if not may_take(folder(page), folder(part))] == []


@pytest.mark.parametrize("page", pages())
def test_a_link_leads_up_only_to_what_is_offered(page: str) -> None:
    """To a page of its own floor or one below; further up to what that app offers in its ``urls``,
    or has put into the navigation."""
    found = {name for name in links((TEMPLATES / page).read_text()) if leads_up(folder(page), name)}

    assert found - offered() == set()


def test_what_is_offered_is_used() -> None:
    used = {
        name
        for page in pages()
        for name in links((TEMPLATES / page).read_text())
        if leads_up(folder(page), name)
    }

    stated = offered() - {entry.name for entry in registry.entries()}
    assert stated <= used, "take it off the list"


@pytest.mark.parametrize(
    ("owner", "name", "up"),
    [
        ("catalog", "runs:detail", True),
        ("catalog", "catalog:job", False),
        ("ops", "approvals:detail", False),
        ("ops", "rest:openapi-json", True),
        ("components", "accounts:settings", False),
        ("", "runs:list", True),
    ],
)
def test_links_are_told_by_the_floor_that_they_lead_to(owner: str, name: str, up: bool) -> None:
    assert leads_up(owner, name) is up
    assert links(f"{{% url '{name}' pk as x %}}{{% url \"{name}\" %}}") == {name}


def test_what_stands_on_every_page_is_named_by_its_app() -> None:
    counts = [entry.count for entry in registry.entries() if entry.count]

    assert counts == ["oversight/_count.html"]
    assert registry.notices() == ("accounts/_standing.html", "ops/_stop_banner.html")


@pytest.mark.parametrize(
    ("owner", "part", "allowed"),
    [
        ("ops", "oversight", True),
        ("ops", "components", True),
        ("oversight", "ops", False),
        ("components", "ops", False),
        ("", "ops", False),
        ("api", "dashboards", False),
    ],
)
def test_parts_come_from_below(owner: str, part: str, allowed: bool) -> None:
    assert may_take(owner, part) is allowed


def test_names_are_found_however_they_are_put_together() -> None:
    tree = ast.parse(
        """render(request, f"runs/{'_undo' if x else 'undo'}.html" if y else "a/b.html")"""
    )

    assert set(rendered(tree)) == {"runs/….html", "a/b.html"}
    assert taken('{% include "a/_b.html" with c=1 %}{% with "a/tabs/_"|add:tab as part %}') == [
        "a/_b.html",
        "a/tabs/_",
    ]


def test_no_line_is_too_long_to_read() -> None:
    """Of the product's templates and of its guests'."""
    folders = [TEMPLATES, *sorted((ROOT / "controltower").glob("**/templates"))]
    assert len(folders) > 1
    too_long = [
        f"{path.relative_to(ROOT)}:{number}"
        for folder in folders
        for path in sorted(folder.rglob("*.html"))
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if len(line) > MOST_CHARACTERS
    ]

    assert too_long == []
