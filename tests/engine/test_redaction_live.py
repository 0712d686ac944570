"""What a customer said before a live model named it is hidden too, once it is known."""

from __future__ import annotations

from typing import Any

from apps.redaction.domain.tokens import is_token
from apps.runs.models import Message, Run, RunScript, Step
from tests.engine.conftest import Tower
from tests.engine.model_server import serve
from tests.engine.shop import address
from tests.engine.test_drain import drain, ledger
from tests.engine.test_model import configure
from tests.engine.test_redaction import CANARY, CORE, assert_clean, stores
from tests.engine.test_terms import agreed


def test_what_a_live_model_names_is_hidden_in_what_was_said_before(
    tower: Tower, settings: Any
) -> None:
    agreed(tower, data={"redact": ["address1"]})
    move = ("modify_user_address", {**address(5), "address1": CANARY})
    look = ("get_user_details", {"user_id": "ada_byron_1"})
    with serve([[move], [look], f"Moved to {CANARY}."]) as model:
        configure(settings, model.url)
        tower.start(
            [[{"hear": f"Please move me to {CANARY}."}]],
            agent_kind="model",
            request=f"Please move me to {CANARY}.",
            input={"request": f"Please move me to {CANARY}."},
        )
        drain()

    run = Run.objects.get()
    assert (run.state, run.outcome) == ("succeeded", "resolved"), run.summary
    assert len(ledger(tower, run)) == 1
    assert is_token(Step.objects.get(tool_name="modify_user_address").arguments["address1"])
    assert CORE in str(model.asked[0]), "nobody knew it yet"
    assert_clean("what the model was told then", str(model.asked[1:]))
    assert_clean("stores", stores())
    assert Message.objects.filter(role="customer").get().content.startswith("Please move me to ⟦")
    assert len(RunScript.objects.get().items) == 5
