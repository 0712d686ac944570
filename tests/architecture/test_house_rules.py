"""House rules that import-linter cannot see; every failure names the line and the rule."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from apps.runs.domain.states import State

ROOT = Path(__file__).resolve().parents[2]
APPS = ROOT / "apps"
MAX_MODULE_LINES = 500
MAX_FUNCTION_LINES = {"tasks": 12, "reactions": 12, "views": 30}
TRANSACTION_OWNERS = {"services", "journal", "engine", "recovery", "gate", "transactions"}
TRANSACTION_WORDS = {"atomic", "select_for_update", "on_commit"}
MODEL_SIGNALS = {"pre_save", "post_save", "pre_delete", "post_delete", "m2m_changed"}
KERNEL = {
    "__init__",
    "apart",
    "canonical",
    "databases",
    "documents",
    "ecma",
    "environment",
    "errors",
    "exactjson",
    "failpoints",
    "fields",
    "ids",
    "jsoncache",
    "jsontext",
    "models",
    "moments",
    "patching",
    "patience",
    "patterns",
    "rewriting",
    "schemagraph",
    "schemas",
    "statements",
    "streaming",
    "textdiff",
    "transactions",
    "trouble",
}
UNSAFE_TEMPLATE = re.compile(r"\|\s*safe\b|\|\s*safeseq\b|{%\s*autoescape\s+off|\son\w+=\"")
BARE_SCRIPT = re.compile(r"<script(?![^>]*\bnonce=)[^>]*>")


# Floors of pages and numbers that read rows of the floors below as they are, and write none.
READS: dict[str, set[str]] = {
    "dashboards": {"catalog", "oversight", "policy", "runs"},
    "ops": {"catalog", "oversight", "policy", "runs"},
    "outcomes": {"catalog", "runs"},
    "workers": {"runs"},
}

Violation = tuple[int, str]


def modules() -> list[Path]:
    files = sorted(APPS.glob("*/**/*.py"))
    return [path for path in files if "migrations" not in path.parts]


def templates() -> list[Path]:
    return sorted((ROOT / "templates").rglob("*.html"))


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def room(path: Path) -> str:
    """The module of its app that a file belongs to, whether module or package."""
    return path.relative_to(APPS).parts[1].removesuffix(".py")


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    return (n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef))


def typing_only(tree: ast.Module) -> set[int]:
    blocks = (n for n in ast.walk(tree) if isinstance(n, ast.If))
    kept = (b for b in blocks if "TYPE_CHECKING" in ast.unparse(b.test))
    return {id(n) for block in kept for n in ast.walk(block)}


def long_functions(tree: ast.Module, path: Path) -> Iterator[Violation]:
    limit = MAX_FUNCTION_LINES.get(room(path), 60)
    for function in functions(tree):
        length = (function.end_lineno or function.lineno) - function.lineno + 1
        if length > limit:
            yield function.lineno, f"{function.name}() has {length} lines, over {limit}"


def foreign_models(tree: ast.Module, path: Path) -> Iterator[Violation]:
    # The person who acts is a type that every service's signature needs; the models of documents
    # are abstract, for each kind to inherit.
    app = path.relative_to(APPS).parts[0]
    own = {app, "kernel", "accounts", "documents"} | READS.get(app, set())
    ignored = typing_only(tree)
    for node in ast.walk(tree):
        if not isinstance(node, ast.ImportFrom) or id(node) in ignored:
            continue
        for name in (f"{node.module}.{alias.name}".split(".") for alias in node.names):
            if name[0] == "apps" and name[1] not in own and "models" in name[2:3]:
                yield node.lineno, f"imports models of {name[1]}: use its selectors or a string FK"


def stray_transactions(tree: ast.Module, path: Path) -> Iterator[Violation]:
    for node in ast.walk(tree):
        if not isinstance(node, ast.Attribute):
            continue
        if node.attr in TRANSACTION_WORDS and room(path) not in TRANSACTION_OWNERS:
            yield node.lineno, f"{node.attr} belongs in {sorted(TRANSACTION_OWNERS)}"
        if node.attr in MODEL_SIGNALS:
            yield node.lineno, f"{node.attr}: write it in the service or react to the audit log"


def unsafe_marks(tree: ast.Module, path: Path) -> Iterator[Violation]:
    for node in ast.walk(tree):
        name = node.id if isinstance(node, ast.Name) else getattr(node, "attr", "")
        if name == "mark_safe":
            yield node.lineno, "mark_safe: text from outside is escaped, always"  # type: ignore[attr-defined]  # both have a line


def inner_imports(tree: ast.Module, path: Path) -> Iterator[Violation]:
    for function in functions(tree):
        for node in ast.walk(function):
            if isinstance(node, ast.Import | ast.ImportFrom):
                yield node.lineno, "imports stand at the top of the file"


RULES = (long_functions, foreign_models, stray_transactions, unsafe_marks, inner_imports)


def violations(path: Path) -> list[str]:
    source = path.read_text()
    tree = ast.parse(source)
    found = [violation for rule in RULES for violation in rule(tree, path)]
    if source.count("\n") > MAX_MODULE_LINES:
        found.append((1, f"module is longer than {MAX_MODULE_LINES} lines"))
    return [f"{name_of(path)}:{line}: {rule}" for line, rule in sorted(found)]


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_module_follows_house_rules(path: Path) -> None:
    assert violations(path) == []


@pytest.mark.parametrize("charter", sorted(APPS.glob("*/__init__.py")), ids=lambda p: p.parent.name)
def test_app_states_its_charter(charter: Path) -> None:
    docstring = ast.get_docstring(ast.parse(charter.read_text())) or ""
    for word in ("Owns", "Hides", "Offers"):
        assert f"{word}:" in docstring, f"{charter}: the charter lacks '{word}:'"


# What only the practice companies know: their tools, their worlds, their model.
PRACTICE = re.compile(
    r"transfer_to_human|\.world\b|\bworld=|[\"']world[\"']|\bdialect=|[\"']dialect[\"']|script_ref"
    r"|SmolLM|airline|\bretail\b|\btau\d?\b|\bdesks?\b(?!-only)|[Dd]esks?[\"'_.]"
)
# Words that are stored for good: of the log's old actors, and of runs' sources.
STORED = {"apps/audit/domain/actors.py": '"desk", ', "apps/runs/domain/results.py": '= "desk"'}


def test_nothing_of_the_practice_companies_is_known_by_name() -> None:
    """What a tool means for a run's outcome stands in the contract, what it is told beside its
    arguments in the run's context."""
    product = [*modules(), *templates(), *sorted((ROOT / "static/js").rglob("*.js"))]

    texts = {name_of(path): path.read_text() for path in product}

    for name, stored in STORED.items():
        assert texts[name].count(stored) == 1
        texts[name] = texts[name].replace(stored, "")
    found = {name: PRACTICE.findall(text) for name, text in texts.items()}
    assert {name: words for name, words in found.items() if words} == {}


