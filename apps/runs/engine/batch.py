"""What one commit of the engine does with its steps: record, go on, decide, open intents.

A run's next step is decided before it is inserted (it is *pending* until then), so that the usual
step, permitted at once, is written once. Whatever else becomes of it goes the way of any step.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from uuid import UUID

from apps.audit.domain.actors import Actor
from apps.audit.services import Fact
from apps.calls.domain.retry import RetryDecision, RetryVerdict
from apps.catalog import adapters as servers
from apps.catalog.selectors import pinned as catalog
from apps.kernel.ids import new_id
from apps.oversight import services as approvals
from apps.oversight.gate import GateDecision, gate_batch
from apps.runs import course, journal, reconcile
from apps.runs.course import RunCache
from apps.runs.domain.results import Disposition
from apps.runs.domain.rows import AskedStep, LongerScript, MovedRun, NewAttempt, NewIntent, Owner
from apps.runs.domain.states import LIVE, UNDER_WAY, State
from apps.runs.engine import asking, deciding, ending, inspecting, progress
from apps.runs.journal import (
    barriers,
    bodies,
    breakers,
    budgets,
    claiming,
    clock,
    degrading,
    forking,
    parking,
    pressure,
    results,
    undoing,
    withholding,
)
from apps.runs.work import Action, Call, Claimed, Finished, Inspect, Settled, Think


class Batch:
    """One commit's worth of work."""

    def __init__(
        self,
        cache: RunCache,
        *,
        owner: str,
        lease_s: float,
        go_on: bool,
    ) -> None:
        self.cache = cache
        self.owner = owner
        self.actor = Actor.worker(owner)
        self.lease_s = lease_s
        self.go_on = go_on
        self.actions: list[Action] = []
        self.facts: list[Fact] = []
        self._attempts: list[NewAttempt] = []
        self._counted: list[NewAttempt] = []
        self._is_bounded = False  # caps and rates were asked for in this transaction already

    # --- record -------------------------------------------------------------------------------

    def put_back(self, finished: Sequence[Finished]) -> list[Finished]:
        """Attempts that really ended; calls that were withheld go back to the queue."""
        left = withholding.put_back(finished)
        if len(left) < len(finished):
            kept = {d.action.work.step_id for d in left}
            works = (d.action.work for d in finished)
            self.cache.drop(w.run_id for w in works if w.step_id not in kept)
        return left

    def record(self, finished: Sequence[Finished]) -> list[Settled]:
        """Write down how attempts ended. Returns the steps that ended with them."""
        settled, again = [], []
        for done, decision in deciding.decided(finished, self.cache):
            progress.board.db_runs(done.action.work.step_id.bytes)
            if decision.verdict is RetryVerdict.RETRY:
                again.append((done, decision))
            else:
                settled.append(ending.settled(done, decision.verdict))
        progress.board.db_runs(progress.NOBODY)
        self._requeue(again, finished)
        calls = [ending.breaker_call(d) for d in finished if d.action.work.kind != "agent"]
        barriers.wake_probers(breakers.note(calls))
        return self.settle(settled)

    def _requeue(
        self, again: Sequence[tuple[Finished, RetryDecision]], finished: Sequence[Finished]
    ) -> None:
        rows = budgets.ration(
            [ending.requeue_row(d, decision.delay_s) for d, decision in again],
            ending.succeeded(finished),
        )
        if not again:
            return
        journal.close_attempts([ending.attempt_row(d, RetryVerdict.RETRY) for d, _ in again])
        back = journal.requeue(rows)
        journal.add_spent(
            [ending.spent_row(d) for d, _ in again if d.thought and d.action.work.step_id in back]
        )
        works = [d.action.work for d, _ in again]
        late = [w for w in works if w.step_id not in back]
        self.facts += ending.fenced_facts(late, self.actor)
        self.cache.drop(w.run_id for w in works)

    def settle(self, settled: Sequence[Settled]) -> list[Settled]:
        """End steps. One that was fenced off meanwhile is dropped: its new owner speaks for it."""
        ours = journal.settle(settled)
        kept = [s for s in settled if s.work.step_id in ours]
        if len(kept) < len(settled):
            self._fenced([s for s in settled if s.work.step_id not in ours])
        ending.free_intents(kept)
        bodies.keep(s.bodies for s in kept if s.bodies)
        forking.inherit([s for s in kept if s.inherited_from])
        for step in kept:
            if step.work.kind == "tool":
                self.cache[step.work.run_id].steps.append(ending.past(step))
        self.facts += [ending.step_fact(s, self.actor) for s in kept]
        return kept

    def _fenced(self, late: Sequence[Settled]) -> None:
        reconcile.close_late(late)
        self.facts += ending.fenced_facts([s.work for s in late], self.actor)
        self.cache.drop(s.work.run_id for s in late)

    # --- go on --------------------------------------------------------------------------------

    def advance(self, ended: Sequence[Settled]) -> list[Claimed]:
        """Carry the runs of ended steps on. Returns the next steps, which this worker holds and
        which are yet to be inserted."""
        if not ended:
            return []
        self._append_thoughts(ended)
        mine = {s.work.run_id: self.cache[s.work.run_id] for s in ended}
        undone = [c.run.id for c in mine.values() if c.run.state == State.COMPENSATING]
        undoing.carry_on(undone, actor=self.actor)
        live = [c for c in mine.values() if c.run.state in LIVE]
        stuck = {s.work.run_id: why for s in ended if (why := ending.stuck(s))}
        path = course.advance_runs(
            [c for c in live if c.run.id not in stuck], notes=ending.notes(ended)
        )
        for carried in live:
            if carried.run.id in stuck:
                path.runs[carried.run.id] = course.moved(carried.run, *stuck[carried.run.id])
        self._count(path.runs, ended)
        moved = journal.update_runs(list(path.runs.values()))
        marked = degrading.note(ended)
        self.facts += [Fact("run.degraded", self.actor, "run", str(i), i, p) for i, p in marked]
        runs = {run_id: carried.run for run_id, carried in mine.items()}
        self.facts += ending.run_facts(path.runs, runs, moved, self.actor)
        going = {i for i in moved if path.runs[i].state in UNDER_WAY}
        self.cache.drop(i for i in mine if i not in going)
        follows = {s.work.run_id: s.work.follows or s.work.step_id for s in ended}
        return self._begin(path, moved, follows)

    def _append_thoughts(self, ended: Sequence[Settled]) -> None:
        """Add what live agents said to their scripts, and what it used to what limits see."""
        rows = []
        for step in ended:
            if (thought := step.thought) is None:
                continue
            carried = self.cache[step.work.run_id]
            carried.items.extend(thought.items)
            carried.run.tokens_in += thought.tokens_in
            carried.run.tokens_out += thought.tokens_out
            rows.append(LongerScript(carried.run.id, thought.items))
        journal.lengthen_scripts(rows)

    def _count(self, rows: Mapping[UUID, MovedRun], ended: Sequence[Settled]) -> None:
        for step in ended:
            row = rows.get(step.work.run_id)
            if row is None:
                continue
            row.has_violation |= step.disposition == Disposition.DENIED
            if step.thought:
                row.degraded |= step.thought.degraded
                row.tokens_in += step.thought.tokens_in
                row.tokens_out += step.thought.tokens_out
                row.cost_microusd = step.thought.cost_microusd

    def _begin(
        self, path: course.Course, moved: set[UUID], follows: Mapping[UUID, UUID]
    ) -> list[Claimed]:
        journal.add_messages([m for m in path.messages if m.run_id in moved])
        results.keep([r for r in path.results if r.run_id in moved])
        rows = [s for s in path.steps if s.run_id in moved]
        if not self.go_on:
            journal.add_steps(rows, owner="", lease_s=None)
            self.cache.drop(row.run_id for row in rows)
            return []
        tokens = self._tokens(len(rows))
        works = [
            ending.pending_step(row, self.cache[row.run_id].run, token, follows[row.run_id])
            for row, token in zip(rows, tokens, strict=True)
        ]
        free, barred = barriers.part(works)
        kept, parked = pressure.part(free, may_wait=not self._is_bounded)
        self._is_bounded |= bool(free)
        self._park(works, [*barred, *parked])
        return kept

    def _tokens(self, count: int) -> list[int]:
        """Fencing tokens, fetched by the hundred. One that a rolled-back commit used is used
        again: nothing of that commit remained."""
        pool = self.cache.tokens
        if len(pool) < count:
            pool += journal.take_tokens(max(count, 256))
        taken, pool[:count] = pool[:count], []
        return taken

    def _park(self, works: Sequence[Claimed], parked: Sequence[claiming.Parked]) -> None:
        """Insert next steps that can't run now as waiting ones."""
        rows = {w.step_id: w.pending for w in works if w.pending}
        waiting = [
            replace(rows[p.step_id], waits_for=p.waits_for[:160], wait_s=p.retry_in_s)
            for p in parked
        ]
        journal.add_steps(waiting, owner="", lease_s=None)
        self.cache.drop(row.run_id for row in waiting)

    def _insert_pending(self, works: Iterable[Claimed]) -> None:
        """Insert those of the steps that are pending, as what is known of them by now."""
        pending = [w for w in works if w.pending is not None]
        rows = [w.pending for w in pending if w.pending is not None]
        journal.add_steps(rows, owner=self.owner, lease_s=self.lease_s)
        for work in pending:
            work.pending = None

    # --- decide -------------------------------------------------------------------------------

    def sort(self, works: Sequence[Claimed]) -> tuple[list[Settled], list[Claimed]]:
        """Part steps that we hold into those that end without a call, those whose effect has to be
        looked at first (they become ``Inspect`` actions) and those ready for the gate."""
        ended, left = self._end_without_call(works)
        ready, looked_at = [], []
        for work in progress.each(left):
            preview = asking.dry_run(work)
            if work.intent_open or work.kind == "agent" or not preview or work.preview is not None:
                ready.append(work)
                continue
            server = _server(work)
            timeout_s = asking.tool_terms(work).timeout_s
            later = inspecting.later_changes(work, self.cache[work.run_id])
            looked_at.append(Inspect(work, server, preview, timeout_s, later))
        self._insert_pending(action.work for action in looked_at)
        self.actions += looked_at
        return ended, ready

    def _end_without_call(self, works: Sequence[Claimed]) -> tuple[list[Settled], list[Claimed]]:
        states = approvals.states_of([w.approval_id for w in works if w.approval_id])
        pairs = [(w.run_id, w.idempotency_key) for w in works if w.mutates]
        owners = journal.owners_of(pairs)
        ended: list[Settled] = []
        left: list[Claimed] = []
        now = clock.now()
        for work in progress.each(works):
            work.hidden = self.cache[work.run_id].hidden
            owner = owners.get((work.run_id, work.idempotency_key)) if work.mutates else None
            end = (
                ending.overdue(work, now)
                or ending.answered(work, states)
                or ending.repeated(work, owner)
                or ending.malformed(work)
            )
            if end:
                ended.append(end)
            else:
                left.append(work)
        self._insert_pending(e.work for e in ended)
        return self.settle(ended), self._await_others(left, owners)

    def _await_others(
        self, works: list[Claimed], owners: Mapping[tuple[UUID, str], Owner]
    ) -> list[Claimed]:
        if not owners:
            return works
        self._insert_pending(w for w in works if (w.run_id, w.idempotency_key) in owners)
        rest = forking.await_others(works, owners)
        kept = {w.step_id for w in rest}
        self.cache.drop(w.run_id for w in works if w.step_id not in kept)
        return rest

    def keep(self, inspected: Sequence[Claimed]) -> list[Claimed]:
        """Of steps whose effect was looked at, those that may still begin."""
        kept = barriers.keep(parking.drop_cancelled(inspected))
        if len(kept) < len(inspected):
            going = {w.step_id for w in kept}
            self.cache.drop(w.run_id for w in inspected if w.step_id not in going)
        return kept

    def gate(self, works: Sequence[Claimed]) -> list[Settled]:
        """Ask the gate about these steps and act on its answers. Permitted ones become actions;
        returns the steps that ended here (denied, or their mutation belongs to another step)."""
        again = [w for w in works if w.intent_open or w.kind == "agent"]
        fresh = [w for w in works if not w.intent_open and w.kind == "tool"]
        answers = self._ask(fresh)
        permitted = [w for w in fresh if answers[w.step_id].answer == "permit"]
        own = self._own_pending(permitted)
        self._start([*again, *own])
        self._insert_pending(works)
        self._hold([w for w in fresh if answers[w.step_id].answer == "hold"], answers)
        sure = {w.step_id for w in own}
        owned, lost = self._own([w for w in permitted if w.step_id not in sure], answers)
        self._start(owned)
        self._write_attempts()
        denied = [
            ending.denied(w, answers[w.step_id]) for w in fresh if ending.is_denied(w, answers)
        ]
        return self.settle([*denied, *lost])

    def _ask(self, fresh: Sequence[Claimed]) -> dict[UUID, GateDecision]:
        if not fresh:
            return {}
        asks = asking.asks(fresh, self.cache)
        answers = {a.step_id: b for a, b in zip(asks, gate_batch(asks), strict=True)}
        born = []
        for work in fresh:
            answer = answers[work.step_id]
            if (row := work.pending) is None:
                born.append(ending.gate_row(work, answer))
            else:
                row.gate, row.decision_id = answer.answer, answer.decision_id
                row.facts, row.preview = work.facts, work.preview
        journal.note_gate(born)
        return answers

    def _own_pending(self, permitted: Sequence[Claimed]) -> list[Claimed]:
        """Of the pending steps among these, those that may be sent as soon as they are inserted:
        reads, and mutations that nobody else owns. The unique (run, key) decides."""
        pending = [w for w in permitted if w.pending is not None]
        wanted = [
            NewIntent(
                w.step_id,
                w.idempotency_key,
                w.lease_token,
                root_id=self.cache[w.run_id].run.root_id or w.run_id,
            )
            for w in pending
            if w.mutates
        ]
        taken = journal.take_intents(wanted)
        for work in pending:
            if work.step_id in taken and work.pending is not None:
                work.pending.intent_open = True
        return [w for w in pending if not w.mutates or w.step_id in taken]

    def _hold(self, works: Sequence[Claimed], answers: Mapping[UUID, GateDecision]) -> None:
        later = {w.step_id: wait for w in works if (wait := answers[w.step_id].later)}
        barriers.give_back(
            works, [claiming.Parked(i, wait.waits_for, wait.wait_s) for i, wait in later.items()]
        )
        rows = [
            AskedStep(w.step_id, w.lease_token, answers[w.step_id].approval_id)
            for w in works
            if w.step_id not in later
        ]
        held = journal.hold(rows)
        self.facts += [ending.held_fact(w, self.actor) for w in works if w.step_id in held]
        self.cache.drop(w.run_id for w in works)

    def _own(
        self, works: Sequence[Claimed], answers: Mapping[UUID, GateDecision]
    ) -> tuple[list[Claimed], list[Settled]]:
        mutations = [w for w in works if w.mutates]
        owned = journal.open_intents(
            [
                NewIntent(
                    w.step_id, w.idempotency_key, w.lease_token, answers[w.step_id].approval_id
                )
                for w in mutations
            ]
        )
        lost = [w for w in mutations if w.step_id not in owned]
        owners = journal.owners_of([(w.run_id, w.idempotency_key) for w in lost])
        lost = self._await_others(lost, owners)
        ends = [ending.repeated(w, owners.get((w.run_id, w.idempotency_key))) for w in lost]
        return [w for w in works if not w.mutates or w.step_id in owned], [e for e in ends if e]

    def _start(self, works: Sequence[Claimed]) -> None:
        for work in progress.each(works):
            attempt_id, number = new_id(), work.attempts_made + 1
            row = NewAttempt(
                attempt_id, work.step_id, work.run_id, number, work.lease_token, self.owner
            )
            self._attempts.append(row)
            if work.pending is None:
                self._counted.append(row)
            else:
                work.pending.attempts_made = number
            self.actions.append(_action(work, attempt_id, number))

    def _write_attempts(self) -> None:
        journal.open_attempts(self._attempts)
        journal.count_attempts(self._counted)
        self._attempts, self._counted = [], []


def _action(work: Claimed, attempt_id: UUID, number: int) -> Call | Think:
    if work.kind != "tool":
        return asking.think(work, attempt_id, number)
    terms = asking.tool_terms(work)
    look_up = str(asking.tool_document(work).get("lookup") or "") if work.mutates else ""
    server, timeout_s = _server(work), terms.timeout_s
    return Call(work, attempt_id, number, server, timeout_s, terms.concurrency, look_up)


def _server(work: Claimed) -> str:
    """The server to call, whose address is at hand afterwards for whoever calls it."""
    slug = catalog.tool_server(work.tool_version_id or 0)
    servers.remember(slug)
    return slug
