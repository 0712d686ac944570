"""The engine's transaction over the simulated database: ``engine.commit`` and ``engine.ending``.

The order in which things are asked is the product's; what is decided, the domain decides: whether
to retry, who owns a mutation, how a run ends, what is undone next.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import Any
from uuid import UUID

from apps.calls.domain import keys, limits
from apps.calls.domain.admission import Class
from apps.calls.domain.retry import (
    DOUBTFUL,
    RetryDecision,
    RetryVerdict,
    decide,
    depends_on_earlier,
)
from apps.calls.domain.script import Move, follow, next_move
from apps.catalog.domain.contract import Limits
from apps.oversight.domain import rules
from apps.runs.domain import ends, forking, undo
from apps.runs.domain.forking import Repeat
from apps.runs.domain.outcome import StepEnd, judge
from apps.runs.domain.results import Disposition
from apps.runs.domain.rows import Owner
from apps.runs.domain.states import LIVE, State
from apps.runs.domain.suspicion import ClaimGroup
from tests.simulation.barriers import Bounds, Parked
from tests.simulation.rows import Act, Approval, Done, End, Run, Step, Tool
from tests.simulation.store import Store

URGENT = 0  # journal.undoing
BRANCH_WAIT_S = 2.0  # journal.forking


class Engine:
    """One tower's engine; workers call it, each within one transaction of theirs."""

    def __init__(
        self, store: Store, bounds: Bounds, tools: dict[str, Tool],
        wanted: dict[str, tuple[str, ...]], rng: Random, new_id: Callable[[], UUID],
        ask: Callable[[Step], Approval], limits_of_runs: Limits,
    ) -> None:  # fmt: skip
        self.store = store
        self.bounds = bounds
        self.tools = tools
        self.wanted = wanted
        self.rng = rng
        self.new_id = new_id
        self.ask = ask  # opens an approval and tells people
        self.limits = limits_of_runs
        self.compensations = {
            t.name: t.terms.compensation for t in tools.values() if t.terms.compensation
        }

    # --- transactions -------------------------------------------------------------------------

    def claim(self, owner: str, *, limit: int, group: ClaimGroup, lease_s: float) -> list[Act]:
        """``claim_and_commit``."""
        due = self.store.due(limit=limit, group=group)
        free, barred = self.bounds.part(due)
        free, parked = self.bounds.room(free)
        for one in (*barred, *parked):
            self.store.park(one.step, one.waits_for, one.wait_s)
        self.store.lease(free, owner=owner, lease_s=lease_s)
        leased = [s for s in free if s.owner == owner and not self.store.drop_late(s)]
        held = [(s, s.token) for s in leased if s.token is not None]
        return self._run_to_actions(owner, lease_s, ended=[], incoming=held, ready=[], go_on=True)

    def commit(
        self, owner: str, finished: Sequence[Done], inspected: Sequence[Act],
        *, lease_s: float, go_on: bool,
    ) -> list[Act]:  # fmt: skip
        """``commit``."""
        for done in finished:
            if done.withheld:
                self.store.put_back(done.act.step, done.act.token, done.act.number)
        ended = self._record([d for d in finished if not d.withheld])
        for act in inspected:
            if self.store.ours(act.step, act.token):
                act.step.is_unknown = act.told_nothing
        ready = self._keep([(a.step, a.token) for a in inspected])
        return self._run_to_actions(
            owner, lease_s, ended=ended, incoming=[], ready=ready, go_on=go_on
        )

    def _run_to_actions(
        self, owner: str, lease_s: float, *, ended: list[Step],
        incoming: list[tuple[Step, int]], ready: list[tuple[Step, int]], go_on: bool,
    ) -> list[Act]:  # fmt: skip
        actions: list[Act] = []
        held = [*ready]
        while ended or incoming or ready:
            incoming = [*incoming, *self._advance(owner, lease_s, ended, go_on)]
            held += incoming
            ended, direct = self._sort(incoming, actions)
            ended += self._gate([*ready, *direct], actions)
            incoming, ready = [], []
        self.store.watch.commits(held, actions)
        return actions

    # --- record -------------------------------------------------------------------------------

    def _record(self, finished: Sequence[Done]) -> list[Step]:
        settled, again = [], []
        for done in finished:
            decision = self._decide(done)
            if decision.verdict is RetryVerdict.RETRY:
                again.append((done, decision.delay_s))
            else:
                settled.append(_settled(done, decision.verdict))
        told = self.bounds.ration(again, finished)
        for done, _ in again:
            step = done.act.step
            outcome = _attempt_outcome(done, RetryVerdict.RETRY)
            self.store.close_attempt(step, done.act.number, outcome, done.reply)
            delay_s, waits_for = told[step.id]
            self.store.requeue(step, done.act.token, delay_s=delay_s, waits_for=waits_for)
        self.bounds.note(finished)
        return self._settle(settled)

    def _decide(self, done: Done) -> RetryDecision:
        """``deciding.decided``."""
        step, tool, number = done.act.step, done.act.step.tool, done.act.number
        found = decide(
            done.reply.ending,
            attempt=number,
            policy=tool.terms.retry,
            mutates=step.mutates,
            repeat_safe=tool.idempotency == "keyed",
            retry_after_s=done.reply.retry_after_s,
            jitter=self.rng.random(),
        )
        hangs = depends_on_earlier(found, attempt=number, mutates=step.mutates)
        return DOUBTFUL if hangs and self.store.may_have_happened(step, before=number) else found

    def _settle(self, ended: Sequence[End]) -> list[Step]:
        """``Batch.settle``: a step that was fenced off is dropped; its late answer may close it."""
        kept = []
        for end in ended:
            if self.store.settle(end):
                kept.append(end.step)
                if ends.gives_up(end.disposition):
                    self.store.free_intent(end.step)
                attempted, mutates = end.act is not None, end.step.mutates
                if ends.may_give_up(end.disposition, attempted=attempted, mutates=mutates):
                    self.store.free_unsent(end.step)
                if end.disposition == "inherited":
                    self.store.add_receipt(end.step, "inherited")
            else:
                self._close_late(end)
        return kept

    def _close_late(self, end: End) -> None:
        """``reconcile.close_late``: unknown since exactly this attempt."""
        step = end.step
        if not end.receipt or not step.mutates or end.act is None:
            return
        same_round = step.attempts_made == end.act.number
        if step.state is State.CONFIRMATION_UNKNOWN and same_round:
            self.succeed_unknown(step, end.result, "answer")

    # --- go on --------------------------------------------------------------------------------

    def _advance(
        self, owner: str, lease_s: float, ended: Sequence[Step], go_on: bool
    ) -> list[tuple[Step, int]]:
        born = [b for s in {s.run.id: s for s in ended}.values() if (b := self._next_of(s))]
        if not go_on:
            for step in born:
                self._insert(step)
            return []
        free, barred = self.bounds.part(born)
        kept, parked = self.bounds.room(free)
        for one in (*barred, *parked):
            self._insert(one.step, one)
        return [(s, self._insert_leased(s, owner, lease_s)) for s in kept]

    def _next_of(self, ended: Step) -> Step | None:
        """What a run does once this step has ended (a run has one step under way)."""
        run = ended.run
        if run.state is State.COMPENSATING:
            self.carry_on(run)
        elif run.state in LIVE and ended.state is State.CONFIRMATION_UNKNOWN:
            self.store.update_run(run, ended.state, error_class=ended.error_class)
        elif run.state in LIVE:
            return self.plot(run)
        return None

    def _insert(self, step: Step, parked: Parked | None = None) -> None:
        step.not_before = self.store.clock()
        self.store.add_step(step, owner="", until=None, token=None)
        if parked is not None:
            self.store.park(step, parked.waits_for, parked.wait_s)

    def _insert_leased(self, step: Step, owner: str, lease_s: float) -> int:
        token = self.store.next_token()
        until = self.store.clock() + lease_s
        self.store.add_step(step, owner=owner, until=until, token=token)
        return token

    def plot(self, run: Run) -> Step | None:
        """``course.advance_runs``: the run's next step, which isn't inserted yet, or its end."""
        turn = follow(run.items, run.cursor)
        run.cursor = turn.cursor
        run.said += len(turn.messages)
        state = State.QUEUED if run.state is State.ACCEPTED else run.state
        limit = limits.reached(
            self.limits, steps=run.steps_total, tokens=0, cost_microusd=None, live=False
        )
        move = next_move(turn, live=False, limit=limit)
        if move is Move.STOP:
            said = {"outcome": "limit_reached", "error_class": limit}
            self.store.update_run(run, State.FAILED, **said)
            return None
        if turn.call is not None:
            run.steps_total += 1
            self.store.update_run(run, state)
            return self._propose(run, turn.call.tool, dict(turn.call.arguments))
        past = [
            StepEnd(s.tool.name, s.tool.effect, s.disposition) for s in run.steps if s.disposition
        ]
        end = judge(past, wanted_tools=self.wanted[run.job], answered=run.said > 0)
        self.store.update_run(run, end.state, outcome=end.outcome, error_class=end.error_class)
        return None

    def begin(self, run: Run) -> None:
        """``starting``: the first stretch of a run that was taken in."""
        step = self.plot(run)
        if step is not None:
            self._insert(step)

    def _propose(self, run: Run, name: str, arguments: dict[str, Any]) -> Step:
        tool, step_id = self.tools[name], self.new_id()
        label = f"{run.name}.{run.steps_total}"
        step = Step(step_id, label, run, run.steps_total, tool, arguments, "", run.priority)
        if step.mutates:
            own = step_id if tool.terms.repeatable else None
            found = keys.arguments_digest(arguments)
            step.key = keys.change_key(run.root_id, tool.name, found, own_step=own)
        return step

    # --- decide -------------------------------------------------------------------------------

    def _sort(
        self, works: Sequence[tuple[Step, int]], actions: list[Act]
    ) -> tuple[list[Step], list[tuple[Step, int]]]:
        without_call, left = [], []
        for step, token in works:
            owner = self.store.owner_of(step) if step.mutates else None
            end = (
                self._overdue(step, token)
                or self._answered(step, token)
                or _repeated(step, token, owner)
            )
            if end is not None:
                without_call.append(end)
            elif not self._awaits(step, token, owner):
                left.append((step, token))
        ended = self._settle(without_call)
        ready = []
        for step, token in left:
            if step.mutates and step.tool.preview and not step.intent_open:
                actions.append(Act(step, token, 0))
            else:
                ready.append((step, token))
        return ended, ready

    def _overdue(self, step: Step, token: int) -> End | None:
        now, deadline_at = self.store.datetime(), self.store.moment(step.run.deadline_at)
        if not ends.is_overdue(now, deadline_at, intent_open=step.intent_open):
            return None
        return End(step, token, "failed", error_class="deadline")

    def _answered(self, step: Step, token: int) -> End | None:
        given = self.store.approvals.get(step.approval_id) if step.approval_id else None
        found = ends.by_approval(given.state, intent_open=step.intent_open) if given else None
        return End(step, token, found, error_class=found) if found else None

    def _awaits(self, step: Step, token: int, owner: Step | None) -> bool:
        """``forking.await_others``."""
        if owner is None or _met(step, owner) is not Repeat.AWAITED:
            return False
        words = f"another branch, which is making this very change: step {owner.name}"
        self.store.give_back(step, token, words, BRANCH_WAIT_S)
        return True

    def _keep(self, works: Sequence[tuple[Step, int]]) -> list[tuple[Step, int]]:
        """``Batch.keep``: of steps whose effect was looked at, those that may still begin."""
        works = [(s, t) for s, t in works if not self.store.drop_cancelled(s, t)]
        works = [(s, t) for s, t in works if self.store.ours(s, t)]
        tokens = {s.id: t for s, t in works}
        kept, parked = self.bounds.part([s for s, _ in works])
        for one in parked:
            self.store.give_back(one.step, tokens[one.step.id], one.waits_for, one.wait_s)
        return [(s, tokens[s.id]) for s in kept]

    def _gate(self, works: Sequence[tuple[Step, int]], actions: list[Act]) -> list[Step]:
        ended: list[End] = []
        for step, token in works:
            if step.intent_open:
                self._start(step, token, actions)
                continue
            answer, approval = self._ask(step)
            if answer == "deny":
                ended.append(End(step, token, "denied", error_class="policy"))
            elif answer == "hold" and approval is not None:
                self.store.hold(step, token, approval)
            elif not step.mutates or self.store.open_intent(step, token, approval):
                self._start(step, token, actions)
            else:
                owner = self.store.owner_of(step)
                if not self._awaits(step, token, owner):
                    end = _repeated(step, token, owner)
                    ended += [end] if end else []
        return self._settle(ended)

    def _ask(self, step: Step) -> tuple[str, Approval | None]:
        """``gate.gate_batch``: an approval that holds is used up; else policy's answer stands."""
        policy = step.tool.policy if step.mutates else "permit"
        given = self.store.approvals.get(step.approval_id) if step.approval_id else None
        used = given is not None and self._consume(given)
        if policy == "hold" and used:
            policy = "permit"  # asked with the approval, policy permits (``@approved``)
        step.gate = rules.with_doubt(policy, doubtful=step.is_unknown and not used)
        if step.gate == "hold":
            for older in self.store.approvals.values():
                if older.step is step and older.state == "pending":
                    older.state = "void"
            return "hold", self.ask(step)
        return step.gate, given if used else None

    def _consume(self, given: Approval) -> bool:
        """``consume_batch``: once, while it holds."""
        holds = (
            given.state == "approved"
            and not given.used
            and given.expires_at > self.store.clock()
            and rules.is_enough(given.approved_by, wanted=(given.votes_required,))
        )
        given.used |= holds
        return holds

    def _start(self, step: Step, token: int, actions: list[Act]) -> None:
        number = step.attempts_made + 1
        self.store.open_attempt(step, token, number)
        actions.append(Act(step, token, number))

    # --- what nobody knew ---------------------------------------------------------------------

    def succeed_unknown(self, step: Step, result: dict[str, Any] | None, evidence: str) -> None:
        """``reconcile._succeed``."""
        step.result = result
        self.store.settle_unknown(step, State.SUCCEEDED, "executed", "")
        self.store.add_receipt(step, evidence)
        self.go_on(step)

    def go_on(self, step: Step) -> None:
        """``reconcile._go_on``."""
        run = step.run
        if self.resume_undoing(run):
            return
        if run.state is not State.CONFIRMATION_UNKNOWN:
            return
        self.store.move_run(run, State.RUNNING, error_class="")
        born = self.plot(run)
        if born is not None:
            self._insert(born)

    # --- undoing ------------------------------------------------------------------------------

    def undo_plan(self, run: Run, *, assume_happened: Step | None = None) -> undo.UndoPlan:
        """``selectors.undo_plans.plan_of``."""
        past = [_past(s, happened=s is assume_happened) for s in run.steps]
        return undo.plan(past, self.compensations)

    def begin_undoing(self, run: Run) -> None:
        """``undoing.begin``."""
        deadline = max(run.deadline_at, self.store.clock() + run.deadline_s)
        changes = {"outcome": "", "error_class": "", "cls": Class.C0, "paused": False}
        self.store.move_run(run, State.COMPENSATING, deadline_at=deadline, **changes)
        self.carry_on(run)

    def is_undoing(self, run: Run) -> bool:
        return undo.is_undoing(run.state, run.error_class)

    def reopen_undoing(self, run: Run) -> bool:
        """``undoing.reopen``."""
        if run.state is State.COMPENSATING or not self.is_undoing(run):
            return False
        deadline = max(run.deadline_at, self.store.clock() + run.deadline_s)
        self.store.move_run(run, State.COMPENSATING, error_class="", deadline_at=deadline)
        return True

    def resume_undoing(self, run: Run) -> bool:
        if not self.reopen_undoing(run):
            return False
        self.carry_on(run)
        return True

    def carry_on(self, run: Run) -> None:
        """``undoing._go_on``."""
        if run.state is not State.COMPENSATING:
            return
        plan = self.undo_plan(run)
        if end := undo.rest(plan):
            self.store.move_run(run, end.state, outcome=end.outcome, error_class=end.error_class)
        elif plan.next and plan.next.stage is undo.Stage.TO_DO:
            self.queue_undoing(run, plan.next)

    def queue_undoing(self, run: Run, item: undo.Item) -> None:
        """``undoing._queue``."""
        run.steps_total += 1
        name, seq = f"{run.name}.{run.steps_total}", run.steps_total
        key = keys.undoing_key(run.id, item.step.id, item.tool, item.arguments)
        step = Step(
            self.new_id(), name, run, seq, self.tools[item.tool], dict(item.arguments), key, URGENT
        )
        step.compensates = self.store.steps[item.step.id]
        self._insert(step)


