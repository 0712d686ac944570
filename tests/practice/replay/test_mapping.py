"""Recordings of any domain, by the mapping in its pack; jobs by the request alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from apps.catalog.models import Domain
from controltower.practice.cases.scripts import recorded_case
from controltower.practice.cases.starting import new_run
from controltower.practice.replay.mapping import mappings
from controltower.practice.replay.running import Replay
from tests.factories.catalog import CONTRACT, PACK, apply_toys, write_pack

pytestmark = pytest.mark.django_db
AGENTS = [*PACK["agents"], {"slug": "toys-recorded", "name": "Recorded", "kind": "recorded"}]
REPLAY = {
    "recordings": ["toy-shop"],
    "tools": {"giveBack": "refund"},
    "request": "opening",
    "jobs": [{"job": "toys-refund", "when": r"\bmoney back\b"}],
    "otherwise": "toys-look",
}
LOOK = CONTRACT.replace("job: toys-refund", "job: toys-look").replace(
    "  when_any_of: [refund]\n", ""
)
EPISODE: dict[str, Any] = {
    "episode_id": "e1",
    "domain": "toy-shop",
    "model": "m",
    "opening": "I want my money back",
    "steps": [
        {"i": 0, "role": "user", "content": "Hello"},
        {"i": 1, "role": "tool", "tool": "giveBack", "args": {"order_id": "A1"}},
    ],
}


def apply_toy_shop(tmp_path: Path) -> None:
    jobs = ["jobs/refund.yaml", "jobs/look.yaml"]
    change = {"agents": AGENTS, "replay": REPLAY, "jobs": jobs}
    folder = write_pack(tmp_path, change=change)
    (folder / "jobs" / "look.yaml").write_text(LOOK)
    call_command("catalog", "apply", str(folder))


def chosen(episode: dict[str, Any]) -> str:
    known = mappings()
    episode = dict(known.translated(episode))
    case = recorded_case(episode, world="w", mapping=known.of(episode["domain"]))
    return new_run(case, source="replay").job_slug


def test_a_domain_of_the_catalog_is_read_by_its_own_mapping(tmp_path: Path) -> None:
    apply_toy_shop(tmp_path)

    known = mappings()

    assert known.domains == {"toys": "toys", "toy-shop": "toys"}
    case = recorded_case({**EPISODE, "domain": "toys"}, world="w", mapping=known.of("toys"))
    assert (case.request, case.tools) == ("I want my money back", {"refund"})
    assert chosen(EPISODE) == "toys-refund"


@pytest.mark.parametrize("tool", ["giveBack", "find_order", "something_else"])
def test_the_tools_that_a_recording_uses_choose_no_job(tool: str, tmp_path: Path) -> None:
    apply_toy_shop(tmp_path)
    steps = [EPISODE["steps"][0], {**EPISODE["steps"][1], "tool": tool}]

    assert chosen({**EPISODE, "steps": steps}) == "toys-refund"
    assert chosen({**EPISODE, "steps": steps, "opening": "Where is my toy?"}) == "toys-look"


def test_a_pack_without_a_mapping_has_its_recordings_read_as_they_are(tmp_path: Path) -> None:
    apply_toys(tmp_path, change={"agents": AGENTS})

    assert mappings().domains == {"toys": "toys"}
    assert chosen({**EPISODE, "domain": "toys"}) == "toys-refund"


def test_another_mapping_is_a_change_and_the_same_one_is_none(tmp_path: Path) -> None:
    apply_toy_shop(tmp_path)
    assert Domain.objects.get(slug="toys").replay == REPLAY

    one, other = {"recordings": ["shop"]}, {"recordings": ["toy-shop"]}
    assert _changed(apply_toys(tmp_path, change={"agents": AGENTS, "replay": one}))
    assert not _changed(apply_toys(tmp_path, change={"agents": AGENTS, "replay": one}))
    assert _changed(apply_toys(tmp_path, change={"agents": AGENTS, "replay": other}))


def _changed(report: Any) -> bool:
    return any(x.what == "domain" and x.change != "unchanged" for x in report.lines)


def test_recordings_of_an_unknown_domain_are_named(tmp_path: Path) -> None:
    apply_toy_shop(tmp_path)
    path = tmp_path / "e.jsonl"
    path.write_text(json.dumps({**EPISODE, "domain": "bank"}))

    with pytest.raises(CommandError, match=r"domain “bank” has no pack \(known: toy-shop, toys\)"):
        call_command("replay", str(path))


def test_without_a_domain_there_is_nothing_to_replay_against(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="apply a pack first"):
        call_command("replay", str(tmp_path / "e.jsonl"))


def test_the_ledger_is_asked_of_the_tool_that_the_pack_names(tmp_path: Path) -> None:
    apply_toys(tmp_path, change={"agents": AGENTS, "replay": {"ledger": "find_order"}})

    found = Replay(episodes=[{"domain": "toys"}], mappings=mappings()).ledgers()

    assert found == {"toys": "find_order"}
