"""What a run gives back: it succeeds only with a result that fits its contract's output."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from apps.audit.domain.actors import Actor
from apps.kernel import exactjson
from apps.runs.models import Message, Run, RunResult, Step
from apps.runs.services import fork_run
from tests.engine.conftest import Tower
from tests.engine.model_server import serve
from tests.engine.shop import CONTRACT, address, call
from tests.engine.test_drain import drain
from tests.engine.test_model import HEAR, configure
from tests.engine.test_model_replies import work
from tests.engine.test_terms import agreed, move

OUTPUT = {
    "type": "object",
    "properties": {"total": {"type": "number", "minimum": 0}, "street": {"$ref": "#/$defs/line"}},
    "required": ["total"],
    "additionalProperties": False,
    "$defs": {"line": {"type": "string", "maxLength": 40}},
}
MOVED = [("modify_user_address", address(5))]
DONE = {"done": "Moved."}
GOOD = '{"total":12345678901234567890.10,"street":"5 Road"}'


def given(value: Any) -> dict[str, Any]:
    return {"result": value}


def gives(value: Any) -> list[tuple[str, Any]]:
    """A model's call that gives a result."""
    return [("final_result", json.dumps({"result": value}))]


@pytest.mark.parametrize(
    ("script", "wrong"),
    [
        ([given({"total": 7, "street": "5 Road"})], ""),
        ([given({"total": "7"}), given({"total": 7})], ""),
        ([given({"total": "7"})], "result.total: '7' is not of type 'number'"),
        ([given({"total": -1})], "result.total: -1 is less than the minimum of 0"),
        ([given({"total": 1, "street": "x" * 41})], "result.street"),
        ([given({"total": 1, "tip": 2})], "('tip' was unexpected)"),
        ([given([1])], "result: [1] is not of type 'object'"),
        ([given(None)], "result: None is not of type 'object'"),
        ([given({"total": 7}), given({})], "result: 'total' is a required property"),
        ([], "no result was given, and an empty one doesn't fit: result: 'total' is a required"),
    ],
)
def test_a_run_succeeds_only_with_a_result_that_fits(
    tower: Tower, script: list[dict[str, Any]], wrong: str
) -> None:
    agreed(tower, output=OUTPUT)
    tower.start([[move(5), *script, DONE]])

    drain()

    run = Run.objects.get()
    if not wrong:
        assert (run.state, run.outcome, run.summary) == ("succeeded", "resolved", "Moved.")
        assert RunResult.objects.get(pk=run.pk).value == script[-1]["result"]
        return
    ended = (run.state, run.outcome, run.error_class)
    assert ended == ("failed", "not_resolved", "bad_result")
    assert wrong in run.summary
    assert "Carried out: modify_user_address." in run.summary, "what was done is told all the same"
    assert not RunResult.objects.exists()


@pytest.mark.parametrize(
    ("value", "wrong"),
    [
        ("x" * 100_000, "has 100,002 characters; 100,000 are the most"),
        (exactjson.loads("[" * 95 + "]" * 95), ""),
        (exactjson.loads('{"a": {"b": 1, "c": [true, null, 1e300, "\u202e"]}}'), ""),
    ],
)
def test_a_result_of_any_type_is_kept_within_bounds(
    tower: Tower, monkeypatch: pytest.MonkeyPatch, value: Any, wrong: str
) -> None:
    monkeypatch.setitem(CONTRACT, "output", {})
    agreed(tower, output={"description": "Whatever it is."})
    tower.start([[move(5), given(value), DONE]])

    drain()

    run = Run.objects.get()
    assert (run.state, wrong in run.summary) == ("failed" if wrong else "succeeded", True)
    kept = [r.value for r in RunResult.objects.all()]
    assert exactjson.same(kept, [] if wrong else [value])