OTHER_SETS = {"apps/runs/models/runs.py"}  # the index that a migration made


def sets_of_states(tree: ast.Module) -> Iterator[int]:
    """Lines of collections that hold three states or more and nothing else."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Tuple | ast.List | ast.Set):
            members = {_member(item) for item in node.elts}
            if len(members) > 2 and members <= set(State):
                yield node.lineno


def _member(item: ast.expr) -> str:
    if isinstance(item, ast.Constant):
        return str(item.value)
    return item.attr.lower() if isinstance(item, ast.Attribute) else ""


def test_sets_of_states_are_named_once() -> None:
    found = {
        f"{name_of(path)}:{line}"
        for path in modules()
        if name_of(path) not in OTHER_SETS and path.name != "states.py"
        for line in sets_of_states(ast.parse(path.read_text()))
    }

    assert found == set()


def test_kernel_stays_small() -> None:
    assert {path.stem for path in (APPS / "kernel").rglob("*.py")} == KERNEL


GUESTS = {"practice", "launch"}
MOST_WIRING_LINES = 600


def test_beside_its_guests_the_composition_root_holds_wiring_only() -> None:
    root = ROOT / "controltower"
    own = [path for path in root.rglob("*.py") if path.relative_to(root).parts[0] not in GUESTS]
    folders = {path.name for path in root.iterdir() if path.is_dir()}

    assert folders - {"__pycache__"} == GUESTS
    assert sum(path.read_text().count("\n") for path in own) <= MOST_WIRING_LINES


DOTTED_ARGUMENT = re.compile(r"\|\w+:[a-z_]\w*\.\w")


@pytest.mark.parametrize("path", templates(), ids=name_of)
def test_what_a_filter_is_given_is_always_there(path: Path) -> None:
    """``{{ rule.reason|default:rule.id }}`` fails where there is no id, unlike ``{{ rule.id }}``:
    use ``{% firstof %}`` or ``{% with %}``."""
    assert DOTTED_ARGUMENT.findall(path.read_text()) == []


@pytest.mark.parametrize("path", templates(), ids=name_of)
def test_names_from_outside_hide_no_method_of_a_mapping(path: Path) -> None:
    """``{% for name, value in mapping.items %}`` fails where a key is called “items”."""
    assert not re.findall(r"\w+, \w+ in [\w.]+\.items\b", path.read_text()), "write mapping|pairs"


@pytest.mark.parametrize("path", templates(), ids=name_of)
def test_template_escapes_everything_and_runs_no_bare_script(path: Path) -> None:
    lines = enumerate(path.read_text().splitlines(), start=1)
    found = [
        (number, line.strip())
        for number, line in lines
        if UNSAFE_TEMPLATE.search(line) or BARE_SCRIPT.search(line)
    ]

    assert found == []
