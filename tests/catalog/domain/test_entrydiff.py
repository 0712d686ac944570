"""What a change of a tool, an agent or a prompt does to control."""

from __future__ import annotations

from typing import Any

import pytest

from apps.catalog.domain.entrydiff import compare_agents, compare_prompts, compare_tools

SCHEMA = {
    "type": "object",
    "properties": {"order_id": {"type": "string"}, "cents": {"type": "integer", "maximum": 10}},
    "required": ["order_id"],
    "additionalProperties": False,
}
TOOL: dict[str, Any] = {
    "name": "refund",
    "title": "Refund",
    "effect": "write",
    "idempotency": "keyed",
    "preview": "tower_preview",
    "preview_then": True,
    "lookup": "tower_lookup",
    "sentence": "Refund {order_id} of {facts.owner}",
    "resource": "{order_id}",
    "amount": "facts.cents",
    "facts": {"owner": "string", "cents": "long?"},
    "input_schema": SCHEMA,
}
AGENT: dict[str, Any] = {
    "slug": "toys-model",
    "name": "Live",
    "kind": "reference",
    "prompt": "toys",
    "settings": {"calls": 5, "mode": "calm"},
}


def without(entry: dict[str, Any], key: str) -> dict[str, Any]:
    return {k: v for k, v in entry.items() if k != key}


def kinds(found: list[Any]) -> dict[str, str]:
    return {c.path: str(c.kind) for c in found}


@pytest.mark.parametrize(
    ("after", "path"),
    [
        ({**TOOL, "effect": "read"}, "effect"),
        ({**TOOL, "idempotency": "lookup"}, "idempotency"),
        (without(TOOL, "idempotency"), "idempotency"),
        (without(TOOL, "preview"), "preview"),
        ({**TOOL, "preview": "another"}, "preview"),
        (without(TOOL, "preview_then"), "preview_then"),
        (without(TOOL, "lookup"), "lookup"),
        (without(TOOL, "resource"), "resource"),
        ({**TOOL, "amount": "facts.total"}, "amount"),
        ({**TOOL, "facts": {"cents": "long?"}}, "facts.owner"),
        ({**TOOL, "facts": {"owner": "string?", "cents": "long?"}}, "facts.owner"),
        ({**TOOL, "facts": {"owner": "set", "cents": "long?"}}, "facts.owner"),
        ({**TOOL, "sentence": "Refund {order_id}"}, "sentence"),
        ({**TOOL, "input_schema": {"type": "object"}}, "input_schema"),
    ],
)
def test_what_takes_control_away_is_weaker(after: dict[str, Any], path: str) -> None:
    found = kinds(compare_tools(TOOL, after))

    assert "weaker_control" in {kind for at, kind in found.items() if at.startswith(path)}


@pytest.mark.parametrize(
    ("after", "path", "kind"),
    [
        ({**TOOL, "effect": "irreversible"}, "effect", "stronger_control"),
        ({**TOOL, "facts": {**TOOL["facts"], "why": "string"}}, "facts.why", "stronger_control"),
        ({**TOOL, "facts": {**TOOL["facts"], "cents": "long"}}, "facts.cents", "stronger_control"),
        ({**TOOL, "title": "Give back"}, "title", "neutral"),
        ({**TOOL, "sentence": "Give {order_id} to {facts.owner}"}, "sentence", "neutral"),
        ({**TOOL, "input_schema": {**SCHEMA, "description": "x"}}, "input_schema", "neutral"),
    ],
)
def test_what_adds_or_only_rewords_is_not(after: dict[str, Any], path: str, kind: str) -> None:
    assert kinds(compare_tools(TOOL, after)) == {path: kind}


def test_a_bound_that_moves_cant_be_judged_and_is_weaker() -> None:
    wider = {"cents": {"type": "integer", "maximum": 99}}
    after = {**SCHEMA, "properties": {**SCHEMA["properties"], **wider}}
    found = compare_tools(TOOL, {**TOOL, "input_schema": after})

    assert set(kinds(found).values()) == {"weaker_control"}


@pytest.mark.parametrize(
    ("after", "path", "kind"),
    [
        ({**AGENT, "kind": "model"}, "kind", "weaker_control"),
        ({**AGENT, "model": "huge"}, "model", "weaker_control"),
        ({**AGENT, "fallback_models": ["x"]}, "fallback_models", "weaker_control"),
        ({**AGENT, "settings": {"calls": 6, "mode": "calm"}}, "settings.calls", "weaker_control"),
        ({**AGENT, "settings": {"mode": "calm"}}, "settings.calls", "weaker_control"),
        ({**AGENT, "settings": {"calls": 5, "mode": "x"}}, "settings.mode", "weaker_control"),
        ({**AGENT, "settings": {"calls": 4, "mode": "calm"}}, "settings.calls", "stronger_control"),
        ({**AGENT, "name": "Other"}, "name", "neutral"),
    ],
)
def test_an_agents_looser_budget_or_other_model_is_weaker(
    after: dict[str, Any], path: str, kind: str
) -> None:
    assert kinds(compare_agents(AGENT, after)) == {path: kind}


def test_a_prompt_says_how_many_lines_it_changed() -> None:
    assert compare_prompts("a\nb\n", "a\nb\n") == []
    assert [c.sentence for c in compare_prompts("a\nb\n", "a\nc\n")] == [
        "1 line says something else"
    ]
