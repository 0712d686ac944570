from __future__ import annotations

import pytest

from apps.catalog.domain.contract import Contract, parse
from apps.catalog.domain.diff import Kind, compare
from tests.factories.catalog import CONTRACT

EFFECTS = {"find_order": "read", "refund": "irreversible"}


def contract(text: str = CONTRACT) -> Contract:
    found = parse(text).contract
    assert found is not None, parse(text).problems
    return found


def changed(old: str, new: str) -> list[tuple[str, str, str]]:
    assert old in CONTRACT
    found = compare(contract(), contract(CONTRACT.replace(old, new, 1)), EFFECTS)
    return [(c.path, str(c.kind), c.sentence) for c in found]


@pytest.mark.parametrize(
    ("old", "new", "path", "kind", "sentence"),
    [
        (
            "timeout_s: 15",
            "timeout_s: 15\n    compensation: {tool: find_order, arguments: {id: result.id}}",
            "tools.refund.compensation",
            "stronger_control",
            "refund: undone by nothing → find_order (id from result.id)",
        ),
        ("votes: 2", "votes: 1", "decisions.votes", "weaker_control", "approve: 2 → 1"),
        ("votes: 2", "votes: 3", "decisions.votes", "stronger_control", "approve: 2 → 3"),
        ("target: 0.9", "target: 0.85", "outcome.target", "weaker_control", "90 % → 85 %"),
        ("deadline_s: 14400", "deadline_s: 7200", "limits.deadline_s", "stronger_control",
         "Deadline: 4 h → 2 h"),
        ("on_timeout: reject", "on_timeout: escalate", "decisions.on_timeout", "weaker_control",
         "reject → escalate"),
        ("window_s: 3600", "window_s: 5400", "decisions.window_s", "neutral", "1 h → 1 h 30 m"),
        ("policy: toys", "policy: games", "decisions.policy", "weaker_control", "toys → games"),
        ("redact: [email]", "redact: []", "data.redact", "weaker_control", "no longer hidden"),
        ("when_any_of: [refund]", "when_any_of: []", "outcome.when_any_of", "breaking",
         "refund no longer counts"),
        ("target: 0.9", "hand_over: [find_order]\n  target: 0.9", "outcome.hand_over", "breaking",
         "find_order now counts as a hand-over"),
        ("timeout_s: 15", "repeatable: true", "tools.refund.repeatable", "weaker_control",
         "no → yes"),
        ("criticality: high", "criticality: low", "criticality", "weaker_control", "high → low"),
        ("owner: Toy desk, Ida Holm", "owner: Ida", "owner", "neutral", "Owner"),
    ],
)  # fmt: skip
def test_a_change_is_said_and_judged(
    old: str, new: str, path: str, kind: str, sentence: str
) -> None:
    found = [c for c in changed(old, new) if c[0] == path]

    assert [k for _, k, _ in found] == [kind]
    assert sentence in found[0][2]


def test_writing_a_default_down_is_no_change() -> None:
    assert changed("steps: 40}", "steps: 40, tokens: 200000}") == []


def test_a_new_tool_that_writes_is_a_weaker_control_and_one_that_reads_is_not() -> None:
    writes = compare(contract(), contract(CONTRACT.replace("- name: find_order", "- name: pay")))

    assert [c.kind for c in writes if c.after == "pay"] == [Kind.WEAKER]
    reads = compare(
        contract(CONTRACT.replace("  - name: find_order\n    timeout_s: 5\n", "")),
        contract(),
        EFFECTS,
    )
    assert [c.kind for c in reads] == [Kind.NEUTRAL]


def test_weaker_controls_come_first() -> None:
    text = CONTRACT.replace("votes: 2", "votes: 1").replace("name: Refund a toy", "name: Refund")

    assert [c.kind for c in compare(contract(), contract(text))] == [Kind.WEAKER, Kind.NEUTRAL]


def test_schemas_are_compared_by_what_they_accept() -> None:
    old = CONTRACT + "input: {type: object, properties: {a: {type: string}, b: {type: integer}}}\n"
    new = CONTRACT + (
        "input: {type: object, properties: {a: {type: integer}}, required: [c],"
        " additionalProperties: false}\n"
    )

    said = [c.sentence for c in compare(contract(old), contract(new))]

    assert said == [
        "Input: “c” must now be given",
        "Input: “a” must now be integer",
        "Input: “b” is no longer accepted",
        "Input: unknown keys are now refused",
    ]
    wider = compare(contract(CONTRACT), contract(old))
    assert [c.kind for c in wider] == [Kind.NEUTRAL]