def _attempt_outcome(done: Done, verdict: RetryVerdict) -> str:
    timed_out = done.reply.error_class == "timeout"
    return ends.attempt_outcome(verdict, done.reply.ending, timed_out=timed_out)


def _settled(done: Done, verdict: RetryVerdict) -> End:
    """``ending.settled``."""
    act, reply = done.act, done.reply
    state, disposition = ends.of_attempt(verdict, reply.ending)
    end = End(act.step, act.token, disposition, state, reply.error_class, act=act, reply=reply)
    end.outcome = _attempt_outcome(done, verdict)
    if disposition is Disposition.EXECUTED:
        end.result, end.receipt = reply.result, "lookup" if reply.looked_up else "answer"
    return end


def _met(step: Step, owner: Step | None) -> Repeat:
    found = owner and Owner(
        step_id=owner.id,
        run_id=owner.run.id,
        seq=owner.seq,
        state=owner.state,
        disposition=owner.disposition,
        result=owner.result,
        idempotency=owner.tool.idempotency,
        attempts=owner.attempts_made,
    )
    return forking.repeat(found, step_id=step.id, run_id=step.run.id)


def _repeated(step: Step, token: int, owner: Step | None) -> End | None:
    """``ending.repeated``."""
    met = _met(step, owner)
    if owner is None or met in {Repeat.OURS, Repeat.AWAITED, Repeat.TAKEN_OVER}:
        return None
    if met is Repeat.CONFLICT:
        return End(step, token, "failed", error_class="conflict")
    given = {"result": owner.result, "copied_from": owner.id}
    return End(step, token, met.value, State.SUCCEEDED, **given)


def _past(step: Step, *, happened: bool = False) -> undo.Past:
    return undo.Past(
        id=step.id,
        seq=step.seq,
        tool=step.tool.name,
        effect=step.tool.effect,
        state=State.SUCCEEDED.value if happened else step.state.value,
        disposition=Disposition.EXECUTED if happened else step.disposition,
        undoes=step.compensates.id if step.compensates else None,
        arguments=step.arguments,
        result=step.result,
        word=step.word,
    )
