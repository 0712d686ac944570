"""Models of the catalog over the real protocol: address, name, key and price are as published."""

from __future__ import annotations

import asyncio
import socket
import time
from typing import Any

import pytest

from apps.calls import agents
from apps.calls.domain.retry import Ending
from apps.calls.domain.turn import Question
from apps.catalog.adapters import reach
from apps.catalog.domain.language_models import terms_of
from apps.catalog.models import LanguageModel
from apps.catalog.selectors import pinned
from apps.kernel.patching import dumped
from apps.runs.models import Run, Step
from tests.engine.conftest import Tower
from tests.engine.model_server import serve
from tests.engine.shop import address
from tests.engine.test_drain import drain
from tests.engine.test_model import HEAR, configure
from tests.engine.test_pack_terms import again

PRICES = {"input_usd_per_million": 2.5, "output_usd_per_million": 10}
CANARY = "k3y-canary"


def entry(slug: str, url: str, **more: Any) -> dict[str, Any]:
    told = {"slug": slug, "name": slug.title(), "provider": "openai", "url": url}
    return {**told, "model": f"{slug}-2025", **more}


def told(tower: Tower, models: list[dict[str, Any]], **agent: Any) -> None:
    """Apply the shop's pack with these models and its live agent changed."""
    folder = tower.folder / "retail" / "models"
    folder.mkdir(exist_ok=True)
    for model in models:
        (folder / f"{model['slug']}.yaml").write_text(dumped(model))

    def change(pack: Any) -> None:
        pack["model_files"] = [f"models/{m['slug']}.yaml" for m in models]
        pack["agents"][-1].update(agent)

    again(tower, change)


