"""What a rule's condition compares, and what would have to be so for it not to fire."""

from __future__ import annotations

from typing import Any

import pytest

from apps.policy.adapters import rules_of

CONTEXT: dict[str, Any] = {
    "facts": {"n": 3, "most": 2, "ok": False, "cabin": "basic", "big": 9_000},
    "limits": {"cents": 5_000},
    "conversation": {"confirmed": False},
    "run": {"seen": 1},
}
F, L = "context.facts", "context.limits"


def expected(condition: str, kind: str = "when") -> dict[str, Any]:
    text = f'@id("r") @reason("x") forbid(principal, action, resource) {kind} {{ {condition} }};'
    ((rule, _, _),) = rules_of(text)
    seen = rule.shown(CONTEXT)["observed"]
    return {
        s["name"]: (s["expected"]["operator"], s["expected"]["value"])
        for s in seen
        if "expected" in s
    }


@pytest.mark.parametrize(
    ("condition", "found"),
    [
        (f"{F}.big > {L}.cents", {"facts.big": ("≤", 5_000)}),
        (f"{L}.cents < {F}.big", {"facts.big": ("≤", 5_000)}),
        (f"{F}.n != {F}.most", {"facts.n": ("=", 2)}),
        (f"{F}.n >= 3", {"facts.n": ("<", 3)}),
        (f"!({F}.n <= 2)", {"facts.n": ("≤", 2)}),
        (f'{F}.cabin == "basic"', {"facts.cabin": ("≠", "basic")}),
        (f"{F} has ok && !{F}.ok", {"facts.ok": ("=", True)}),
        (f"!({F}.ok && {F}.n > 0)", {"facts.ok": ("=", True)}),
        (f"{F}.n > 5 || {F}.n > 2", {"facts.n": ("≤", 2)}),
        (
            "!context.conversation.confirmed && context.run.seen > 0",
            {
                "conversation.confirmed": ("=", True),
                "run.seen": ("≤", 0),
            },
        ),
        (f"{F}.missing > 2", {}),
        (f'{F}.cabin like "b*"', {}),
    ],
)
def test_what_made_a_rule_fire_has_what_was_expected(condition: str, found: Any) -> None:
    assert expected(condition) == found


def test_an_unless_fires_where_it_does_not_hold() -> None:
    assert expected(f"{F}.ok || {F}.n < 2", "unless") == {
        "facts.ok": ("=", True),
        "facts.n": ("<", 2),
    }
