"""The nine invariants that hold after every fault, whatever happened in between.

Each is a function from evidence to violations. They trust the outside first: the tool service's
ledger, the wire before it, and what clients were told; then the database's rows, and the
database's own record of who changed which state in which transaction.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from apps.audit.domain.chain import first_break
from apps.oversight.domain.binding import binding_digest, exact
from apps.runs.domain.states import TERMINAL, TRANSITIONS, State
from controltower.practice.world.records import args_digest
from tests.faults.evidence import Evidence, Row

DEAD_LEASE = timedelta(seconds=35)
BORN = {"run": {"accepted", "queued", "running", "shed"}, "approval": {"pending"}}
# Claims and returns to the queue are told by the attempt's own row (the span); every state that
# lasts, and every answer, is told by an audit event in the transaction that made it.
TOLD = {
    "run": {s.value for s in State} - {"queued", "running"},
    "step": {s.value for s in State} - {"accepted", "queued", "running", "waiting_approval"},
    "approval": {"pending", "approved", "rejected", "expired", "void"},
}
TURNED_AWAY = {408, 425, 429}


@dataclass(frozen=True, slots=True)
class Violation:
    """An invariant that does not hold, of what, and how."""

    invariant: str
    subject: str
    problem: str

    def __str__(self) -> str:
        return f"{self.invariant} {self.subject}: {self.problem}"


def check(evidence: Evidence) -> list[Violation]:
    """All violations of all invariants; empty when all hold."""
    return [found for invariant in INVARIANTS.values() for found in invariant(evidence)]


# --- I1 -------------------------------------------------------------------------------------------


def effects_once(e: Evidence) -> Iterator[Violation]:
    """A keyed mutation has at most one effect; an unkeyed one is never sent again by itself."""
    by_key = Counter((x["world"], x["key"]) for x in e.ledger if x["key"])
    for (world, key), count in by_key.items():
        if count > 1:
            yield Violation("I1", f"{world} {key[:12]}", f"{count} effects of one key")
    # A second key for the same mutation would get past the service's own memory. What an undoing
    # puts back may well be what an earlier step had done: it counts for the step that it undoes.
    world_of = {i: r["world"] for i, r in e.runs.items()}
    steps = {(world_of[i["run_id"]], i["key"]): e.steps[i["step_id"]] for i in e.intents}
    by_deed: Counter[tuple[Any, ...]] = Counter()
    for x in e.ledger:
        undoes = steps.get((x["world"], x["key"]), {}).get("compensates_id")
        by_deed[(x["world"], x["tool"], x["args_digest"], undoes)] += 1
    for (world, tool, *_), count in by_deed.items():
        if count > 1:
            yield Violation("I1", f"{world} {tool}", f"{count} equal effects in one run")
    yield from _sent_once(e)


def _sent_once(e: Evidence) -> Iterator[Violation]:
    world_of = {i: r["world"] for i, r in e.runs.items()}
    arrived = Counter((a.world, a.tool, a.key) for a in e.arrivals)
    for step in e.steps.values():
        if step["idempotency"] == "keyed" or step["effect"] not in {"write", "irreversible"}:
            continue
        allowed = 1 + _asked_again(e, step) + _turned_away(e, step)
        seen = arrived[(world_of[step["run_id"]], step["tool_name"], step["idempotency_key"])]
        if seen > allowed:
            said = f"sent {seen} times, {allowed} allowed, though it takes no key"
            yield Violation("I1", _name(step), said)


def _asked_again(e: Evidence, step: Row) -> int:
    words = {"try_again", "absent"}
    return sum(
        f["step_id"] == step["id"] and f["word"] in words and f["settled"] for f in e.findings
    )


def _turned_away(e: Evidence, step: Row) -> int:
    return sum(
        a["step_id"] == step["id"]
        and (a["http_status"] in TURNED_AWAY or a["error_class"] == "not_connected")
        for a in e.attempts
    )


# --- I2 -------------------------------------------------------------------------------------------


def effects_allowed(e: Evidence) -> Iterator[Violation]:
    """Each effect was intended first, and approved first where a person had to."""
    world_of = {i: r["world"] for i, r in e.runs.items()}
    intents = {(world_of[i["run_id"]], i["key"]): i for i in e.intents}
    for effect in e.ledger:
        if effect["tool"].startswith("tower_"):
            continue
        intent = intents.get((effect["world"], effect["key"]))
        if intent is None:
            yield Violation(
                "I2", f"{effect['world']} {effect['tool']}", "an effect nobody intended"
            )
            continue
        step = e.steps[intent["step_id"]]
        at = datetime.fromisoformat(effect["at"])
        if intent["created_at"] > at:
            yield Violation("I2", _name(step), "the effect was before the intent")
        if args_digest(step["arguments"]) != effect["args_digest"]:
            yield Violation("I2", _name(step), "the effect has other arguments than the step")
        yield from _approved(e, step, intent, at)


def _approved(e: Evidence, step: Row, intent: Row, at: datetime) -> Iterator[Violation]:
    if step["id"] not in e.holds:
        return
    approval = e.approvals.get(intent["approval_id"])
    if approval is None:
        yield Violation("I2", _name(step), "policy wanted a person, and nobody was asked")
    elif approval["consumed_at"] is None or approval["consumed_at"] > at:
        yield Violation("I2", _name(step), "its approval was not used up before the effect")
    elif approval["digest"] != binding_digest(approval["binding"]):
        yield Violation("I2", _name(step), "the approval's digest is not that of its binding")
    elif approval["binding"]["arguments"] != exact(step["arguments"]):
        yield Violation("I2", _name(step), "other arguments were approved")
    else:
        voted = [v for v in e.votes if v["approval_id"] == approval["id"] and v["approve"]]
        counted = [v for v in voted if v["digest"] == approval["digest"]]
        if len(counted) < approval["votes_required"]:
            yield Violation("I2", _name(step), "fewer votes for this digest than required")


# --- I3 -------------------------------------------------------------------------------------------


def receipts(e: Evidence) -> Iterator[Violation]:
    """A tool's step succeeded if, and only if, there is a receipt for it."""
    for step in e.steps.values():
        if step["kind"] != "tool":
            continue
        has = _receipted(e, step)
        done = step["state"] in {"succeeded", "compensating", "compensated"}
        if done and not has:
            yield Violation("I3", _name(step), f"{step['disposition']} without a receipt")
        if step["id"] in e.receipts and not done:
            yield Violation("I3", _name(step), f"a receipt, but {step['state']}")


