"""The checker finds what it is there for: a healthy history has no violation, and each planted one
is found under its own number."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from apps.audit.domain.chain import GENESIS, link
from apps.oversight.domain.binding import binding, binding_digest
from apps.runs.domain.states import TRANSITIONS
from controltower.practice.world.records import args_digest
from tests.faults.checker import INVARIANTS, check
from tests.faults.evidence import Evidence
from tests.faults.proxy import Arrival, CallReader

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
RUN, STEP, PLAIN, APPROVAL = UUID(int=1), UUID(int=2), UUID(int=3), UUID(int=4)
LEGAL = {(old.value, new.value) for old, news in TRANSITIONS.items() for new in news}
ARGUMENTS = {"order_id": "#D"}
BOUND = binding(
    tool="retail/return", tool_fingerprint="f", contract_digest="c", policy_digest="p",
    agent="a", subject="s", arguments=ARGUMENTS, run_id=str(RUN),
)  # fmt: skip


def ago(seconds: float) -> datetime:
    return NOW - timedelta(seconds=seconds)


def step(step_id: UUID, **changes: Any) -> dict[str, Any]:
    row = {
        "id": step_id, "run_id": RUN, "seq": 1, "kind": "tool", "tool_name": "return",
        "effect": "write", "idempotency": "keyed", "arguments": ARGUMENTS,
        "idempotency_key": "k1", "state": "succeeded", "disposition": "executed",
        "compensates_id": None, "deduplicated_from": None, "inherited_from": None,
        "lease_until": None,
    }  # fmt: skip
    return row | changes


def move(kind: str, subject: UUID, old: str | None, new: str, xact: str) -> dict[str, Any]:
    return {
        "kind": kind, "subject": subject, "run_id": RUN, "old": old, "new": new, "xact": xact,
        "at": NOW,
    }  # fmt: skip


def event(kind: str, subject: UUID, xact: str) -> dict[str, Any]:
    return {"event": 1, "kind": kind, "subject": str(subject), "run_id": RUN, "xact": xact}


def chain() -> list[tuple[int, str, dict[str, Any]]]:
    rows, previous = [], GENESIS
    for position in (1, 2, 3):
        content = {"id": position, "kind": "run.accepted"}
        previous = link(previous, position, content)
        rows.append((position, previous, content))
    return rows


def healthy() -> Evidence:
    """One run with an approved keyed mutation and an unkeyed one, all as it should be."""
    effect = {"world": "w", "tool": "return", "args_digest": args_digest(ARGUMENTS)}
    unkeyed = step(
        PLAIN, seq=2, tool_name="move", idempotency="none", idempotency_key="k2", arguments={"n": 1}
    )
    moved = {"world": "w", "tool": "move", "args_digest": args_digest({"n": 1})}
    at = ago(5).isoformat()
    return Evidence(
        now=NOW,
        runs={RUN: {"id": RUN, "state": "succeeded", "world": "w"}},
        steps={STEP: step(STEP), PLAIN: unkeyed},
        intents=[
            {"key": "k1", "run_id": RUN, "step_id": STEP, "approval_id": APPROVAL,
             "created_at": ago(8)},
            {"key": "k2", "run_id": RUN, "step_id": PLAIN, "approval_id": None,
             "created_at": ago(8)},
        ],
        scripts={RUN: ["return", "move"]},
        receipts={STEP: {"step_id": STEP}, PLAIN: {"step_id": PLAIN}},
        approvals={
            APPROVAL: {
                "id": APPROVAL, "run_id": RUN, "step_id": STEP, "state": "approved",
                "consumed_at": ago(8), "binding": BOUND, "digest": binding_digest(BOUND),
                "votes_required": 1,
            }
        },
        votes=[
            {"approval_id": APPROVAL, "user_id": 7, "approve": True, "user__username": "ida",
             "digest": binding_digest(BOUND)}
        ],
        holds={STEP},
        starters={RUN: "desk"},
        publications=[{"id": 1, "author_id": 1, "approver_id": 2}],
        transitions=[
            move("run", RUN, None, "accepted", "1"),
            move("run", RUN, "accepted", "queued", "1"),
            move("step", STEP, None, "queued", "1"),
            move("run", RUN, "queued", "running", "2"),
            move("step", STEP, "queued", "running", "2"),
            move("approval", APPROVAL, None, "pending", "2"),
            move("approval", APPROVAL, "pending", "approved", "3"),
            move("step", STEP, "running", "succeeded", "4"),
            move("step", PLAIN, None, "running", "4"),
            move("step", PLAIN, "running", "succeeded", "5"),
            move("run", RUN, "running", "succeeded", "5"),
        ],
        events=[
            event("run.accepted", RUN, "1"),
            event("approval.requested", APPROVAL, "2"),
            event("approval.approved", APPROVAL, "3"),
            event("step.succeeded", STEP, "4"),
            event("step.succeeded", PLAIN, "5"),
            event("run.succeeded", RUN, "5"),
        ],
        legal=set(LEGAL),
        chain=chain(),
        ledger=[
            {"seq": 1, "key": "k1", "at": at, **effect},
            {"seq": 2, "key": "k2", "at": at, **moved},
        ],
        arrivals=[Arrival(1.0, "return", "w", "k1"), Arrival(2.0, "move", "w", "k2")],
        accepted=[RUN],
        sockets=[{"runs": 9}],
        heads={"runs": 9},
    )  # fmt: skip


def test_a_healthy_history_has_no_violation() -> None:
    assert check(healthy()) == []


def _second_effect(e: Evidence) -> None:
    e.ledger.append(dict(e.ledger[0]))


def _other_key(e: Evidence) -> None:
    e.ledger.append({**e.ledger[1], "key": "k3"})
    e.intents.append({**e.intents[1], "key": "k3"})


def _sent_again(e: Evidence) -> None:
    e.arrivals.append(replace(e.arrivals[1], at=3.0))


def _skipped(e: Evidence) -> None:
    e.scripts[RUN].insert(1, "look")


def _cut_short(e: Evidence) -> None:
    e.scripts[RUN].append("look")


def _no_intent(e: Evidence) -> None:
    e.intents.pop()


def _intent_late(e: Evidence) -> None:
    e.intents[1]["created_at"] = ago(1)


def _other_arguments(e: Evidence) -> None:
    e.ledger[1]["args_digest"] = "0"


def _nobody_asked(e: Evidence) -> None:
    e.intents[0]["approval_id"] = None


def _used_late(e: Evidence) -> None:
    e.approvals[APPROVAL]["consumed_at"] = ago(1)


def _never_used(e: Evidence) -> None:
    e.approvals[APPROVAL]["consumed_at"] = None


def _digest_bent(e: Evidence) -> None:
    e.approvals[APPROVAL]["digest"] = "0"


def _approved_other(e: Evidence) -> None:
    e.steps[STEP]["arguments"] = {"order_id": "#P"}
    e.ledger[0]["args_digest"] = args_digest({"order_id": "#P"})


def _vote_for_other_digest(e: Evidence) -> None:
    e.votes[0]["digest"] = "0"


def _no_receipt(e: Evidence) -> None:
    del e.receipts[PLAIN]


def _receipt_of_a_failure(e: Evidence) -> None:
    e.steps[PLAIN]["state"] = "failed"
    e.transitions[9]["new"] = "failed"
    e.events[4]["kind"] = "step.failed"


def _dead_lease(e: Evidence) -> None:
    e.steps[PLAIN] |= {"state": "running", "lease_until": ago(36)}
    del e.receipts[PLAIN], e.transitions[9], e.events[4]


def _vanished(e: Evidence) -> None:
    e.accepted.append(uuid4())


def _forgotten(e: Evidence) -> None:
    e.runs[RUN]["state"] = "running"
    e.transitions.pop()
    e.events.pop()


def _voted_twice(e: Evidence) -> None:
    e.votes.append(dict(e.votes[0]))


def _asked_and_answered(e: Evidence) -> None:
    e.starters[RUN] = "user:ida"


def _own_publication(e: Evidence) -> None:
    e.publications[0]["approver_id"] = 1


def _broken_chain(e: Evidence) -> None:
    position, hashed, content = e.chain[1]
    e.chain = [e.chain[0], (position, hashed, {**content, "kind": "run.failed"}), e.chain[2]]


def _unsealed(e: Evidence) -> None:
    e.unsealed = 1


def _untold(e: Evidence) -> None:
    del e.events[3]


def _told_elsewhere(e: Evidence) -> None:
    e.events[3]["xact"] = "9"


def _told_twice(e: Evidence) -> None:
    e.events.append(dict(e.events[3]))


def _illegal(e: Evidence) -> None:
    e.transitions[9]["old"] = "queued"
    e.transitions[8]["new"] = "queued"


def _torn(e: Evidence) -> None:
    e.transitions[4]["old"] = "failed"


def _changed_silently(e: Evidence) -> None:
    e.runs[RUN]["state"] = "failed"


def _tables_differ(e: Evidence) -> None:
    e.legal.pop()


def _decided_twice(e: Evidence) -> None:
    e.transitions.append(move("approval", APPROVAL, "approved", "rejected", "6"))
    e.events.append(event("approval.rejected", APPROVAL, "6"))
    e.approvals[APPROVAL]["state"] = "rejected"


def _behind(e: Evidence) -> None:
    e.sockets[0]["runs"] = 8


PLANTED: list[tuple[str, Callable[[Evidence], None]]] = [
    ("I1", _second_effect),
    ("I1", _other_key),
    ("I1", _sent_again),
    ("I2", _no_intent),
    ("I2", _intent_late),
    ("I2", _other_arguments),
    ("I2", _nobody_asked),
    ("I2", _used_late),
    ("I2", _never_used),
    ("I2", _digest_bent),
    ("I2", _approved_other),
    ("I2", _vote_for_other_digest),
    ("I3", _no_receipt),
    ("I3", _receipt_of_a_failure),
    ("I4", _dead_lease),
    ("I5", _vanished),
    ("I5", _forgotten),
    ("I5", _skipped),
    ("I5", _cut_short),
    ("I6", _voted_twice),
    ("I6", _asked_and_answered),
    ("I6", _own_publication),
    ("I7", _broken_chain),
    ("I7", _unsealed),
    ("I7", _untold),
    ("I7", _told_elsewhere),
    ("I7", _told_twice),
    ("I8", _illegal),
    ("I8", _torn),
    ("I8", _changed_silently),
    ("I8", _tables_differ),
    ("I8", _decided_twice),
    ("I9", _behind),
]


@pytest.mark.parametrize(("number", "plant"), PLANTED, ids=[p.__name__ for _, p in PLANTED])
def test_a_planted_violation_is_found(number: str, plant: Callable[[Evidence], None]) -> None:
    evidence = copy.deepcopy(healthy())

    plant(evidence)

    assert number in {found.invariant for found in check(evidence)}


def test_every_invariant_has_a_planted_violation() -> None:
    assert {number for number, _ in PLANTED} == set(INVARIANTS)


def test_calls_on_the_wire_are_read_however_they_are_cut() -> None:
    body = (
        b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"move","arguments":{},'
        b'"_meta":{"world":"w","idempotency_key":"k"}}}'
    )
    request = b"POST /mcp HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    reader, found = CallReader(), []
    for at in range(0, 2 * len(request), 7):
        found += reader.feed((request * 2)[at : at + 7])

    assert [(a.tool, a.world, a.key) for a in found] == [("move", "w", "k")] * 2
