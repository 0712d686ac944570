"""A system of record that can't say what a change would do, met by the engine: the change waits for
a person, who is told what is missing, and nothing else waits with it."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from apps.audit.domain.actors import Actor
from apps.catalog.selectors import pinned
from apps.oversight.models import Approval
from apps.policy.models import Decision, PolicySet
from apps.policy.services import simulate
from apps.runs.engine import commit
from apps.runs.models import Run, Step
from apps.runs.services import NewRun, start_runs
from tests.engine import telco
from tests.engine.conftest import _apply
from tests.engine.shop import call
from tests.engine.test_drain import answer, drain

TIMED_OUT = telco.HANGS
FACTS = {"gigabytes": 1, "owner": "ada", "cents": 500}
CHANGES = [{"path": "/lines/ada/data", "before": 0, "after": 1}]


def told(**facts: Any) -> dict[str, Any]:
    return {"changes": CHANGES, "facts": {**FACTS, **facts}}


def without(name: str) -> dict[str, Any]:
    return {"changes": CHANGES, "facts": {k: v for k, v in FACTS.items() if k != name}}


@pytest.fixture
def desk(transactional_db: None, tmp_path: Path, settings: Any) -> Path:
    settings.TOOL_SERVERS = {"telco": "python:tests.engine.telco"}
    telco.ORDERS.clear()
    telco.ASKED.clear()
    telco.DRY_RUNS.clear()
    applied(telco.write_pack(tmp_path))
    return tmp_path


def applied(pack: Path) -> None:
    with ThreadPoolExecutor(1) as thread:
        thread.submit(_apply, pack).result()


def start(tool: str, dry_runs: Mapping[str, Any]) -> dict[str, UUID]:
    """One run a line, about the 50 GB that somebody wants; lines and what their dry run does."""
    telco.DRY_RUNS.update(dry_runs)
    contract = pinned.current_contract("telco-data")
    agent = pinned.agent_of_kind("telco", "reference")
    runs = start_runs(
        [
            NewRun(
                job_slug="telco-data",
                contract_version_id=contract.pk,
                agent_version_id=agent.pk,
                agent_kind="reference",
                agent_label="test",
                items=[call(tool, 0, line=line, size=50), {"done": "ordered"}],
                domain_slug="telco",
                contract_number=contract.number,
                customer=line,
                context={"world": f"test/{line}"},
            )
            for line in dry_runs
        ],
        actor=Actor.user("test"),
    )
    return dict(zip(dry_runs, runs, strict=True))


def gates(runs: Mapping[str, UUID]) -> dict[str, str]:
    found = dict(Step.objects.filter(run_id__in=runs.values()).values_list("run_id", "gate"))
    return {line: found[run_id] for line, run_id in runs.items()}


def came(approval: Approval) -> dict[str, str]:
    return {gap["name"]: gap["came"] for gap in approval.rules[0]["unknown"]}


LIST = "a list that holds something else than texts"
ODD: dict[str, tuple[Any, str, str]] = {
    "hangs": (TIMED_OUT, "preview", "no answer in 1 s"),
    "errs": (RuntimeError("no route to the billing system"), "preview", "no route"),
    "refuses": (ValueError("not today"), "preview", "not today"),
    "a list": (["balance 5 -> 4"], "preview", "answered a list of texts instead of an object"),
    "nothing": ({}, "gigabytes", "nothing"),
    "no facts": ({"changes": CHANGES}, "owner", "nothing"),
    "facts as text": ({"changes": CHANGES, "facts": "gigabytes"}, "gigabytes", "nothing"),
    "one missing": (without("gigabytes"), "gigabytes", "nothing"),
    "text": (told(gigabytes="50"), "gigabytes", "the text “50”"),
    "null": (told(gigabytes=None), "gigabytes", "null"),
    "half": (told(gigabytes=50.5), "gigabytes", "the number 50.5"),
    "beyond": (told(gigabytes=2**63), "gigabytes", "a number beyond 64 bits"),
    "object": (told(gigabytes={"$int": "1"}), "gigabytes", "an object"),
    "deep": (told(owner=[[[[]]]]), "owner", LIST),
    "mixed": (told(owner=["x", 5]), "owner", LIST),
    "optional": (told(plan=7), "plan", "the number 7"),
}


def test_large_previews_are_taken_one_a_commit_and_small_ones_beside_them(
    desk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An answer may have 4 MB, and a commit copies what it takes several times."""
    texts = ["x" * 4000] * 900
    large = {f"large {i}": told(other=texts) for i in range(6)}
    small = {f"small {i}": told() for i in range(20)}
    taken: list[list[int]] = []
    whole = commit.commit

    def counted(cache: Any, finished: Any, inspected: Any, **named: Any) -> Any:
        taken.append([len(str(work.facts)) for work in inspected])
        return whole(cache, finished, inspected, **named)

    monkeypatch.setattr(commit, "commit", counted)
    runs = start("add_data", {**large, **small})

    drain(in_flight=64)

    found = [sum(s > 10**6 for s in some) for some in taken]
    assert (sum(found), max(found)) == (6, 1)
    assert max(map(len, taken)) > 5
    assert set(gates(runs).values()) == {"permit"}
    assert len(telco.ORDERS) == 26
    kept = Step.objects.get(run_id=runs["large 0"])
    assert kept.facts["other"] == texts