def _receipted(e: Evidence, step: Row) -> bool:
    if step["disposition"] == "deduplicated":
        return step["deduplicated_from"] in e.receipts
    if step["disposition"] == "inherited":  # the parent's may be older than what was gathered
        origin = step["inherited_from"]
        return origin in e.receipts or (origin is not None and origin not in e.steps)
    return step["id"] in e.receipts


# --- I4, I5 ---------------------------------------------------------------------------------------


def leases_live(e: Evidence) -> Iterator[Violation]:
    """No step is running under a lease that has been dead for long."""
    for step in e.steps.values():
        if step["state"] != "running":
            continue
        until = step["lease_until"]
        if until is None or e.now - until > DEAD_LEASE:
            yield Violation("I4", _name(step), f"running, its lease ended {until}")


def nothing_vanished(e: Evidence) -> Iterator[Violation]:
    """What was accepted is there, and came to an end or waits where somebody can see it."""
    for run_id in e.accepted:
        if run_id not in e.runs:
            yield Violation("I5", f"run {run_id}", "accepted, and gone")
    open_steps = defaultdict(list)
    for step in e.steps.values():
        open_steps[step["run_id"]].append(step["state"])
    for run_id, run in e.runs.items():
        states = open_steps[run_id]
        if not _rests(run, states):
            yield Violation("I5", f"run {run_id}", f"{run['state']} with steps {Counter(states)}")
    yield from _nothing_skipped(e)


def _nothing_skipped(e: Evidence) -> Iterator[Violation]:
    """Steps are what the script proposes, in its order and without a gap; all of it where the run
    succeeded."""
    done = defaultdict(list)
    for step in sorted(e.steps.values(), key=lambda s: s["seq"]):
        if step["kind"] == "tool" and not step["compensates_id"]:
            done[step["run_id"]].append(step["tool_name"])
    for run_id, script in e.scripts.items():
        found = done[run_id]
        whole = e.runs[run_id]["state"] != "succeeded" or len(found) == len(script)
        if found != script[: len(found)] or not whole:
            yield Violation("I5", f"run {run_id}", f"steps {found} of the script {script}")


def _rests(run: Row, steps: list[str]) -> bool:
    if run["state"] in TERMINAL:
        return not {"queued", "waiting_approval"} & set(steps)
    if run["state"] in {"waiting_approval", "confirmation_unknown"}:
        return run["state"] in steps
    if run["state"] == "compensating":
        return bool({"confirmation_unknown", "compensating", "queued", "running"} & set(steps))
    return bool(run.get("paused_at") or run.get("deferred_until"))


# --- I6 -------------------------------------------------------------------------------------------


def votes_distinct(e: Evidence) -> Iterator[Violation]:
    """Votes are different people's, and nobody answers their own question."""
    seen = Counter((v["approval_id"], v["user_id"]) for v in e.votes)
    for (approval_id, user_id), count in seen.items():
        if count > 1:
            yield Violation("I6", f"approval {approval_id}", f"user {user_id} voted {count} times")
    for vote in e.votes:
        approval = e.approvals.get(vote["approval_id"])
        starter = e.starters.get(approval["run_id"], "") if approval else ""
        name = vote.get("user__username", "")
        if name and starter in {name, f"user:{name}"}:
            yield Violation("I6", f"approval {vote['approval_id']}", f"{name} asked and answered")
    for version in e.publications:
        if version["author_id"] is not None and version["author_id"] == version["approver_id"]:
            yield Violation("I6", f"version {version['id']}", "its author approved it")


