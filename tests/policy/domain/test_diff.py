from __future__ import annotations

import pytest

from apps.policy.domain.highlight import pieces
from apps.policy.services import compare_texts
from tests.factories.catalog import POLICY, policy_text

TEXT = policy_text()


def changed(old: str, new: str) -> list[tuple[str, str]]:
    assert old in TEXT
    return [(str(c.kind), c.sentence) for c in compare_texts(TEXT, TEXT.replace(old, new))]


@pytest.mark.parametrize(
    ("old", "new", "kind", "sentence"),
    [
        ("refund_cents: 5000", "refund_cents: 9000", "weaker_control", "5,000 → 9,000"),
        ("refund_cents: 5000", "refund_cents: 100", "stronger_control", "5,000 → 100"),
        ('@votes("1")', '@votes("2")', "stronger_control", "votes needed 1 → 2"),
        (
            '@votes("1")',
            '@votes("1") @passkey("required")',
            "stronger_control",
            "asks for a passkey",
        ),
        ('@votes("1")', '@votes("1") @grants("never")', "stronger_control", "by no grant"),
        ('@risk("3")', '@risk("1")', "weaker_control", "risk 3 → 1"),
        ("above the desk's limit", "too large", "neutral", "the reason shown changed"),
        ("resource.listed", "true", "weaker_control", "its condition was rewritten"),
        ("amount_cents >", "amount_cents >=", "weaker_control", "its condition was rewritten"),
        ('@id("large-refund")', '@id("big")', "weaker_control", "“large-refund” is gone"),
    ],
)
def test_a_change_is_said_and_judged(old: str, new: str, kind: str, sentence: str) -> None:
    found = changed(old, new)

    assert any(k == kind and sentence in s for k, s in found), found


def test_a_tool_that_may_go_without_facts_is_a_weaker_control() -> None:
    exempt = TEXT.replace(
        "policies: |", "may_go_without_facts:\n  refund: Coins only.\npolicies: |"
    )
    other = exempt.replace("Coins only.", "Small change.")

    def said(before: str, after: str) -> list[tuple[str, str]]:
        return [(str(c.kind), c.sentence) for c in compare_texts(before, after)]

    (weaker,), (stronger,), (neutral,) = said(TEXT, exempt), said(exempt, TEXT), said(exempt, other)
    assert weaker[0] == "weaker_control"
    assert "“refund” may now go although" in weaker[1]
    assert weaker[1].endswith("Coins only.")
    assert stronger[0] == "stronger_control"
    assert neutral[0] == "neutral"


def test_comments_and_spacing_change_nothing() -> None:
    assert changed("permit(principal", "// why\n  permit( principal") == []


def test_a_hard_rule_that_becomes_a_hold_rule_is_weaker() -> None:
    hard = TEXT.replace('@votes("1") ', "").replace(
        '\n    unless { context.approvals.contains("operator") }', ""
    )
    hard = hard.replace('@require_approval("operator")', "")

    found = [(str(c.kind), c.sentence) for c in compare_texts(hard, TEXT)]

    assert any(
        "was a hard rule and is a hold rule" in s and k == "weaker_control" for k, s in found
    )


def test_pieces_are_the_whole_text() -> None:
    found = pieces(POLICY)

    assert "".join(text for _, text in found) == POLICY
    assert ("k", "forbid") in found
    assert ("a", "@reason") in found