def test_a_job_that_states_no_output_keeps_none(
    tower: Tower, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(CONTRACT, "output", {})
    agreed(tower, output={})
    tower.start([[move(5), given({"total": 7}), DONE]])

    drain()

    assert Run.objects.get().outcome == "resolved"
    assert not RunResult.objects.exists()


def test_a_graver_reason_is_told_instead_of_a_bad_result(tower: Tower) -> None:
    agreed(tower, output=OUTPUT)
    tower.start([[call("modify_user_address", 0, user_id=3), given({"total": "x"}), DONE]])

    drain()

    assert Run.objects.get().outcome == "denied"


def test_a_run_that_was_handed_over_owes_no_result(tower: Tower) -> None:
    outcome = {"when_any_of": ["cancel_pending_order"], "hand_over": ["modify_user_address"]}
    agreed(tower, output=OUTPUT, outcome=outcome)
    tower.start([[move(5), DONE], [move(6), given({"total": "x"}), DONE]])

    drain()

    ends = Run.objects.order_by("created_at", "id").values_list("outcome", "error_class")
    assert sorted(ends) == [("handed_over", ""), ("not_resolved", "bad_result")]


def test_a_model_gives_its_result_by_a_tool(tower: Tower, settings: Any) -> None:
    agreed(tower, output=OUTPUT)
    good = [("final_result", '{"result": ' + GOOD + "}")]
    with serve([MOVED, good]) as model:
        configure(settings, model.url)
        tower.start([HEAR], agent_kind="model")
        drain(linger_s=1)

    offered = {t["function"]["name"]: t["function"]["parameters"] for t in model.asked[0]["tools"]}
    street = offered["final_result"]["properties"]["result"]["properties"]["street"]
    assert street == {"$ref": "#/properties/result/$defs/line"}, "it still points at its part"
    assert Run.objects.get().outcome == "resolved"
    assert RunResult.objects.get().value == exactjson.loads(GOOD)
    assert RunResult.objects.get().value["total"] == Decimal("12345678901234567890.10")
    assert not Step.objects.filter(tool_name="final_result").exists(), "it is no call of a tool"


@pytest.mark.parametrize(
    ("bad", "told"),
    [
        (gives({"total": "much"}), "result.total: 'much' is not of type 'number'"),
        ("All is done.", "no result was given"),
        ([("final_result", '{"total": 7}')], "a JSON object with “result” and nothing else"),
        ([("final_result", "{not json")], "a JSON object with “result” and nothing else"),
        (gives({"total": 1}) * 2, "several results at once"),
        ([("final_result", '{"result": {"total": 1, "street": "\\u0000"}}')], "“result”"),
    ],
)
def test_a_model_is_told_what_is_wrong_with_its_result_and_asked_again(
    tower: Tower, settings: Any, bad: Any, told: str
) -> None:
    agreed(tower, output=OUTPUT)
    model = work(tower, settings, [MOVED, bad, bad, gives({"total": 7})])

    said = [m["content"] for m in model.asked[2]["messages"] if m["role"] == "system"]
    assert told in said[-1], "in the system's role, which no customer can take"
    run = Run.objects.get()
    assert (run.state, RunResult.objects.get().value) == ("succeeded", {"total": 7})
    assert len(model.asked) == 4
    assert run.tokens_in == 400, "every reply was paid for"


def test_a_model_that_never_gives_a_result_that_fits_fails_with_the_field(
    tower: Tower, settings: Any
) -> None:
    agreed(tower, output=OUTPUT, tool={})
    model = work(tower, settings, [MOVED, *[gives({"total": "much"})] * 9])

    run = Run.objects.get()
    assert (run.state, run.error_class) == ("failed", "bad_result")
    assert "gave no result that fits its contract" in run.summary
    assert "result.total: 'much' is not of type 'number'" in run.summary
    assert len(model.asked) == 1 + 4, "as often as any turn is asked for"
    assert not RunResult.objects.exists()


def test_a_result_beside_other_calls_is_given_again_after_their_answers(
    tower: Tower, settings: Any
) -> None:
    agreed(tower, output=OUTPUT)
    model = work(tower, settings, [[*MOVED, *gives({"total": 1})], gives({"total": 2})])

    assert len(model.asked) == 2
    assert RunResult.objects.get().value == {"total": 2}


def test_a_model_that_writes_json_gives_its_result_with_the_end(
    tower: Tower, settings: Any
) -> None:
    agreed(tower, output=OUTPUT)
    settings.MODEL_OUTPUT = "json"
    change = {"do": "call", "tool": "modify_user_address", "arguments": address(5)}
    end = {"do": "done", "summary": "You live in 5 Road.", "result": {"total": 7}}
    model = work(tower, settings, [json.dumps(change), json.dumps(end)])

    shape = model.asked[1]["response_format"]["json_schema"]["schema"]["anyOf"]
    ends = [t for t in shape if t["properties"]["do"]["const"] in {"say", "done"}]
    assert [t["required"] for t in ends] == [["do", "summary", "result"]]
    assert RunResult.objects.get().value == {"total": 7}
    assert Message.objects.filter(role="agent", content="You live in 5 Road.").exists()


def test_a_branch_gives_its_own_result(tower: Tower) -> None:
    agreed(tower, output=OUTPUT)
    [run_id] = tower.start([[move(5), given({"total": 7}), DONE]])
    drain()

    branch = fork_run(run_id, 1, None, actor=Actor.user("ida"), reason="Again.")
    drain()

    assert dict(RunResult.objects.values_list("run_id", "value")) == {
        run_id: {"total": 7},
        branch: {"total": 7},
    }
    assert set(Run.objects.values_list("state", flat=True)) == {"succeeded"}