# --- I7 -------------------------------------------------------------------------------------------


def told_in_the_chain(e: Evidence) -> Iterator[Violation]:
    """The audit chain verifies, and each lasting change of state has its event in the transaction
    that made it: neither none nor two."""
    if broken := first_break(e.chain):
        yield Violation("I7", f"position {broken.position}", broken.problem)
    if e.unsealed:
        yield Violation("I7", "chain", f"{e.unsealed} events are not sealed")
    said = Counter((x["xact"], x["subject"], x["kind"].split(".", 1)[0]) for x in e.events)
    made: Counter[tuple[str, str, str]] = Counter()
    for t in e.transitions:
        begins = t["kind"] == "run" and t["old"] is None
        if begins or t["new"] in TOLD[t["kind"]]:
            made[(t["xact"], str(t["subject"]), t["kind"])] += 1
    words = {(t["xact"], str(t["subject"]), t["kind"]): t for t in e.transitions}
    for which, count in made.items():
        if said[which] < count:
            t = words[which]
            move = f"{t['old']} → {t['new']}: {said[which]} audit events, {count} wanted"
            yield Violation("I7", f"{t['kind']} {t['subject']}", move)
    yield from _told_twice(e)


def _told_twice(e: Evidence) -> Iterator[Violation]:
    states = {k: {f"{k}.{s}" for s in news} for k, news in TOLD.items()}
    ends = Counter(
        (x["subject"], x["kind"], x["xact"])
        for x in e.events
        if x["kind"] in states.get(x["kind"].split(".", 1)[0], ())
    )
    for (subject, kind, _), count in ends.items():
        if count > 1:
            yield Violation("I7", f"{kind} {subject}", f"told {count} times in one transaction")


# --- I8 -------------------------------------------------------------------------------------------


def along_the_graph(e: Evidence) -> Iterator[Violation]:
    """States changed only as the table of legal transitions says, from birth to now; and the
    database's table is the domain's."""
    domain = {(old.value, new.value) for old, news in TRANSITIONS.items() for new in news}
    if e.legal != domain:
        yield Violation("I8", "table", f"database and domain differ: {sorted(e.legal ^ domain)}")
    last: dict[Any, str] = {}
    for t in e.transitions:
        yield from _one_move(t, last.get(t["subject"]), domain)
        last[t["subject"]] = t["new"]
    for kind, rows in (("run", e.runs), ("step", e.steps), ("approval", e.approvals)):
        for subject, row in rows.items():
            if last.get(subject) != row["state"]:
                said = f"is {row['state']}, but was last seen becoming {last.get(subject)}"
                yield Violation("I8", f"{kind} {subject}", said)


def _one_move(t: Row, before: str | None, domain: set[tuple[str, str]]) -> Iterator[Violation]:
    subject = f"{t['kind']} {t['subject']}"
    if t["old"] != before:
        yield Violation("I8", subject, f"went from {t['old']} though it was {before}")
    if t["old"] is None:
        if t["new"] not in BORN.get(t["kind"], {t["new"]}):
            yield Violation("I8", subject, f"was born {t['new']}")
    elif t["kind"] == "approval":
        if t["old"] != "pending" and (t["old"], t["new"]) != ("approved", "void"):
            yield Violation("I8", subject, f"went from {t['old']} to {t['new']}")
    elif (t["old"], t["new"]) not in domain:
        yield Violation("I8", subject, f"went from {t['old']} to {t['new']}")


# --- I9 -------------------------------------------------------------------------------------------


def clients_equal(e: Evidence) -> Iterator[Violation]:
    """Every live client knows each of its streams as far as the database does."""
    for number, seen in enumerate(e.sockets):
        for stream, seq in seen.items():
            if seq != e.heads.get(stream, 0):
                said = f"is at {seq} of {stream}, the database at {e.heads.get(stream, 0)}"
                yield Violation("I9", f"client {number}", said)


def _name(step: Row) -> str:
    return f"step {step['seq']} {step['tool_name']} of run {step['run_id']}"


INVARIANTS: dict[str, Callable[[Evidence], Iterator[Violation]]] = {
    "I1": effects_once,
    "I2": effects_allowed,
    "I3": receipts,
    "I4": leases_live,
    "I5": nothing_vanished,
    "I6": votes_distinct,
    "I7": told_in_the_chain,
    "I8": along_the_graph,
    "I9": clients_equal,
}
