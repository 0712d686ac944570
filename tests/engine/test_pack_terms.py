"""Fields of a pack hold: each is changed, and what happens changes with it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.scalarstring import LiteralScalarString

from apps.oversight.models import Approval
from apps.runs.models import Run, Step
from tests.engine.conftest import Tower, _apply
from tests.engine.model_server import serve
from tests.engine.shop import POLICY
from tests.engine.test_drain import drain, held
from tests.engine.test_model import HEAR, configure
from tests.engine.test_terms import DONE, move

ASKED = "return_delivered_order_items"


def again(tower: Tower, change: Any) -> Path:
    """Apply the shop's pack as ``change`` leaves it; returns its folder."""
    folder = tower.folder / "retail"
    pack = YAML().load(folder / "pack.yaml")
    change(pack)
    YAML().dump(pack, folder / "pack.yaml")
    with ThreadPoolExecutor(1) as thread:
        thread.submit(_apply, folder).result()
    return folder


def entry(pack: Any, name: str) -> Any:
    return next(t for t in pack["tools"] if t["name"] == name)


def test_a_question_is_asked_in_the_tools_words_with_its_amount(tower: Tower) -> None:
    def change(pack: Any) -> None:
        entry(pack, ASKED).update(
            sentence="Take {item_ids} back for {facts.amount_cents} cents",
            preview="tower_preview",
            facts={"amount_cents": "long"},
            amount="facts.amount_cents",
        )

    again(tower, change)

    asked = held(tower)

    assert asked.amount_cents
    assert asked.sentence == f"Take red back for {asked.amount_cents} cents"


def test_a_tools_effect_decides_which_rules_apply(tower: Tower) -> None:
    path = tower.folder / "retail" / "policies" / "retail.yaml"
    text = POLICY.replace(f'action == Action::"{ASKED}"', 'action in [Action::"irreversible"]')
    document = YAML().load(path)
    YAML().dump({**document, "policies": LiteralScalarString(text)}, path)
    again(tower, lambda pack: entry(pack, "modify_user_address").update(effect="irreversible"))
    tower.start([[move(1), DONE]])
    drain()
    assert Approval.objects.get().tool_name == "modify_user_address"
    Run.objects.update(state="cancelled")

    again(tower, lambda pack: entry(pack, "modify_user_address").update(effect="write"))
    tower.start([[move(1), DONE]])
    drain()

    assert Approval.objects.count() == 1
    assert Step.objects.filter(disposition="executed").count() == 1


def test_a_model_is_asked_as_its_agent_says(tower: Tower, settings: Any) -> None:
    wanted = {"temperature": 0.7, "max_tokens": 77, "seed": 5, "top_p": 0.9}

    def change(pack: Any) -> None:
        agent = pack["agents"][-1]
        agent.update(settings=wanted, model="first", fallback_models=["second"], prompt="other")
        pack["prompts"].append({"slug": "other", "file": "prompts/other.md"})

    (tower.folder / "retail" / "prompts" / "other.md").write_text("You mend clocks.\n")
    again(tower, change)
    with serve([500, "Hello."]) as model:
        configure(settings, model.url)
        tower.start([HEAR], agent_kind="model")
        drain()

    assert [asked["model"] for asked in model.asked] == ["first", "second"]
    assert set(model.keys) == {"Bearer k"}
    asked = model.asked[0]
    assert "You mend clocks." in str(asked["messages"][0])
    tokens = asked.get("max_completion_tokens", asked.get("max_tokens"))
    assert {**{name: asked.get(name) for name in wanted}, "max_tokens": tokens} == wanted
