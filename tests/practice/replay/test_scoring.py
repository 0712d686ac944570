from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema

from controltower.practice.replay import scoring
from controltower.practice.replay.scoring import Done, Played, score


def episode(domain: str, *labels: str) -> dict[str, Any]:
    steps = [
        {"i": i, "role": "tool", "kind": "mutate", "tool": "t", "args": {}, "gt": label}
        for i, label in enumerate(labels)
    ]
    return {"domain": domain, "steps": steps, "reward": 1.0}


def test_shares_count_holds_and_denials_of_what_was_reached() -> None:
    played = [
        Played(
            episode("airline", "extra", "extra", "match", "match", "no_effect", "extra"),
            "succeeded",
            "resolved",
            2.0,
            {
                0: Done("t", {"n": 0}, "rejected", "rejected"),
                1: Done("t", {"n": 1}, "executed"),
                2: Done("t", {"n": 2}, "executed", "approved"),
                3: Done("t", {"n": 3}, "denied"),
                4: Done("t", {"n": 4}, "refused_by_tool"),
            },
        )
    ]

    card = score(played, seconds=2.0, steps=5, ledger={"effects": 2, "duplicates": 0})

    assert card["mutations"]["extra"] == {
        "executed": 1, "held": 1, "approved": 0, "rejected": 1,
        "denied": 0, "deduplicated": 0, "refused": 0,
    }  # fmt: skip
    assert card["mutations"]["match"]["held"] == card["mutations"]["match"]["approved"] == 1
    assert card["mutations"]["no_effect"]["refused"] == 1
    assert (card["wrong_stopped"], card["right_held"], card["right_denied"]) == (0.5, 0.5, 0.5)
    assert card["stopping"] == {"precision": 0.3333, "recall": 0.5}
    assert (card["not_reached"], card["steps_per_second"]) == (1, 2.5)
    assert card["outcomes_by_reward"] == {"success": {"resolved": 1}}


def test_only_a_repeat_of_something_carried_out_counts_as_a_repeat() -> None:
    same = {"order": 1}
    played = [
        Played(
            episode("retail", "match", "extra", "extra"),
            "succeeded",
            "resolved",
            1.0,
            {
                0: Done("t", same, "refused_by_tool"),
                1: Done("t", same, "executed"),
                2: Done("t", same, "deduplicated"),
            },
        )
    ]

    card = score(played, seconds=1.0, steps=3, ledger={"effects": 1, "duplicates": 0})

    assert card["repeats"] == {"total": 1, "deduplicated": 1}
    assert next(iter(card["by_domain"]["retail"])) == "distinct"
    assert card["by_domain"]["retail"]["distinct"] == card["distinct"] | {"mutations": 2}
    assert card["by_domain"]["retail"]["mutations"] == 3


def test_a_card_fits_its_published_schema() -> None:
    schema = Path(scoring.__file__).with_name("scorecard.schema.json").read_text()

    played = [
        Played(episode("airline", "extra"), "succeeded", "", 1.0, {0: Done("t", {}, "denied")})
    ]

    card = score(played, seconds=0.0, steps=0, ledger={"effects": 0, "duplicates": 0})

    assert card["by_domain"]["airline"]["distinct"]["wrong_stopped"] == 1.0
    jsonschema.validate(card | {"reviewer": "none", "curve": []}, json.loads(schema))
