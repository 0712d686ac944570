from __future__ import annotations

import io

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from apps.catalog.domain.contract import CheckContext, compensations, parse
from apps.catalog.domain.contract_checks import numbers_of
from apps.kernel.documents import load
from apps.kernel.patching import patch, scalar
from tests.factories.catalog import CONTRACT


def said(text: str, known: CheckContext | None = None) -> list[str]:
    return [str(p) for p in parse(text, known).problems]


def test_a_sound_contract_has_every_default_filled_in() -> None:
    contract = parse(CONTRACT).contract

    assert contract is not None
    assert contract.decisions.votes == 2
    assert contract.tool("find_order").retry.attempts == 4
    assert contract.limits.tokens == 200_000
    assert contract.tool("nothing") is None


def test_a_contract_says_by_which_tools_a_case_is_handed_over() -> None:
    stated = parse(
        CONTRACT.replace("target: 0.9", "hand_over: [find_order]\n  target: 0.9")
    ).contract
    silent = parse(CONTRACT).contract

    assert stated is not None
    assert silent is not None
    assert stated.outcome.hand_over == ("find_order",)
    assert silent.outcome.hand_over == ()
    assert silent.as_document()["outcome"]["hand_over"] == []


def test_all_problems_come_at_once_in_the_order_of_the_text() -> None:
    text = CONTRACT.replace("owner:", "ownr:").replace("votes: 2", "votes: 0\n  votes: 3")
    text = text.replace("target: 0.9", "target: 2024-01-01").replace("to: operators", "to: ''")

    problems = parse(text).problems

    assert [p.path for p in problems] == [
        "owner",
        "ownr",
        "outcome.target",
        "decisions.votes",
        "decisions.votes",
        "decisions.escalation[0].to",
    ]
    assert [p.line for p in problems] == sorted(p.line for p in problems)
    assert "Did you mean “owner”?" in str(problems[1])
    assert "Quote it" in str(problems[2])
    assert "is written twice; the first is on line" in str(problems[4])


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("when_any_of: [refund]", "when_any_of: [refnd]", "Did you mean “refund”?"),
        ("target: 0.9", "hand_over: [find_ordr]\n  target: 0.9", "Did you mean “find_order”?"),
        ("target: 0.9", "hand_over: [refund]\n  target: 0.9", "counts as success already"),
        ("target: 0.9", "hand_over: find_order\n  target: 0.9", "list"),
        ("timeout_s: 15", "compensation: refund", "“refund” undoes itself"),
        ("timeout_s: 15", "compensation: {tool: find_ordr}", "Did you mean “find_order”?"),
        (
            "timeout_s: 15",
            "compensation: {tool: refund, arguments: {id: arguments.order_id}}",
            "Read at least one argument from “preview.before…”",
        ),
        (
            "timeout_s: 15",
            "compensation: {tool: find_order, arguments: {id: answer.id}}",
            "it has to start at arguments, result, preview, facts",
        ),
        ("timeout_s: 15", "compensation: {tol: find_order}", "Did you mean “tool”?"),
        ("timeout_s: 15", "compensation: {tool: find_order, arguments: [a]}", "a group of keys"),
        ("timeout_s: 15", "compensation: 3", "text or a group of keys"),
        ("timeout_s: 15", "compensation: take_back", "is undone by “take_back”"),
        ("- name: find_order", "- name: refund", "“refund” is listed twice"),
        ("cap_s: 30", "cap_s: 0.1", "less than its first wait"),
        ("timeout_s: 5", "timeout_s: 50000", "longer than the whole run"),
        (
            "{at: 0.5, to: operators}",
            "{at: 0.5, to: a}, {at: 0.4, to: b}",
            "steps are out of order",
        ),
        ("to: operators", "to: operator", "Did you mean “operators”? Choose one of: operators, "),
        ("to: operators", "to: boss", "“boss” is not a valid escalation target"),
        ("window_s: 3600", "window_s: 36000", "but the run ends after"),
        ("criticality: high", "signals: {a: '(b'}", "The pattern can't be used"),
        ("criticality: high", "signals: {a: '(?=b)'}", "looks around"),
        ("criticality: high", "signals: {a: '(b)\\1'}", "refers back"),
        ("criticality: high", "input: {type: objct}", "This is not JSON Schema"),
        ("criticality: high", "input: {$ref: 'file:///etc/passwd'}", "points outside"),
        ("criticality: high", "input: {$ref: '#'}", "refers to itself"),
        ("criticality: high", "criticality: huge", "Choose one of: low"),
        ("criticality: high", "slo: {latency_p95_s: 9, latency_budget_s: 8}", "above the budget"),
        ("criticality: high", "priority: .nan", "must be finite"),
        ("criticality: high", "priority: 0.1234567890123456789", "more digits than are kept"),
        ("criticality: high", "priority: &a 4", "Anchors and aliases"),
        ("owner: Toy desk, Ida Holm", 'owner: "a\\0b"', "The text has a NUL character (\\u0000)"),
        ("owner: Toy desk, Ida Holm", 'owner: "\\ud800"', "half a surrogate pair"),
        ("owner: Toy desk, Ida Holm", 'owner: "\\uD83D\\uDE00"', "half a surrogate pair"),
        ("owner: Toy desk, Ida Holm", '"a\\0": 1', "NUL character"),
    ],
)
def test_a_mistake_is_named_with_its_fix(old: str, new: str, says: str) -> None:
    assert old in CONTRACT

    assert any(says in s for s in said(CONTRACT.replace(old, new, 1))), said(
        CONTRACT.replace(old, new, 1)
    )