def test_a_model_is_asked_at_its_address_by_its_name_with_its_key_and_costs_its_price(
    tower: Tower, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.MODEL = settings.MODEL_URL = ""  # the installation has none of its own
    monkeypatch.setenv("TOWER_MODEL_KEY_CAREFUL", CANARY)
    move = [("modify_user_address", address(5))]
    with serve([move, "Done, enjoy 5 Road."]) as model:
        key = {"env": "TOWER_MODEL_KEY_CAREFUL"}
        careful = entry("careful", model.url, key=key, prices=PRICES, max_output_tokens=50)
        told(tower, [careful], model="careful", settings={"max_tokens": 77})
        tower.start([HEAR], agent_kind="model")
        drain()

    run = Run.objects.get()
    assert (run.state, run.outcome, run.degraded) == ("succeeded", "resolved", False)
    assert [m["model"] for m in model.asked] == ["careful-2025"] * 2
    assert set(model.keys) == {f"Bearer {CANARY}"}
    assert model.asked[0]["max_completion_tokens"] == 50  # the tighter of both
    assert run.cost_microusd == 2 * (250 + 200)  # 100 tokens in, 20 out, a turn
    turn = Step.objects.filter(kind="agent").first()
    assert turn.result["data"] == {"model": "careful-2025", "catalog_model": "careful v1"}


def test_a_second_model_runs_beside_the_first_and_each_has_its_own_key_and_price(
    tower: Tower, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOWER_MODEL_KEY_A", "key-a")
    monkeypatch.setenv("TOWER_MODEL_KEY_B", "key-b")
    with serve([500]) as first, serve(["Hello."]) as second, serve([]) as own:
        configure(settings, own.url)
        told(
            tower,
            [
                entry("alpha", first.url, key={"env": "TOWER_MODEL_KEY_A"}, prices=PRICES),
                entry(
                    "beta",
                    second.url,
                    key={"env": "TOWER_MODEL_KEY_B"},
                    prices={"input_usd_per_million": 1, "output_usd_per_million": 1},
                ),
            ],
            model="alpha",
            fallback_models=["beta"],
        )
        tower.start([HEAR], agent_kind="model")
        drain()

    assert (first.keys, second.keys, own.keys) == (["Bearer key-a"], ["Bearer key-b"], [])
    assert [m["model"] for m in second.asked] == ["beta-2025"]
    run = Run.objects.get()
    assert run.cost_microusd == 120
    assert (run.degraded, run.degraded_reason) == (
        True,
        "beta instead of alpha: alpha did not answer",
    )


def test_a_model_that_cannot_speak_tools_stands_beside_one_that_can(
    tower: Tower, settings: Any
) -> None:
    with serve([503]) as first, serve(['{"do": "say", "text": "Hello."}']) as second:
        models = [entry("alpha", first.url), entry("beta", second.url, output="json")]
        told(tower, models, model="alpha", fallback_models=["beta"])
        tower.start([HEAR], agent_kind="model")
        drain()

    assert "tools" in first.asked[0]
    assert "response_format" in second.asked[0]


def test_where_a_model_is_asked_is_looked_up_once_a_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its key may lie in a file."""
    looked_up = []
    monkeypatch.setattr(
        agents, "reach", lambda name, known: looked_up.append(name) or reach(name, known)
    )
    with serve(["Hello."]) as model:
        known = {"careful": terms_of(entry("careful", model.url), 1)}
        question = Question(["careful"], "Be brief.", [], [], timeout_s=5, known=known)
        result, thought = asyncio.run(agents.think(question))

    assert (result.ending, looked_up) == (Ending.ANSWERED, ["careful"])
    assert thought is not None
    assert (thought.catalog_model, thought.degraded) == ("careful v1", False)


def test_without_its_key_nothing_is_sent_and_the_run_says_so(tower: Tower, settings: Any) -> None:
    with serve(["Hello."]) as model:
        told(
            tower,
            [entry("careful", model.url, key={"env": "TOWER_MODEL_KEY_NONE"})],
            model="careful",
        )
        tower.start([HEAR], agent_kind="model")
        drain()

    step = Step.objects.get()
    assert model.asked == []
    assert (step.state, step.error_class) == ("failed", "model_key")
    assert "TOWER_MODEL_KEY_NONE, which is not set" in step.error
    assert Run.objects.get().state == "failed"


def test_a_blocked_host_is_never_called(tower: Tower, settings: Any) -> None:
    with serve(["Hello."]) as model:
        told(tower, [entry("careful", model.url)], model="careful")
        settings.CATALOG_HOSTS = ["api.example.com"]
        tower.start([HEAR], agent_kind="model")
        drain()

    assert model.asked == []
    step = Step.objects.get()
    assert step.error_class == "model_blocked"
    assert "TOWER_CATALOG_HOSTS" in step.error


def test_a_name_that_leads_to_a_private_address_is_not_connected_to(
    tower: Tower, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The address is judged, not the name."""
    monkeypatch.setenv("TOWER_MODEL_KEY_CAREFUL", CANARY)
    with serve(["Hello."]) as model:
        url = model.url.replace("127.0.0.1", "provider.invalid")
        key = {"env": "TOWER_MODEL_KEY_CAREFUL"}
        told(tower, [entry("careful", url, key=key)], model="careful")
        real = socket.getaddrinfo

        def looked_up(host: Any, *args: Any, **more: Any) -> Any:
            return real("127.0.0.1" if "invalid" in str(host) else host, *args, **more)

        monkeypatch.setattr(socket, "getaddrinfo", looked_up)
        tower.start([HEAR], agent_kind="model")
        drain()

    assert model.asked == []
    step = Step.objects.get()
    assert step.error_class == "model_blocked"
    assert "a private address that TOWER_CATALOG_HOSTS doesn't list" in step.error


def test_a_silent_model_takes_no_longer_than_its_document_allows(
    tower: Tower, settings: Any
) -> None:
    def slow() -> str:
        time.sleep(2)
        return "late"

    with serve([slow]) as first, serve(["Hello."]) as second:
        models = [entry("alpha", first.url, timeout_s=0.3), entry("beta", second.url)]
        told(tower, models, model="alpha", fallback_models=["beta"])
        tower.start([HEAR], agent_kind="model")
        started = time.monotonic()
        drain()

    assert time.monotonic() - started < 2
    assert len(second.asked) == 1


def test_an_agent_of_the_released_state_still_asks_the_installations_provider(
    tower: Tower, settings: Any
) -> None:
    """A version without pins whose name the catalog holds by now."""
    with serve([]) as catalogs, serve(["Hello."]) as own:
        configure(settings, own.url)
        told(tower, [], model="careful")
        assert "models" not in pinned.agent_of_kind("retail", "model").document
        domain = pinned.agent_of_kind("retail", "model").agent.domain
        LanguageModel.objects.create(slug="careful", name="x", domain=domain)
        tower.start([HEAR], agent_kind="model")
        drain()

    assert catalogs.asked == []
    assert [m["model"] for m in own.asked] == ["careful"]
