"""A live model drives runs, over the real protocol, against a local server."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from apps.catalog.selectors import contract as contract_of
from apps.catalog.selectors import pinned
from apps.catalog.selectors.pinned import AskedModels
from apps.runs import course
from apps.runs.models import Message, Run, Step
from tests.engine.conftest import Tower
from tests.engine.model_server import completion, serve
from tests.engine.shop import address
from tests.engine.test_drain import drain

HEAR = [{"hear": "Please move me to 5 Road."}]


def configure(settings: Any, url: str) -> None:
    settings.MODEL, settings.MODEL_URL, settings.MODEL_KEY = "test-model", url, "k"


def test_a_models_tool_calls_are_proposals_that_the_gate_sees(tower: Tower, settings: Any) -> None:
    look = ("get_user_details", {"user_id": "ada_byron_1"})
    with serve([[look], [("modify_user_address", address(5))], "Done, enjoy 5 Road."]) as model:
        configure(settings, model.url)
        tower.start([HEAR], agent_kind="model")
        drain()

    run = Run.objects.get()
    assert (run.state, run.outcome, run.degraded) == ("succeeded", "resolved", False)
    assert (run.tokens_in, run.tokens_out) == (300, 60)
    done = [(s.kind, s.disposition, s.gate) for s in Step.objects.order_by("seq")]
    turn, tool = ("agent", "executed", ""), ("tool", "executed", "permit")
    assert done == [turn, tool, turn, tool, turn]
    assert [m["role"] for m in model.asked[1]["messages"]][-2:] == ["assistant", "tool"]
    assert Message.objects.filter(role="agent", content="Done, enjoy 5 Road.").exists()


def test_a_denied_call_is_told_to_the_model(tower: Tower, settings: Any) -> None:
    with serve([[("modify_user_address", {"user_id": 3})], "I can't do that."]) as model:
        configure(settings, model.url)
        tower.start([HEAR], agent_kind="model")
        drain()

    assert Run.objects.get().outcome == "denied"
    assert "denied" in str(model.asked[1]["messages"])


def test_a_model_without_tool_calls_is_asked_for_one_json_object(
    tower: Tower, settings: Any
) -> None:
    look = {"do": "call", "tool": "get_user_details", "arguments": {"user_id": "ada_byron_1"}}
    said = {"do": "say", "text": "You live in London."}
    with serve([json.dumps(look), json.dumps(said)]) as model:
        configure(settings, model.url)
        settings.MODEL_OUTPUT = "json"
        tower.start([HEAR], agent_kind="model")
        drain()

    steps = Step.objects.order_by("seq")
    assert [(s.kind, s.gate) for s in steps] == [("agent", ""), ("tool", "permit"), ("agent", "")]
    schema = model.asked[0]["response_format"]["json_schema"]["schema"]
    assert {t["properties"]["do"]["const"] for t in schema["anyOf"]} == {"call"}
    assert "tools" not in model.asked[0]
    assert Message.objects.filter(role="agent", content="You live in London.").exists()


def test_a_models_nonsense_ends_the_run(tower: Tower, settings: Any) -> None:
    with serve(["{not json"] * 9) as model:
        configure(settings, model.url)
        settings.MODEL_OUTPUT = "json"
        tower.start([HEAR], agent_kind="model")
        drain(linger_s=4)

    assert Run.objects.get().state == "failed"


def test_a_failing_provider_is_retried_then_the_run_fails(tower: Tower, settings: Any) -> None:
    with serve([503, 503, "All done."]) as model:
        configure(settings, model.url)
        tower.start([HEAR], agent_kind="model")
        drain(linger_s=4)

    assert Step.objects.get().attempts.count() == 3
    assert Run.objects.get().state == "failed"  # it answered, but moved nobody


def test_without_a_key_the_run_says_what_to_set(tower: Tower, settings: Any) -> None:
    settings.MODEL = settings.MODEL_URL = ""
    tower.start([HEAR], agent_kind="model")

    drain()

    step = Step.objects.get()
    assert (step.state, step.error_class) == ("failed", "not_configured")
    assert "TOWER_MODEL" in step.error
    assert Run.objects.get().state == "failed"


def test_a_model_that_has_used_its_tokens_up_is_stopped(
    tower: Tower, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    look = ("get_user_details", {"user_id": "ada_byron_1"})
    bound = contract_of(pinned.current_contract("retail-shop").pk)
    monkeypatch.setattr(
        course, "contract_of", lambda _: replace(bound, limits=replace(bound.limits, tokens=200))
    )
    with serve([[look], [look], [look]]) as model:
        configure(settings, model.url)
        tower.start([HEAR], agent_kind="model")
        drain()

    run = Run.objects.get()
    assert (run.outcome, run.error_class) == ("limit_reached", "token_limit")
    assert len(model.asked) == 2  # 120 tokens a turn


def test_the_contracts_fallback_is_asked_when_the_model_fails(
    tower: Tower, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ("first-model", "second-model")
    monkeypatch.setattr(pinned, "asked_models", lambda *_: AskedModels(names, {}))
    with serve([500, [("modify_user_address", address(5))], "Done."]) as model:
        configure(settings, model.url)
        tower.start([HEAR], agent_kind="model")
        drain()

    assert [m["model"] for m in model.asked[:2]] == ["first-model", "second-model"]
    run = Run.objects.get()
    assert (run.outcome, run.degraded) == ("resolved", True)


def test_a_dated_name_of_the_provider_is_still_the_model_that_was_asked(
    tower: Tower, settings: Any
) -> None:
    dated = {**completion("Hello.", "test-model-2025-04-14")}
    with serve([dated]) as model:
        configure(settings, model.url)
        tower.start([HEAR], agent_kind="model")
        drain()

    assert not Run.objects.get().degraded
    assert Step.objects.get().result["data"] == {"model": "test-model-2025-04-14"}
