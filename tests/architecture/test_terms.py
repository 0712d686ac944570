"""Every field of a contract has somebody who makes it true, or says that it has nobody."""

from __future__ import annotations

import ast
import html
import re
from collections.abc import Iterator, Mapping
from copy import deepcopy
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.urls import reverse
from django.utils.module_loading import import_string

from apps.catalog.domain import model_terms, pack_terms, server_terms, terms
from apps.catalog.domain.contract import build
from apps.catalog.domain.contract_schema import CONTRACT
from apps.catalog.domain.diff import Kind, compare
from apps.catalog.domain.fields import FIELDS as SPOKEN
from apps.catalog.domain.fields import TOOL_FIELDS
from apps.catalog.domain.language_models import MODEL
from apps.catalog.domain.pack import PACK, POLICY
from apps.catalog.domain.terms import STATED
from apps.catalog.domain.tool_servers import SERVER
from apps.documents.domain.terms import Enforced
from apps.policy.domain import terms as policy_terms
from apps.policy.domain.rules import KNOWN_ANNOTATIONS
from tests.factories.catalog import CONTRACT as CONTRACT_TEXT
from tests.factories.catalog import apply_toys

WORDS = {  # by which a template knows a field that has another name there
    "input_schema": "schema",
    "may_go_without_facts": "exemptions",
    "policies": "rules",
    "policy": "set",
    "require_approval": "role",
}
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
ROOT = Path(settings.BASE_DIR)
WHOLE = {"failure_modes", "decisions.escalation", "tools.compensation", "signals"}
WHOLE |= {"replay.jobs", "agents.settings"}


def fields(schema: Mapping[str, Any], path: str = "") -> Iterator[str]:
    """Paths of a contract that a person can set, each by its own."""
    for name, entry in schema["properties"].items():
        here = f"{path}{name}"
        inner = entry.get("items", entry)
        if "properties" in inner and here not in WHOLE:
            yield from fields(inner, f"{here}.")
        else:
            yield here


FIELDS = sorted(fields(CONTRACT))
REGISTRIES: dict[str, tuple[list[str], Any]] = {
    "contract": (FIELDS, terms),
    "model": (sorted(fields(MODEL)), model_terms),
    "pack": (sorted(fields(PACK)), pack_terms),
    "server": (sorted(fields(SERVER)), server_terms),
    "policy": (
        sorted([*POLICY["properties"], *(f"@{name}" for name in KNOWN_ANNOTATIONS)]),
        policy_terms,
    ),
}
ENTRIES = [
    pytest.param(name, entry, id=f"{kind} {name}")
    for kind, (_, registry) in REGISTRIES.items()
    for name, entry in sorted(registry.ENFORCED.items())
]


@pytest.mark.parametrize("kind", REGISTRIES)
def test_every_field_stands_in_one_of_the_lists(kind: str) -> None:
    known, registry = REGISTRIES[kind]
    lists = [set(registry.ENFORCED), set(registry.TOLD), set(getattr(registry, "STATED", ()))]
    assert sorted(set.union(*lists)) == known
    assert sum(map(len, lists)) == len(known), "none stands in two"


@pytest.mark.parametrize(("field", "entry"), ENTRIES)
def test_the_enforcer_its_test_and_its_place_are_there(field: str, entry: Enforced) -> None:
    assert_code(entry.by)
    assert_test(entry.test)
    if entry.shown:
        words = field.rpartition(".")[2].lstrip("@")
        assert WORDS.get(words, words) in (ROOT / entry.shown).read_text(), "people read it there"


def assert_code(dotted: str) -> None:
    """That there is such a module, class, function or method."""
    try:
        import_string(dotted)
    except ImportError:
        import_module(dotted)


def assert_test(named: str) -> None:
    """That there is such a test."""
    file, _, name = named.partition("::")
    tree = ast.parse((ROOT / "tests" / file).read_text())
    assert name in {n.name for n in ast.walk(tree) if isinstance(n, FUNCTIONS)}


