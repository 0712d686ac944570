from __future__ import annotations

from controltower.practice.cases.scripts import (
    narrowest_job,
    recorded_case,
    reference_case,
    with_result,
)

TASK = {
    "id": "7",
    "user_scenario": {
        "instructions": {"reason_for_call": "You want to cancel.", "known_info": "You are Ana."}
    },
    "evaluation_criteria": {
        "actions": [
            {"name": "get_user", "arguments": {"user_id": "ana_1"}},
            {"name": "cancel", "arguments": {"order_id": "#W1"}},
        ]
    },
}
EPISODE = {
    "episode_id": "e1",
    "domain": "retail",
    "model": "m-1",
    "suite": "tau-bench",
    "reward": 0.0,
    "agent_cost_usd": 0.0015,
    "steps": [
        {"i": 0, "role": "user", "content": "Hello"},
        {"i": 1, "role": "assistant", "content": "Yes?", "tokens": [10, 3]},
        {
            "i": 2,
            "role": "tool",
            "actor": "agent",
            "tool": "cancel",
            "args": {"a": 1},
            "gt": "extra",
        },
        {"i": 3, "role": "tool", "actor": "user_device", "tool": "x", "args": {}},
    ],
}


def test_a_reference_case_asks_for_consent_before_each_change() -> None:
    case = reference_case(TASK, domain="retail", mutating=frozenset({"cancel"}), world="w")

    kinds = [next(iter(item)) for item in case.items]
    assert kinds == ["hear", "call", "say", "hear", "call", "say", "done"]
    assert "#W1" in case.items[2]["say"]
    assert (case.customer, case.agent_kind) == ("ana_1", "reference")


def test_a_recorded_case_carries_no_label() -> None:
    case = recorded_case(EPISODE, world="w")

    assert "extra" not in str(case.items)
    assert (case.tokens_in, case.tokens_out, case.cost_microusd) == (10, 3, 1500)
    assert case.items[2] == {"call": {"tool": "cancel", "args": {"a": 1}, "ref": "2"}}
    assert (case.agent_label, case.dialect, case.tools) == ("recorded m-1", "tau1", {"cancel"})


def test_the_narrowest_fitting_job_is_taken() -> None:
    jobs = [("mixed", frozenset("abc")), ("small", frozenset("ab")), ("other", frozenset("c"))]

    assert narrowest_job(frozenset("a"), jobs) == "small"
    assert narrowest_job(frozenset("ac"), jobs) == "mixed"
    assert narrowest_job(frozenset("az"), jobs) == "small"


def test_a_case_gives_a_result_where_its_job_asks_for_an_answer() -> None:
    items = [{"hear": "Where?"}, {"say": "There."}, {"done": "x"}]
    answer = {"type": "object", "properties": {"answer": {"type": "string"}}}

    assert with_result(items, answer) == (*items[:2], {"result": {"answer": "There."}}, items[2])
    assert with_result(items, {}) == tuple(items)
    assert with_result(items, {"properties": {"total": {}}}) == tuple(items)
    assert with_result(items[:1], answer) == (items[0],), "a live one gives its own"
    assert with_result([items[0], items[2]], answer) == (items[0], items[2]), "nothing was told"
