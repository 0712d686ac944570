"""The engine's one transaction: record what ended, carry the runs on, ask the gate, open intents.

``commit`` joins *record N* and *claim N+1*: results of finished attempts, the next steps of their
runs, policy decisions, intents and attempts of all of them become durable together, in a fixed
number of statements for the whole batch. Only after it has returned is anything sent.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from django.conf import settings

from apps.approvals import services as approvals
from apps.approvals.gate import Answer, gate_batch
from apps.audit.services import Fact, record_many
from apps.catalog.selectors import pinned as catalog
from apps.kernel.ids import new_id
from apps.kernel.transactions import command
from apps.runs import course, journal, reconcile
from apps.runs.domain.retry import Verdict, decide
from apps.runs.engine import asking, ending
from apps.runs.journal import breakers, claiming, compensating, forking, pressure
from apps.runs.models import Run, RunScript
from apps.runs.work import Action, Call, Claimed, Finished, Inspect, Settled, Think


class Batch:
    """One commit's worth of work."""

    def __init__(self, *, owner: str, lease_s: float, go_on: bool) -> None:
        self.owner = owner
        self.lease_s = lease_s
        self.go_on = go_on
        self.actions: list[Action] = []
        self.facts: list[Fact] = []

    # --- record -------------------------------------------------------------------------------

    def record(self, finished: Sequence[Finished]) -> list[Settled]:
        """Write down how attempts ended. Returns the steps that ended with them."""
        settled, requeues, attempts = [], [], []
        for done in finished:
            decision = self._decide(done)
            attempts.append(ending.attempt_row(done, decision.verdict))
            if decision.verdict is Verdict.RETRY:
                requeues.append(ending.requeue_row(done, decision.delay_s))
            else:
                settled.append(ending.settled(done, decision.verdict))
        journal.close_attempts(attempts)
        journal.requeue(requeues)
        breakers.note([ending.breaker_call(d) for d in finished if d.action.work.kind == "tool"])
        return self.settle(settled)

    def _decide(self, done: Finished) -> Any:
        work = done.action.work
        return decide(
            done.result.ending,
            attempt=done.action.number,
            policy=asking.tool_terms(work).retry,
            mutates=work.mutates,
            repeat_safe=work.idempotency in {"keyed", "lookup"},
            retry_after_s=done.result.retry_after_s,
            jitter=random.random(),  # noqa: S311  # spreads load, guards nothing
        )

    def settle(self, settled: Sequence[Settled]) -> list[Settled]:
        """End steps. One that was fenced off meanwhile is dropped: its new owner speaks for it."""
        ours = journal.settle([s.row() for s in settled])
        kept = [s for s in settled if s.work.step_id in ours]
        reconcile.close_late([s for s in settled if s.work.step_id not in ours])
        journal.add_receipts([s.receipt for s in kept if s.receipt])
        journal.free_intents([s.work.step_id for s in kept if s.disposition == "refused_by_tool"])
        forking.inherit([s for s in kept if s.inherited_from])
        self.facts += [ending.step_fact(s, self.owner) for s in kept]
        return kept

    # --- go on --------------------------------------------------------------------------------

    def advance(self, ended: Sequence[Settled]) -> list[Claimed]:
        """Carry the runs of ended steps on. Returns the next steps that this worker holds."""
        if not ended:
            return []
        self._append_thoughts(ended)
        stuck = {s.work.run_id: ending.stuck(s) for s in ended if ending.stuck(s)}
        runs = {r.id: r for r in Run.objects.filter(id__in={s.work.run_id for s in ended})}
        for step in ended:  # so that limits see what this turn used; the rows are counted below
            if step.thought:
                runs[step.work.run_id].tokens_in += step.thought.tokens_in
                runs[step.work.run_id].tokens_out += step.thought.tokens_out
        live = [r for r in runs.values() if r.state in {"queued", "running", "waiting_approval"}]
        undone = [r.id for r in runs.values() if r.state == "compensating"]
        compensating.carry_on(undone, actor=self.owner)
        path = course.plot([r for r in live if r.id not in stuck], notes=ending.notes(ended))
        for run in live:
            if run.id in stuck:
                path.runs[run.id] = course.run_row(run, **stuck[run.id])
        self._count(path.runs, ended)
        moved = journal.update_runs(list(path.runs.values()))
        self.facts += ending.run_facts(path.runs, runs, moved, self.owner)
        return self._begin(path, moved, runs)

    def _append_thoughts(self, ended: Sequence[Settled]) -> None:
        thoughts = {s.work.run_id: s.thought for s in ended if s.thought}
        scripts = RunScript.objects.filter(run_id__in=thoughts)
        journal.move_scripts(
            [
                {"run_id": s.run_id, "cursor": s.cursor, "more": list(thoughts[s.run_id].items)}
                for s in scripts
            ]
        )

    def _count(self, rows: Mapping[UUID, dict[str, Any]], ended: Sequence[Settled]) -> None:
        for step in ended:
            row = rows.get(step.work.run_id)
            if row is None:
                continue
            row["has_violation"] |= step.disposition == "denied"
            if step.thought:
                row["degraded"] |= step.thought.degraded
                row["tokens_in"] += step.thought.tokens_in
                row["tokens_out"] += step.thought.tokens_out
                row["cost_microusd"] = step.thought.cost_microusd

    def _begin(
        self, path: course.Course, moved: set[UUID], runs: Mapping[UUID, Run]
    ) -> list[Claimed]:
        journal.add_messages([m for m in path.messages if m["run_id"] in moved])
        journal.move_scripts([s for s in path.scripts if s["run_id"] in moved])
        rows = [s for s in path.steps if s["run_id"] in moved]
        lease_s = self.lease_s if self.go_on else None
        tokens = journal.add_steps(rows, owner=self.owner, lease_s=lease_s)
        if not self.go_on:
            return []
        works = [ending.claimed(row, runs[row["run_id"]], tokens[row["id"]]) for row in rows]
        return pressure.keep(works)

    # --- decide -------------------------------------------------------------------------------

    def sort(self, works: Sequence[Claimed]) -> tuple[list[Settled], list[Claimed]]:
        """Part claimed steps into those that end without a call, those whose effect has to be
        looked at first (they become ``Inspect`` actions) and those ready for the gate."""
        ended, left = self._end_without_call(works)
        ready = []
        for work in left:
            preview = asking.tool_document(work).get("preview") if work.mutates else None
            if work.intent_open or work.kind == "agent" or not preview or work.preview is not None:
                ready.append(work)
                continue
            server = catalog.tool_server(work.tool_version_id or 0)
            timeout_s = asking.tool_terms(work).timeout_s
            self.actions.append(Inspect(work, server, str(preview), timeout_s))
        return ended, ready

    def _end_without_call(self, works: Sequence[Claimed]) -> tuple[list[Settled], list[Claimed]]:
        states = approvals.states_of([w.approval_id for w in works if w.approval_id])
        pairs = [(w.run_id, w.idempotency_key) for w in works if w.mutates]
        owners = journal.owners_of(pairs)
        ended, left = [], []
        for work in works:
            owner = owners.get((work.run_id, work.idempotency_key)) if work.mutates else None
            end = (
                ending.overdue(work)
                or ending.answered(work, states)
                or ending.repeated(work, owner)
            )
            end = end or ending.malformed(work)
            (ended if end else left).append(end or work)  # type: ignore[arg-type]  # one of two
        return self.settle(ended), forking.await_others(left, owners)

    def gate(self, works: Sequence[Claimed]) -> list[Settled]:
        """Ask the gate about these steps and act on its answers. Permitted ones become actions;
        returns the steps that ended here (denied, or their mutation belongs to another step)."""
        again = [w for w in works if w.intent_open or w.kind == "agent"]
        fresh = [w for w in works if not w.intent_open and w.kind == "tool"]
        answers: dict[UUID, Answer] = {}
        if fresh:
            asks = asking.asks(fresh)
            answers = {a.step_id: b for a, b in zip(asks, gate_batch(asks), strict=True)}
            journal.note_gate([ending.gate_row(w, answers[w.step_id]) for w in fresh])
        self._hold([w for w in fresh if answers[w.step_id].answer == "hold"], answers)
        permitted = [w for w in fresh if answers[w.step_id].answer == "permit"]
        owned, lost = self._own(permitted, answers)
        self._start([*again, *owned])
        denied = [
            ending.denied(w, answers[w.step_id]) for w in fresh if ending.is_denied(w, answers)
        ]
        return self.settle([*denied, *lost])

    def _hold(self, works: Sequence[Claimed], answers: Mapping[UUID, Answer]) -> None:
        rows = [
            {
                "step_id": w.step_id,
                "run_id": w.run_id,
                "lease_token": w.lease_token,
                "approval_id": answers[w.step_id].approval_id,
            }
            for w in works
        ]
        held = journal.hold(rows)
        self.facts += [
            Fact(
                "run.waiting_approval",
                self.owner,
                "run",
                str(w.run_id),
                w.run_id,
                {"step": w.seq, "tool": w.tool_name},
            )
            for w in works
            if w.step_id in held
        ]

    def _own(
        self, works: Sequence[Claimed], answers: Mapping[UUID, Answer]
    ) -> tuple[list[Claimed], list[Settled]]:
        mutations = [w for w in works if w.mutates]
        owned = journal.open_intents(
            [
                {
                    "step_id": w.step_id,
                    "run_id": w.run_id,
                    "key": w.idempotency_key,
                    "lease_token": w.lease_token,
                    "approval_id": answers[w.step_id].approval_id,
                }
                for w in mutations
            ]
        )
        lost = [w for w in mutations if w.step_id not in owned]
        owners = journal.owners_of([(w.run_id, w.idempotency_key) for w in lost])
        lost = forking.await_others(lost, owners)
        ends = [ending.repeated(w, owners.get((w.run_id, w.idempotency_key))) for w in lost]
        return [w for w in works if not w.mutates or w.step_id in owned], [e for e in ends if e]

    def _start(self, works: Sequence[Claimed]) -> None:
        rows = []
        for work in works:
            attempt_id, number = new_id(), work.attempts_made + 1
            rows.append(
                {
                    "id": attempt_id,
                    "step_id": work.step_id,
                    "run_id": work.run_id,
                    "number": number,
                    "lease_token": work.lease_token,
                    "worker": self.owner,
                }
            )
            self.actions.append(_action(work, attempt_id, number))
        journal.open_attempts(rows)


