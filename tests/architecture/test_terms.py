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

from apps.catalog.domain.contract import build
from apps.catalog.domain.contract_schema import CONTRACT
from apps.catalog.domain.diff import Kind, compare
from apps.catalog.domain.terms import ENFORCED, STATED, TOLD
from tests.factories.catalog import CONTRACT as CONTRACT_TEXT
from tests.factories.catalog import apply_toys

ROOT = Path(settings.BASE_DIR)
WHOLE = {"failure_modes", "decisions.escalation", "tools.compensation", "signals"}


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


def test_every_field_stands_in_one_of_the_three_lists() -> None:
    lists = [set(ENFORCED), set(TOLD), set(STATED)]
    assert sorted(set.union(*lists)) == FIELDS
    assert sum(map(len, lists)) == len(FIELDS), "none stands in two"


@pytest.mark.parametrize("field", sorted(ENFORCED))
def test_the_enforcer_and_its_test_are_there(field: str) -> None:
    entry = ENFORCED[field]
    try:
        import_string(entry.by)
    except ImportError:
        import_module(entry.by)
    file, _, name = entry.test.partition("::")
    tree = ast.parse((ROOT / "tests" / file).read_text())
    assert name in {n.name for n in ast.walk(tree) if isinstance(n, ast.FunctionDef)}


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
