"""The engine's transaction over the simulated database: ``engine.commit`` and ``engine.ending``.

The order in which things are asked is the product's; what is decided, the domain decides: whether
to retry, who owns a mutation, how a run ends, what is undone next.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import Any
from uuid import UUID

from apps.calls.domain.retry import NOTHING_DONE, Ending, RetryDecision, RetryVerdict, decide
from apps.calls.domain.script import follow
from apps.kernel.canonical import digest
from apps.runs.domain import forking, saga
from apps.runs.domain.admission import Class
from apps.runs.domain.outcome import StepEnd, judge
from apps.runs.domain.states import State
from apps.runs.domain.suspicion import ClaimGroup
from tests.simulation.barriers import Bounds, Parked
from tests.simulation.rows import Act, Approval, Done, End, Run, Step, Tool
from tests.simulation.store import Store

KEY_PURPOSE = "tower.key.v1"  # course
ARGUMENTS_PURPOSE = "tower.arguments.v1"
URGENT = 0  # journal.compensating
BRANCH_WAIT_S = 2.0  # journal.forking
UNDOING_FAILED, UNDOING_UNKNOWN = "compensation_failed", "compensation_unknown"
GOING = frozenset({State.QUEUED, State.RUNNING})
LIVE = frozenset({*GOING, State.WAITING_APPROVAL})
_DIGESTS: dict[tuple[Any, ...], str] = {}


def key_of(step_id: UUID, run: Run, tool: Tool, arguments: dict[str, Any]) -> str:
    """The idempotency key of a proposal: ``course._tool_step``, which a test compares."""
    listed = str(step_id) if tool.terms.repeatable else ""
    memo = (run.root_id, tool.name, listed, *sorted(arguments.items()))
    if (known := _DIGESTS.get(memo)) is None:
        bound = {
            "run": str(run.root_id),
            "tool": tool.name,
            "arguments": digest(arguments, purpose=ARGUMENTS_PURPOSE),
        }
        if listed:
            bound["step"] = listed
        if len(_DIGESTS) > 5000:
            _DIGESTS.clear()
        known = _DIGESTS[memo] = digest(bound, purpose=KEY_PURPOSE)
    return known


class Engine:
    """One tower's engine; workers call it, each within one transaction of theirs."""

    def __init__(
        self, store: Store, bounds: Bounds, tools: dict[str, Tool],
        wanted: dict[str, tuple[str, ...]], rng: Random, new_id: Callable[[], UUID],
        ask: Callable[[Step], Approval],
    ) -> None:  # fmt: skip
        self.store = store
        self.bounds = bounds
        self.tools = tools
        self.wanted = wanted
        self.rng = rng
        self.new_id = new_id
        self.ask = ask  # opens an approval and tells people
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
        while ended or incoming or ready:
            incoming = [*incoming, *self._advance(owner, lease_s, ended, go_on)]
            ended, direct = self._sort(incoming, actions)
            ended += self._gate([*ready, *direct], actions)
            incoming, ready = [], []
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
            nothing = done.reply.ending in NOTHING_DONE
            self.store.close_attempt(step, done.act.number, "retryable", did_nothing=nothing)
            delay_s, waits_for = told[step.id]
            self.store.requeue(step, done.act.token, delay_s=delay_s, waits_for=waits_for)
        self.bounds.note(finished)
        return self._settle(settled)

    def _decide(self, done: Done) -> RetryDecision:
        """``deciding.decided``: a change that may have been made before hasn't failed."""
        step, tool = done.act.step, done.act.step.tool
        found = decide(
            done.reply.ending,
            attempt=done.act.number,
            policy=tool.terms.retry,
            mutates=done.act.step.mutates,
            repeat_safe=tool.idempotency == "keyed",
            retry_after_s=done.reply.retry_after_s,
            jitter=self.rng.random(),
        )
        failed = found.verdict is RetryVerdict.FAIL and step.mutates
        doubtful = failed and self.store.may_have_happened(step, before=done.act.number)
        return RetryDecision(RetryVerdict.UNKNOWN) if doubtful else found

    def _settle(self, ends: Sequence[End]) -> list[Step]:
        """``Batch.settle``: a step that was fenced off is dropped; its late answer may close it."""
        kept = []
        for end in ends:
            if self.store.settle(end):
                kept.append(end.step)
                if end.disposition == "refused_by_tool":
                    self.store.free_intent(end.step)
                if end.disposition == "failed" and end.act is not None:
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
        if turn.call is not None:
            run.steps_total += 1
            self.store.update_run(run, state)
            return self._propose(run, turn.call.tool, dict(turn.call.arguments))
        ends = [
            StepEnd(s.tool.name, s.tool.effect, s.disposition) for s in run.steps if s.disposition
        ]
        end = judge(ends, wanted_tools=self.wanted[run.job], answered=run.said > 0)
        self.store.update_run(run, end.state, outcome=end.outcome, error_class=end.error_class)
        return None

    def begin(self, run: Run) -> None:
        """``starting``: the first stretch of a run that was taken in."""
        step = self.plot(run)
        if step is not None:
            self._insert(step)

    def _propose(self, run: Run, name: str, arguments: dict[str, Any]) -> Step:
        tool, step_id = self.tools[name], self.new_id()
        key = key_of(step_id, run, tool, arguments) if tool.effect != "read" else ""
        label = f"{run.name}.{run.steps_total}"
        return Step(step_id, label, run, run.steps_total, tool, arguments, key, run.priority)

    # --- decide -------------------------------------------------------------------------------

    def _sort(
        self, works: Sequence[tuple[Step, int]], actions: list[Act]
    ) -> tuple[list[Step], list[tuple[Step, int]]]:
        ends, left = [], []
        for step, token in works:
            owner = self.store.owner_of(step) if step.mutates else None
            end = (
                self._overdue(step, token)
                or self._answered(step, token)
                or _repeated(step, token, owner)
            )
            if end is not None:
                ends.append(end)
            elif not self._awaits(step, token, owner):
                left.append((step, token))
        ended = self._settle(ends)
        ready = []
        for step, token in left:
            if step.mutates and step.tool.preview and not step.intent_open:
                actions.append(Act(step, token, 0))
            else:
                ready.append((step, token))
        return ended, ready

    def _overdue(self, step: Step, token: int) -> End | None:
        if step.intent_open or self.store.clock() < step.run.deadline_at:
            return None
        return End(step, token, "failed", error_class="deadline")

    def _answered(self, step: Step, token: int) -> End | None:
        given = self.store.approvals.get(step.approval_id) if step.approval_id else None
        if given is None or step.intent_open or given.state not in {"rejected", "expired"}:
            return None
        return End(step, token, given.state, error_class=given.state)

    def _awaits(self, step: Step, token: int, owner: Step | None) -> bool:
        """``forking.await_others``."""
        if owner is None or not forking.is_under_way(_owner_row(owner), step.run.id):
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
        ends: list[End] = []
        for step, token in works:
            if step.intent_open:
                self._start(step, token, actions)
                continue
            answer, approval = self._ask(step)
            if answer == "deny":
                ends.append(End(step, token, "denied", error_class="policy"))
            elif answer == "hold" and approval is not None:
                self.store.hold(step, token, approval)
            elif not step.mutates or self.store.open_intent(step, token, approval):
                self._start(step, token, actions)
            else:
                owner = self.store.owner_of(step)
                if not self._awaits(step, token, owner):
                    end = _repeated(step, token, owner)
                    ends += [end] if end else []
        return self._settle(ends)

    def _ask(self, step: Step) -> tuple[str, Approval | None]:
        """``gate.gate_batch``: an approval that holds is used up; else policy's answer stands."""
        policy = step.tool.policy if step.mutates else "permit"
        given = self.store.approvals.get(step.approval_id) if step.approval_id else None
        used = given is not None and self._consume(given)
        if policy == "permit" and step.is_unknown:
            policy = "hold"  # what isn't known is held, whatever the policy says
        step.gate = "permit" if policy == "hold" and used else policy
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
            and len(given.approved_by) >= given.votes_required
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

    def undo_plan(self, run: Run) -> saga.UndoPlan:
        """``selectors.compensating.plan_of``."""
        return saga.plan([_past(s) for s in run.steps], self.compensations)

    def begin_undoing(self, run: Run) -> None:
        """``compensating.begin``."""
        deadline = max(run.deadline_at, self.store.clock() + run.deadline_s)
        changes = {"outcome": "", "error_class": "", "cls": Class.C0, "paused": False}
        self.store.move_run(run, State.COMPENSATING, deadline_at=deadline, **changes)
        self.carry_on(run)

    def is_undoing(self, run: Run) -> bool:
        return run.state is State.COMPENSATING or (
            run.state is State.CONFIRMATION_UNKNOWN
            and run.error_class in {UNDOING_FAILED, UNDOING_UNKNOWN}
        )

    def reopen_undoing(self, run: Run) -> bool:
        """``compensating.reopen``."""
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
        """``compensating._go_on``."""
        if run.state is not State.COMPENSATING:
            return
        plan = self.undo_plan(run)
        item = plan.next
        if item is None:
            outcome = saga.end(plan).outcome
            self.store.move_run(run, State.COMPENSATED, outcome=outcome)
        elif item.stage is saga.Stage.TO_DO:
            self.queue_undoing(run, item)
        elif item.stage is saga.Stage.FAILED:
            self.store.move_run(run, State.CONFIRMATION_UNKNOWN, error_class=UNDOING_FAILED)
        elif item.stage is saga.Stage.UNKNOWN:
            self.store.move_run(run, State.CONFIRMATION_UNKNOWN, error_class=UNDOING_UNKNOWN)

    def queue_undoing(self, run: Run, item: saga.Item) -> None:
        """``compensating._queue``."""
        run.steps_total += 1
        name, seq = f"{run.name}.{run.steps_total}", run.steps_total
        key = saga.undoing_key(run.id, item)
        step = Step(
            self.new_id(), name, run, seq, self.tools[item.tool], dict(item.arguments), key, URGENT
        )
        step.compensates = self.store.steps[item.step.id]
        self._insert(step)