@pytest.mark.parametrize(
    ("written", "tool", "arguments"),
    [
        ("find_order", "find_order", {}),
        ("{tool: find_order}", "find_order", {}),
        (
            "{tool: refund, arguments: {at: preview.before.orders.*.at}}",
            "refund",
            {"at": "preview.before.orders.*.at"},
        ),
    ],
)
def test_what_undoes_a_tool_is_a_name_or_says_where_its_arguments_are_read(
    written: str, tool: str, arguments: dict[str, str]
) -> None:
    parsed = parse(CONTRACT.replace("timeout_s: 15", f"compensation: {written}", 1))

    assert parsed.contract is not None, parsed.problems
    undo = parsed.contract.tool("refund").compensation
    assert (undo.tool, undo.arguments) == (tool, arguments)
    assert parsed.contract.as_document()["tools"][1]["compensation"] == {
        "tool": tool,
        "arguments": arguments,
    }
    assert compensations(parsed.document)["refund"] == undo


def test_names_are_checked_against_what_exists() -> None:
    known = CheckContext(
        tools={"find_order": "read", "refunds": "write"},
        agents=frozenset({"toys-referee"}),
        policies=frozenset({"toy"}),
        job="toys-return",
    )

    problems = said(CONTRACT, known)

    assert len(problems) == 4
    assert all("Did you mean" in p for p in problems if "draft can't rename" not in p)


@pytest.mark.parametrize("hidden", ["amount_cents", "AMOUNT_CENTS", "facts.amount_cents", "facts"])
def test_what_rules_judge_by_as_a_number_cannot_be_hidden(hidden: str) -> None:
    tool = {"amount": "facts.amount_cents", "facts": {"owner": "string", "amount_cents": "long?"}}
    known = CheckContext(numbers={"refund": numbers_of(tool), "other": ("facts.email",)})
    text = CONTRACT.replace("redact: [email]", f"redact: [email, {hidden}]")

    found = parse(text, known).problems

    assert [(p.path, p.severity) for p in found] == [("data.redact[1]", "error")]
    assert "facts.amount_cents of “refund”" in found[0].message
    assert found[0].fix


def test_a_name_that_cannot_be_looked_for_is_refused_with_an_example() -> None:
    found = parse(
        CONTRACT.replace("redact: [email]", 'redact: ["e mail", "a..b", "ok.*.x"]')
    ).problems

    assert [p.path for p in found] == ["data.redact[0]", "data.redact[1]"]
    assert all("customer.address.zip" in p.message for p in found)


def test_a_warning_does_not_stop_a_contract() -> None:
    parsed = parse(CONTRACT.replace("window_s: 3600", "window_s: 36000"))

    assert parsed.contract is not None
    assert [p.severity for p in parsed.problems] == ["warning"]


@pytest.mark.parametrize(("window_s", "problems"), [(14400, 1), (14399, 0)])
def test_an_escalation_into_no_time_is_warned_of(window_s: int, problems: int) -> None:
    text = CONTRACT.replace("window_s: 3600", f"window_s: {window_s}")

    parsed = parse(text.replace("on_timeout: reject", "on_timeout: escalate"))

    assert parsed.contract is not None
    assert [p.path for p in parsed.problems] == ["decisions.on_timeout"] * problems


@pytest.mark.parametrize(
    "text", ["", "a: [", "- 1", "[" * 5000, "\x00", "x" * 300_000, "a: &x 1\nb: *x", "? [a]\n: 1"]
)
def test_odd_texts_are_refused_in_words(text: str) -> None:
    parsed = parse(text)

    assert parsed.contract is None
    assert parsed.errors


