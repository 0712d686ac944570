"""A run whose budget runs short is carried on by the contract's fallback, and says so."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from apps.audit.models import Event
from apps.catalog.domain.contract import Contract
from apps.catalog.selectors import contract as contract_of
from apps.catalog.selectors import pinned
from apps.catalog.selectors.pinned import AskedModels
from apps.runs.engine import asking
from apps.runs.models import Attempt, Run
from tests.engine.conftest import Tower
from tests.engine.model_server import Model, serve
from tests.engine.shop import address
from tests.engine.test_drain import drain
from tests.engine.test_model import HEAR, configure

LOOK = ("get_user_details", {"user_id": "ada_byron_1"})
TURNS = [[LOOK], [LOOK], [("modify_user_address", address(5))], "Done."]
BEST = ("big", "small")


@pytest.fixture
def bounds(tower: Tower, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Give the shop's contract other bounds, and its agent a fallback."""
    monkeypatch.setattr(pinned, "asked_models", lambda *_: AskedModels(BEST, {}))

    def set_bounds(**changes: Any) -> None:
        known: Contract = contract_of(pinned.current_contract("retail-shop").pk)
        changed = replace(known, **{k: replace(getattr(known, k), **v) for k, v in changes.items()})
        monkeypatch.setattr(asking, "contract", lambda _: changed)

    return set_bounds


def served(tower: Tower, settings: Any, answers: list[Any]) -> Model:
    """A run of a live model, from its first turn to its end."""
    with serve(answers) as model:
        configure(settings, model.url)
        tower.start([HEAR], agent_kind="model")
        drain(linger_s=2)
    return model


def test_when_most_of_a_budget_is_used_the_fallback_serves_and_the_run_says_so(
    tower: Tower, settings: Any, bounds: Any, client_as: Any
) -> None:
    bounds(limits={"tokens": 300})  # 120 a turn: 80 % are used after the second

    model = served(tower, settings, TURNS)

    assert [m["model"] for m in model.asked] == ["big", "big", "small", "small"]
    run = Run.objects.get()
    assert (run.outcome, run.degraded, run.degraded_since) == ("resolved", True, 5)
    assert run.degraded_reason == "small instead of big: 80 % of the token limit was used"
    told = Event.objects.get(kind="run.degraded")
    assert told.payload == {"reason": run.degraded_reason, "step": 5}
    client: Client = client_as("auditor")
    shown = client.get(reverse("runs:detail", args=[run.id])).content.decode()
    words = "small instead of big: 80 % of the token limit was used, since step 5"
    assert words in " ".join(shown.split())


def test_time_is_a_budget_too(tower: Tower, settings: Any, bounds: Any) -> None:
    bounds(slo={"latency_budget_s": 0.001})

    model = served(tower, settings, [[LOOK], "Done."])

    assert [m["model"] for m in model.asked] == ["big", "small"]
    assert "80 % of the latency budget" in Run.objects.get().degraded_reason


def test_the_contract_says_when(tower: Tower, settings: Any, bounds: Any) -> None:
    bounds(limits={"tokens": 300}, agent={"fallback_at": 0.4})

    model = served(tower, settings, TURNS)

    assert [m["model"] for m in model.asked] == ["big", "small", "small", "small"]
    assert "40 % of the token limit" in Run.objects.get().degraded_reason


def test_a_model_that_failed_is_asked_last_the_next_time(
    tower: Tower, settings: Any, bounds: Any
) -> None:
    model = served(tower, settings, [503, 503, "Done."])

    assert [m["model"] for m in model.asked] == ["big", "small", "small"]
    assert Attempt.objects.count() == 2
    assert Run.objects.get().degraded_reason == "small instead of big: the model before failed"


def test_a_run_within_its_budgets_is_not_marked(tower: Tower, settings: Any, bounds: Any) -> None:
    served(tower, settings, TURNS)

    run = Run.objects.get()
    assert (run.degraded, run.degraded_reason, run.degraded_since) == (False, "", None)