def test_what_is_not_known_waits_for_a_person_and_nothing_waits_with_it(desk: Path) -> None:
    """The order of 50 GB that went past the rule of two, since its dry run had timed out."""
    held = start("add_data", {line: reply for line, (reply, _, _) in ODD.items()})
    sound = start("add_data", {"small": told(), "large": told(gigabytes=50, cents=25_000)})
    reads = start("find_line", {"look": None})

    drain()

    assert gates(held) == dict.fromkeys(held, "hold")
    assert gates({**sound, **reads}) == {"small": "permit", "large": "deny", "look": "permit"}
    assert sorted(telco.ORDERS) == ["look", "small"]
    for line, (_, name, words) in ODD.items():
        approval = Approval.objects.get(run_id=held[line])
        assert approval.rules[0]["id"] == "facts-unknown"
        assert words in came(approval)[name], line


def test_what_a_person_approved_without_facts_runs_once(desk: Path) -> None:
    start("add_data", {line: reply for line, (reply, _, _) in ODD.items()})
    drain()

    for approval in Approval.objects.all():
        answer(approval, approve=True)
    drain()

    assert set(Run.objects.values_list("state", flat=True)) == {"succeeded"}
    assert sorted(telco.ORDERS) == sorted(ODD)
    assert sorted(telco.ASKED) == sorted([*ODD, *ODD])  # looked at anew before it runs
    assert Approval.objects.filter(consumed_at=None).count() == 0


def test_what_became_known_after_the_approval_is_judged_anew(desk: Path) -> None:
    runs = start("add_data", {"large": TIMED_OUT, "small": TIMED_OUT, "other": TIMED_OUT})
    drain()
    for approval in Approval.objects.all():
        answer(approval, approve=True)

    telco.DRY_RUNS.update({"large": told(gigabytes=50), "small": told(), "other": told(owner=7)})
    drain()

    assert gates(runs) == {"large": "deny", "small": "permit", "other": "hold"}
    assert telco.ORDERS == ["small"]
    assert Approval.objects.filter(consumed_at=None).count() == 4


def test_past_decisions_have_the_same_gaps_when_they_are_asked_again(desk: Path) -> None:
    start("add_data", {line: reply for line, (reply, _, _) in ODD.items()})
    start("add_data", {"small": told()})
    drain()
    [policy] = PolicySet.objects.all()

    found = simulate(policy, policy.versions.get().text)

    assert found.counts == {("hold", "hold"): len(ODD), ("permit", "permit"): 1}
    assert {d.request["v"] for d in Decision.objects.all()} == {2}


def test_where_no_facts_are_declared_the_changes_have_to_be_told(desk: Path) -> None:
    replies: dict[str, tuple[Any, str]] = {
        "told": ({"changes": CHANGES}, "permit"),
        "none": ({"changes": []}, "permit"),
        "refusal": ({"changes": [], "refusal": "The line is closed"}, "permit"),
        "words": ({"changes": ["balance 5 -> 4"]}, "hold"),
        "number": ({"changes": 7}, "hold"),
        "nothing": ({}, "hold"),
        "hangs": (TIMED_OUT, "hold"),
    }
    runs = start("rename_line", {line: reply for line, (reply, _) in replies.items()})

    drain()

    assert gates(runs) == {line: gate for line, (_, gate) in replies.items()}


def test_a_draft_that_declares_facts_is_looked_at_and_held(desk: Path) -> None:
    replies = {"held": {"changes": [], "facts": {}}, "free": {"changes": [], "facts": {"cents": 5}}}
    runs = start("note_order", replies)

    drain()

    assert gates(runs) == {"held": "hold", "free": "permit"}
    assert Approval.objects.get().arguments == {"line": "held", "size": 50}


def test_a_policy_may_let_the_tool_go_and_the_decision_says_so(desk: Path) -> None:
    applied(telco.write_pack(desk, may_go={"add_data": "Data is given back the same day."}))
    runs = start("add_data", {"hangs": TIMED_OUT})

    drain()

    assert gates(runs) == {"hangs": "permit"}
    rule = Decision.objects.get().rules[-1]
    assert rule["id"] == "may-go-without-facts"
    assert rule["reason"] == "Data is given back the same day."
    assert "no answer in 1 s" in rule["unknown"][0]["came"]