@settings(deadline=None, max_examples=60)
@given(st.text(max_size=200))
def test_parse_never_raises(text: str) -> None:
    parsed = parse(text)

    assert parsed.contract is None or not parsed.errors


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(allow_nan=False, allow_infinity=False, width=32).filter(lambda f: abs(f) < 2**53)
    | st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "Zs")), max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text("abcxyz", min_size=1, max_size=5), inner, max_size=4)
    ),
    max_leaves=12,
)


@settings(deadline=None, max_examples=60)
@given(st.dictionaries(st.text("abcxyz", min_size=1, max_size=5), JSON, min_size=1, max_size=4))
@example({"a": {"a": ":0"}})  # the library writes {a: :0}, and can read that in block style only
def test_load_reads_what_yaml_wrote(value: dict[str, object]) -> None:
    out = io.StringIO()
    YAML(typ="safe", pure=True).dump(value, out)

    document = load(out.getvalue())

    try:
        expected = YAML(typ="safe", pure=True).load(out.getvalue())
    except YAMLError:
        assert document.value is None
        assert [problem.is_error for problem in document.problems] == [True]
    else:
        assert (document.value, document.problems) == (expected, [])


SCALARS = (
    st.booleans()
    | st.integers(-(10**9), 10**9)
    | st.text(
        st.characters(codec="utf-8", categories=("L", "N", "P", "S", "Zs")), min_size=1, max_size=60
    )
)
PATHS = st.sampled_from(
    [
        ("name",),
        ("decisions", "votes"),
        ("limits", "steps"),
        ("limits", "tokens"),
        ("slo", "latency_p95_s"),
        ("tools", 0, "timeout_s"),
        ("tools", 1, "retry", "attempts"),
        ("tools", 0, "retry", "attempts"),
        ("data", "freshness_s"),
        ("priority",),
    ]
)


@settings(deadline=None, max_examples=60)  # each example reads YAML three times
@given(PATHS, SCALARS)
def test_a_patch_changes_one_value_and_keeps_the_rest(
    path: tuple[str | int, ...], value: object
) -> None:
    before = load(CONTRACT).value

    changed = patch(CONTRACT, path, value)

    after = load(changed).value
    found = after
    for part in path:
        found = found[part]
    assert found == value
    assert "# the only thing that costs money" in changed
    assert "# What a refund promises." in changed
    top = path[0]
    assert {k: v for k, v in after.items() if k != top} == {
        k: v for k, v in before.items() if k != top
    }


def test_a_folded_text_stays_folded() -> None:
    changed = patch(CONTRACT, ("purpose",), "Money back.\nAnd a smile.")

    assert "purpose: >\n  Money back.\n\n  And a smile.\noutcome:" in changed


@settings(deadline=None, max_examples=60)
@given(SCALARS)
def test_a_scalar_reads_back_as_itself(value: object) -> None:
    assert load(f"v: {scalar(value)}").value == {"v": value}


def test_a_broken_text_is_not_patched() -> None:
    with pytest.raises(ValueError, match="isn't YAML"):
        patch("a: [", ("a",), 1)
    with pytest.raises(ValueError, match="is a group"):
        patch("a: {b: 1}", ("a",), 1)


def test_a_list_on_one_line_is_written_anew_and_another_left_alone() -> None:
    changed = patch(CONTRACT, ("outcome", "when_any_of"), ["refund", "find_order", "a: b"])
    added = patch(CONTRACT, ("outcome", "hand_over"), ["find_order"])

    assert '  when_any_of: [refund, find_order, "a: b"]\n  target: 0.9\n' in changed
    assert load(added).value["outcome"]["hand_over"] == ["find_order"]
    for text in ("a:\n- b\n- c\n", "a: [b,  # why\n  c]\n"):
        with pytest.raises(ValueError, match="over several lines"):
            patch(text, ("a",), ["d"])


@pytest.mark.parametrize(("share", "is_good"), [("0.5", True), ("1", True), ("0", False)])
def test_fallbacks_take_over_at_a_share_of_a_budget(share: str, is_good: bool) -> None:
    source = load(CONTRACT)
    source.value["agent"]["fallback_at"] = float(share)
    text = io.StringIO()
    YAML().dump(source.value, text)

    contract = parse(text.getvalue()).contract

    assert (contract is not None) == is_good
    assert contract is None or contract.agent.fallback_at == float(share)
    usual = parse(CONTRACT).contract
    assert usual is not None
    assert usual.agent.fallback_at == 0.8