FULL: dict[str, Any] = {
    "job": "toys-mend",
    "name": "Mend toys",
    "owner": "Ida",
    "purpose": "Mends.",
    "input": {"type": "object", "properties": {"a": {"type": "string"}}},
    "output": {"type": "object", "properties": {"a": {"type": "string"}}},
    "outcome": {"success": "resolved", "when_any_of": ["pay"], "target": 0.5},
    "agent": {"slug": "one", "fallbacks": ["two"], "timeout_s": 9, "fallback_at": 0.5},
    "tools": [{"name": "pay"}],
    "limits": {"deadline_s": 99, "steps": 9, "tokens": 9, "cost_usd": 9},
    "slo": {"latency_p95_s": 9, "latency_budget_s": 9},
    "decisions": {"policy": "toys", "votes": 2, "window_s": 9, "on_timeout": "reject"},
    "data": {"classification": "internal", "freshness_s": 9, "contracts": ["x"], "redact": ["y"]},
    "lane": "urgent",
    "priority": 9,
    "signals": {"sad": "sad"},
    "failure_modes": [{"name": "n"}],
    "runbook": "Look.",
}
OTHER: dict[str, Any] = {
    "input": {"type": "object", "properties": {"a": {"type": "integer"}}},
    "output": {"type": "object"},
    "outcome.success": None,  # there is one choice
    "decisions.escalation": [{"at": 0.5, "to": "operators"}],
    "tools.compensation": "mend",
    "signals": {"sad": "very sad"},
    "failure_modes": [],
}


def changed(field: str, entry: Mapping[str, Any]) -> dict[str, Any]:
    """``FULL`` with another value of this field."""
    document = deepcopy(FULL)
    *groups, name = field.split(".")
    place: Any = document
    for group in groups:
        place = place.setdefault(group, {})
        place = place[0] if isinstance(place, list) else place
    if field in OTHER:
        place[name] = OTHER[field]
    elif entry.get("type") == "array":
        place[name] = [*place.get(name, []), "more"]
    elif "enum" in entry:
        place[name] = next(c for c in reversed(entry["enum"]) if c != place.get(name))
    elif entry.get("type") == "boolean":
        place[name] = True
    elif entry.get("type") == "string":
        place[name] = f"{place.get(name, 'x')}x"
    else:
        place[name] = min(place.get(name, 1) / 2, 0.25) if entry.get("maximum") == 1 else 7
    return document


def schema_of(field: str) -> Mapping[str, Any]:
    entry: Any = CONTRACT
    for name in field.split("."):
        entry = entry.get("items", entry)["properties"][name]
    return entry


@pytest.mark.parametrize("field", [f for f in FIELDS if f not in {"job", "outcome.success"}])
def test_a_change_of_the_field_is_told_and_classed(field: str) -> None:
    other = changed(field, schema_of(field))

    found = compare(build(FULL), build(other))

    assert found, "diff.py has to say whether a change of it weakens a control"
    assert all(isinstance(change.kind, Kind) for change in found)


COMPOUND = {*WHOLE, "input", "output", "tools.name", "job", "agent.fallbacks"}


@pytest.mark.parametrize("field", [f for f in FIELDS if f not in COMPOUND])
def test_a_plain_field_is_spoken_of_in_the_one_table_and_told_on_the_page(field: str) -> None:
    """Form, list of changes and page are made of it: what isn't in the page's lists has a sentence
    in the template."""
    group, _, rest = field.partition(".")
    spoken = TOOL_FIELDS[rest] if group == "tools" else SPOKEN[field]
    page = (ROOT / "templates/catalog/job.html").read_text()

    assert spoken.label
    assert spoken.page or rest in UNTOLD or (rest or field).rpartition(".")[2] in page


UNTOLD = {"retry.base_s", "retry.cap_s", "concurrency", "success"}  # in the form or the text only


@pytest.mark.django_db
def test_the_page_of_a_job_says_what_nobody_enforces(client_as: Any, tmp_path: Path) -> None:
    stated = "data: {classification: internal, freshness_s: 9, contracts: [x], redact: [email]}\n"
    output = "output: {type: object, properties: {paid: {type: string}}}\n"
    text = re.sub(r"data: .*\n", stated + output, CONTRACT_TEXT)
    apply_toys(tmp_path, contract=text)

    page = client_as("auditor").get(reverse("catalog:job", args=["toys-refund"])).content.decode()

    for words in STATED.values():
        assert html.escape(words) in page
    assert page.count("stated, not enforced") == len(STATED)
    assert "Hidden from pages" not in page


@pytest.mark.django_db
def test_the_page_of_a_tool_says_what_nobody_reads(client_as: Any, tmp_path: Path) -> None:
    apply_toys(tmp_path)

    page = client_as("auditor").get(reverse("catalog:tool", args=["toys", "refund"]))

    for words in pack_terms.STATED.values():
        assert html.escape(words) in page.content.decode()