@command
def claim_and_commit(
    lane: str, *, limit: int, owner: str, lease_s: float, alone: bool = False
) -> tuple[int, list[Action]]:
    """Claim due steps of a lane and take them as far as they go without the network. ``alone``:
    one suspect, which must have no company in this process. Returns how many were due, and what
    has to be done outside."""
    due = claiming.due(
        lane, limit=1 if alone else limit, engine_version=settings.ENGINE_VERSION, alone=alone
    )
    free, parked = pressure.part(due)
    claiming.park(parked)
    works = claiming.lease(free, owner=owner, lease_s=lease_s)
    batch = Batch(owner=owner, lease_s=lease_s, go_on=True)
    _run_to_actions(batch, ended=[], incoming=works, ready=[])
    return len(due), batch.actions


@command
def commit(
    finished: Sequence[Finished],
    inspected: Sequence[Claimed],
    *,
    owner: str,
    lease_s: float,
    go_on: bool,
) -> list[Action]:
    """Record ``finished`` attempts, take ``inspected`` steps through the gate and carry all their
    runs on. Returns what has to be done outside. Repeating a commit whose reply was lost is
    harmless: every write names a lease that the first one has ended."""
    batch = Batch(owner=owner, lease_s=lease_s, go_on=go_on)
    ended = batch.record(finished)
    _run_to_actions(batch, ended=ended, incoming=[], ready=list(inspected))
    return batch.actions


def _run_to_actions(
    batch: Batch, *, ended: list[Settled], incoming: list[Claimed], ready: list[Claimed]
) -> None:
    while ended or incoming or ready:
        incoming = [*incoming, *batch.advance(ended)]
        ended, direct = batch.sort(incoming)
        ended += batch.gate([*ready, *direct])
        incoming, ready = [], []
    record_many(batch.facts)


def _action(work: Claimed, attempt_id: UUID, number: int) -> Call | Think:
    if work.kind != "tool":
        return asking.think(work, attempt_id, number)
    server = catalog.tool_server(work.tool_version_id or 0)
    terms = asking.tool_terms(work)
    return Call(work, attempt_id, number, server, terms.timeout_s, terms.concurrency)
