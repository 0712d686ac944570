"""The shape of a contract document, as JSON Schema. The words for people are in ``structure``."""

from __future__ import annotations

from typing import Any

SLUG = {"type": "string", "pattern": "^[a-z0-9][a-z0-9_-]*$", "maxLength": 50}
# As the protocol has it (SEP-986), up to the length that rows have room for.
MOST_OF_NAME = 80
TOOL_NAME = {"type": "string", "pattern": "^[A-Za-z0-9_.-]+$", "maxLength": MOST_OF_NAME}
_LINE = {"type": "string", "minLength": 1, "maxLength": 160}


def group(properties: dict[str, Any], *required: str) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
    }


def _number(low: float, high: float) -> dict[str, Any]:
    return {"type": "number", "minimum": low, "maximum": high}


def _whole(low: int, high: int) -> dict[str, Any]:
    return {"type": "integer", "minimum": low, "maximum": high}


def choice(*words: str) -> dict[str, Any]:
    return {"type": "string", "enum": list(words)}


def list_of(of: dict[str, Any], *, unique: bool = True) -> dict[str, Any]:
    return {"type": "array", "items": of, "uniqueItems": unique, "maxItems": 200}


_RETRY = group(
    {
        "attempts": _whole(1, 20),
        "base_s": _number(0, 3600),
        "cap_s": _number(0, 86400),
    }
)
# What undoes a tool's effect: the tool, and where each of its arguments is read (``undoing``).
_COMPENSATION = {
    **group(
        {
            "tool": TOOL_NAME,
            "arguments": {
                "type": "object",
                "maxProperties": 40,
                "additionalProperties": {"type": "string", "minLength": 1, "maxLength": 300},
            },
        },
        "tool",
    ),
    "type": ["string", "object", "null"],
    "maxLength": 80,
}
DEADLINE_S = 14400  # of a run whose contract names none
ERRORS = ("refused", "unknown")  # what a tool's own error says about what it did
_TOOL = group(
    {
        "name": TOOL_NAME,
        "timeout_s": {"type": "number", "exclusiveMinimum": 0, "maximum": 86400},
        "retry": _RETRY,
        "concurrency": _whole(1, 10_000),
        "rate_per_minute": _whole(1, 1_000_000),
        "repeatable": {"type": "boolean"},
        "errors": choice(*ERRORS),
        "compensation": _COMPENSATION,
    },
    "name",
)
_DAYS_30 = 30 * 86400

CLASSIFICATIONS = ("public", "internal", "confidential", "restricted")
CRITICALITIES = ("low", "normal", "high", "critical")

CONTRACT: dict[str, Any] = group(
    {
        "job": SLUG,
        "name": _LINE,
        "owner": _LINE,
        "purpose": {"type": "string", "minLength": 1, "maxLength": 4000},
        "input": {"type": "object"},
        "output": {"type": "object"},
        "outcome": group(
            {
                "success": choice("resolved"),
                "when_any_of": list_of(TOOL_NAME),
                "hand_over": list_of(TOOL_NAME),
                "target": _number(0, 1),
            },
            "target",
        ),
        "agent": group(
            {
                "slug": SLUG,
                "fallbacks": list_of(SLUG),
                "timeout_s": _number(1, 600),
                "fallback_at": {"type": "number", "exclusiveMinimum": 0, "maximum": 1},
            },
            "slug",
        ),
        "tools": {**list_of(_TOOL), "minItems": 1},
        "limits": group(
            {
                "deadline_s": _whole(1, _DAYS_30),
                "steps": _whole(1, 10_000),
                "tokens": _whole(0, 1_000_000_000),
                "cost_usd": _number(0, 1_000_000),
            }
        ),
        "slo": group(
            {
                "latency_p95_s": _number(0, _DAYS_30),
                "latency_budget_s": _number(0, _DAYS_30),
            }
        ),
        "decisions": group(
            {
                "policy": SLUG,
                "votes": _whole(1, 9),
                "window_s": _whole(1, _DAYS_30),
                "escalation": list_of(
                    group(
                        {
                            "at": {
                                "type": "number",
                                "exclusiveMinimum": 0,
                                "exclusiveMaximum": 1,
                            },
                            "to": _LINE,
                        },
                        "at",
                        "to",
                    )
                ),
                "on_timeout": choice("reject", "escalate"),
                "undo_s": _whole(0, 600),
                "approve_reasons": {**list_of(_LINE), "maxItems": 12},
                "reject_reasons": {**list_of(_LINE), "maxItems": 12},
            },
            "policy",
        ),
        "data": group(
            {
                "contracts": list_of(_LINE),
                "freshness_s": _whole(0, 10 * 365 * 86400),
                "classification": choice(*CLASSIFICATIONS),
                "redact": list_of({"type": "string", "minLength": 1, "maxLength": 80}),
            }
        ),
        "lane": choice("urgent", "normal"),
        "priority": _whole(0, 100),
        "criticality": choice(*CRITICALITIES),
        "signals": {
            "type": "object",
            "maxProperties": 40,
            "additionalProperties": {"type": "string", "minLength": 1, "maxLength": 500},
        },
        "failure_modes": list_of(
            group(
                {
                    "name": _LINE,
                    "sign": {"type": "string", "maxLength": 400},
                    "response": {"type": "string", "maxLength": 400},
                },
                "name",
            )
        ),
        "runbook": {"type": "string", "maxLength": 8000},
    },
    "job",
    "name",
    "owner",
    "purpose",
    "outcome",
    "agent",
    "tools",
    "decisions",
)
