"""What a change of a tool, an agent or a prompt does to control."""

from __future__ import annotations

from typing import Any

import pytest

from apps.catalog.domain.entries import MODEL_SETTINGS
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
    "settings": {"max_tokens": 5, "seed": 7},
}


def without(entry: dict[str, Any], key: str) -> dict[str, Any]:
    return {k: v for k, v in entry.items() if k != key}


def settled(**settings: int | None) -> dict[str, Any]:
    """The agent with other settings; ``None`` takes one out."""
    told = {**AGENT["settings"], **settings}
    return {**AGENT, "settings": {k: v for k, v in told.items() if v is not None}}


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
        (settled(max_tokens=6), "settings.max_tokens", "weaker_control"),
        (settled(max_tokens=None), "settings.max_tokens", "weaker_control"),
        (settled(max_tokens=4), "settings.max_tokens", "stronger_control"),
        (settled(seed=6), "settings.seed", "weaker_control"),
        ({**AGENT, "name": "Other"}, "name", "neutral"),
    ],
)
def test_an_agents_looser_budget_or_other_model_is_weaker(
    after: dict[str, Any], path: str, kind: str
) -> None:
    assert kinds(compare_agents(AGENT, after)) == {path: kind}


@pytest.mark.parametrize("name", sorted(MODEL_SETTINGS - {"max_tokens"}))
def test_what_a_setting_does_to_a_models_words_cant_be_judged(name: str) -> None:
    both = [{**AGENT, "settings": {name: value}} for value in (1, 0.5)]

    for old, new in (both, both[::-1]):
        assert kinds(compare_agents(old, new)) == {f"settings.{name}": "weaker_control"}


def test_a_prompt_says_how_many_lines_it_changed() -> None:
    assert compare_prompts("a\nb\n", "a\nb\n") == []
    assert [c.sentence for c in compare_prompts("a\nb\n", "a\nc\n")] == [
        "1 line says something else"
    ]
