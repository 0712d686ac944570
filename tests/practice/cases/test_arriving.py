from __future__ import annotations

import pytest

from controltower.practice.cases import arriving
from controltower.practice.cases.scripts import live_case
from tests.practice.cases.test_scripts import TASK


def test_a_live_case_tells_the_request_and_nothing_else() -> None:
    case = live_case(TASK, domain="retail", label="live model m", world="w")

    assert case.items == ({"hear": "You want to cancel.\n\nYou are Ana."},)
    assert (case.agent_kind, case.agent_label, case.customer) == ("model", "live model m", "ana_1")
    assert case.tools == {"get_user", "cancel"}


def test_every_sixth_case_is_for_the_live_model_where_there_is_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(arriving, "_tasks", lambda domain: [TASK])
    monkeypatch.setattr(arriving, "_recordings", lambda domain: ())
    monkeypatch.setattr(arriving.loading, "load_tool_schemas", lambda domain: [])

    def kinds(live: str) -> list[str]:
        return [arriving.case_number("retail", n, live=live).agent_kind for n in range(12)]

    assert kinds("live model m") == (["model"] + ["reference"] * 5) * 2
    assert kinds("") == ["reference"] * 12