def _settled(done: Done, verdict: RetryVerdict) -> End:
    """``ending.settled``."""
    act, reply = done.act, done.reply
    end = End(act.step, act.token, "failed", error_class=reply.error_class, act=act)
    if verdict is RetryVerdict.UNKNOWN:
        end.state, end.disposition = State.CONFIRMATION_UNKNOWN, "unknown"
    elif verdict is RetryVerdict.SETTLE and reply.ending is Ending.REFUSED:
        end.disposition = "refused_by_tool"
    elif verdict is RetryVerdict.SETTLE:
        end.state, end.disposition = State.SUCCEEDED, "executed"
        end.result, end.receipt = reply.result, "lookup" if reply.looked_up else "answer"
    end.did_nothing = verdict is RetryVerdict.FAIL and act.step.mutates
    return end


def _repeated(step: Step, token: int, owner: Step | None) -> End | None:
    """``ending.repeated`` and ``_inherited``."""
    if owner is None or owner is step:
        return None
    if owner.run is not step.run:
        row = _owner_row(owner)
        if forking.is_under_way(row, step.run.id) or forking.may_take_over(row, step.run.id):
            return None
        if owner.state is not State.SUCCEEDED:
            return End(step, token, "failed", error_class="conflict")
        said = ("inherited", State.SUCCEEDED)
    elif owner.disposition != "executed":
        return End(step, token, "failed", error_class="conflict")
    else:
        said = ("deduplicated", State.SUCCEEDED)
    return End(step, token, said[0], said[1], result=owner.result, copied_from=owner.id)


def _owner_row(owner: Step) -> dict[str, Any]:
    return {
        "run_id": owner.run.id,
        "state": owner.state.value,
        "idempotency": owner.tool.idempotency,
        "attempts": owner.attempts_made,
    }


def _past(step: Step) -> saga.Past:
    return saga.Past(
        id=step.id,
        seq=step.seq,
        tool=step.tool.name,
        effect=step.tool.effect,
        state=step.state.value,
        disposition=step.disposition,
        undoes=step.compensates.id if step.compensates else None,
        arguments=step.arguments,
        result=step.result,
        word=step.word,
    )
