from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from controltower.practice.world.fidelity import SHARE_REQUIRED, equal_share, main, replay_file
from controltower.practice.world.loading import DOMAINS, data_dir


@pytest.mark.parametrize("domain", DOMAINS)
def test_recorded_calls_are_answered_as_recorded(domain: str) -> None:
    folder = data_dir()
    path = folder / f"episodes_{domain}.jsonl.gz" if folder else None
    if path is None or not path.is_file():
        pytest.skip("the recorded episodes are not on this machine (set TOWER_DATA)")

    outcomes = list(replay_file(path))

    assert len(outcomes) > 1000
    assert equal_share(outcomes) >= SHARE_REQUIRED


def step(number: int, tool: str, args: dict[str, Any], result: Any) -> dict[str, Any]:
    return {
        "i": number,
        "role": "tool",
        "actor": "agent",
        "tool": tool,
        "args": args,
        "result": result,
    }


@pytest.mark.usefixtures("fresh_retail")
def test_a_replay_keeps_state_counts_outages_and_explains_differences(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cancel = {"order_id": "#G", "reason": "no longer needed"}
    steps = [
        {"i": 0, "role": "user", "content": "hello"},
        step(1, "find_user_id_by_email", {"email": "ada@example.com"}, "ada_byron_1"),
        step(2, "get_order_details", {"order_id": "#G"}, "Error: 503 Service Unavailable"),
        step(3, "cancel_pending_order", cancel, {"status": "lost"}),
        step(4, "cancel_pending_order", cancel, "Error: non-pending order cannot be cancelled"),
    ]
    episode = {"episode_id": "e1", "suite": "tau-bench", "domain": "retail", "steps": steps}
    path = tmp_path / "episodes.jsonl.gz"
    path.write_bytes(gzip.compress(json.dumps(episode).encode()))

    verdicts = [outcome.verdict for outcome in replay_file(path)]
    code = main([str(path)])
    printed = capsys.readouterr().out

    assert verdicts == ["equal", "not_answered", "different", "equal"]
    assert code == 1
    assert "3 answered: 2 equal = 66.67%" in printed
    assert "e1 step 3 cancel_pending_order: " in printed
    assert "/status: recorded 'lost', replayed 'cancelled'" in printed
