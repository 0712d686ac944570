"""The journal in memory: the same guarded updates as ``apps.runs.journal``, one at a time.

Each method names the statement it stands for, and hits the same rows: a fencing token that isn't
the step's hits none. Transactions are serial here: what PostgreSQL's locks and unique indexes do
between two of them is the business of tests with real databases. What can happen around one (it
fails, its reply is lost, it comes late) happens here too.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol
from uuid import UUID

from apps.calls.domain.breaker import BreakerStatus
from apps.runs.domain import suspicion
from apps.runs.domain.barrier import StopInForce
from apps.runs.domain.pausing import WAITS_FOR_RESUME
from apps.runs.domain.states import LIVE, TERMINAL, State
from apps.runs.domain.suspicion import ALONE, FEW, ClaimGroup, Evidence, claim_group_of
from tests.simulation.rows import FOR_EVER, Act, Approval, Attempt, End, Reply, Run, Step

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
S = State
MOVABLE = LIVE | {S.ACCEPTED}  # the states that ``journal.update_runs`` names


class Watcher(Protocol):
    """Who is told of each change, before it is made, and may object."""

    def moves(self, row: Run | Step, new: State) -> None: ...
    def leases(self, step: Step, token: int) -> None: ...
    def writes(self, step: Step, token: int, what: str) -> None: ...
    def intends(self, step: Step, approval: Approval | None) -> None: ...
    def receipts(self, step: Step, evidence: str) -> None: ...
    def asks(self, step: Step) -> None: ...
    def commits(self, works: Iterable[tuple[Step, int]], actions: Iterable[Act]) -> None: ...


class Store:
    def __init__(self, clock: Callable[[], float], timer: Callable[[float], None]) -> None:
        self.clock = clock
        self.timer = timer  # the sweep will have something to do at this time
        self.watch: Watcher
        self.runs: dict[UUID, Run] = {}
        self.steps: dict[UUID, Step] = {}
        self.by_state: dict[State, dict[UUID, Step]] = {state: {} for state in S}
        self.intents: dict[tuple[UUID, str], tuple[Step, UUID | None]] = {}
        self.attempts: dict[tuple[UUID, int], Attempt] = {}
        self.receipts: dict[UUID, str] = {}
        self.approvals: dict[UUID, Approval] = {}
        self.breakers: dict[str, BreakerStatus] = {}
        self.budgets: dict[str, float] = {}
        self.buckets: dict[str, datetime] = {}
        self.stops: dict[int, StopInForce] = {}
        self.findings: list[tuple[UUID, int, int, str]] = []  # step, round, person, word
        self.look_ups: Counter[tuple[UUID, int]] = Counter()  # of a step in a round
        self.tokens = 0
        self.dirty: list[Step] = []

    def datetime(self) -> datetime:
        return self.moment(self.clock())

    def moment(self, at: float) -> datetime:
        return BEGAN + timedelta(seconds=at)

    # --- rows ---------------------------------------------------------------------------------

    def move(self, step: Step, new: State) -> None:
        if step.state is not new:
            self.watch.moves(step, new)
            del self.by_state[step.state][step.id]
            step.state = new
            self.by_state[new][step.id] = step
        self.dirty.append(step)

    def move_run(self, run: Run, new: State, **changes: Any) -> None:
        if run.state is not new:
            self.watch.moves(run, new)
            run.state = new
        run.finished_at = self.clock() if new in TERMINAL else None
        for name, value in changes.items():
            setattr(run, name, value)

    def add_step(self, step: Step, *, owner: str, until: float | None, token: int | None) -> None:
        """``add_steps``: leased to ``owner`` at once, or queued."""
        self.steps[step.id] = step
        step.run.steps.append(step)
        self.by_state[S.QUEUED][step.id] = step
        if until is not None and token is not None:
            self._lease(step, token, owner, until)
        else:
            self.timer(step.not_before)
        self.dirty.append(step)

    def _clear(self, step: Step) -> None:
        step.token, step.lease_until, step.owner = None, 0.0, ""

    def ours(self, step: Step, token: int) -> bool:
        """``WHERE lease_token = … AND state = 'running'``: the guard of every write."""
        return step.token == token and step.state is S.RUNNING

    # --- leases -------------------------------------------------------------------------------

    def suspects(self) -> ClaimGroup | None:
        """``claiming.suspects``."""
        found = (s for c in (FEW, ALONE) for s in self.due(limit=c.most, group=c))
        losses = min((s.losses for s in found), default=None)
        return None if losses is None else claim_group_of(losses)

    def due(self, *, limit: int, group: ClaimGroup) -> list[Step]:
        """``claiming.due``."""
        now = self.clock()
        found = [
            s
            for s in self.by_state[S.QUEUED].values()
            if s.not_before <= now and group.low <= s.losses <= group.high
        ]
        found.sort(key=lambda s: (s.priority, s.not_before, s.id))
        return found[: min(limit, group.most)]

    def next_token(self) -> int:
        self.tokens += 1
        return self.tokens

    def lease(self, steps: Sequence[Step], *, owner: str, lease_s: float) -> None:
        """``claiming.lease``."""
        for step in steps:
            if step.state is S.QUEUED:
                self._lease(step, self.next_token(), owner, self.clock() + lease_s)
                if step.run.state in {S.QUEUED, S.WAITING_APPROVAL}:
                    self.move_run(step.run, S.RUNNING)

    def _lease(self, step: Step, token: int, owner: str, until: float) -> None:
        self.watch.leases(step, token)
        step.token, step.lease_until, step.owner, step.waits_for = token, until, owner, ""
        self.move(step, S.RUNNING)
        self.timer(until)

    def renew(self, held: Iterable[tuple[Step, int]], *, lease_s: float) -> None:
        """``renew``."""
        for step, token in held:
            if self.ours(step, token):
                step.lease_until = self.clock() + lease_s
                self.timer(step.lease_until)

    def queue(self, step: Step, *, wait_s: float | None, waits_for: str = "") -> None:
        step.not_before = FOR_EVER if wait_s is None else self.clock() + wait_s
        step.waits_for = waits_for
        self._clear(step)
        self.move(step, S.QUEUED)
        self.timer(step.not_before)

    def park(self, step: Step, waits_for: str, wait_s: float | None) -> None:
        """``claiming.park``."""
        if step.state is S.QUEUED:
            self.queue(step, wait_s=wait_s, waits_for=waits_for)

    def give_back(self, step: Step, token: int, waits_for: str, wait_s: float | None) -> bool:
        """``barriers.keep``, ``forking.await_others``: what we hold goes back with a reason."""
        if not self.ours(step, token):
            return False
        self.watch.writes(step, token, "give back")
        self.queue(step, wait_s=wait_s, waits_for=waits_for)
        return True

    def release(self, owner: str) -> None:
        """``parking.release``: a worker that was told to stop."""
        for step in list(self.by_state[S.RUNNING].values()):
            if step.owner == owner and not step.intent_open:
                self._close_attempts(step, "released")
                self.queue(step, wait_s=0.0)

    def expire_leases(self, evidence: Evidence | None = None) -> list[Step]:
        """``lost.end_leases_of`` and ``lost.expire_leases``."""
        now, told = self.clock(), evidence or Evidence()
        running = self.by_state[S.RUNNING].values()
        ours = {s.id for s in running if told.process and s.owner == told.process}
        dead = [s for s in running if s.lease_until < now or s.id in ours]
        for step in dead:
            step.losses, step.blame = suspicion.after_loss(
                told if step.id in ours else Evidence(),
                step.id,
                losses=step.losses,
                blame=step.blame,
                alone=len(ours) == 1 or step.losses >= ALONE.low,
            )
            fate = suspicion.fate(
                poison=suspicion.is_poison(losses=step.losses, blame=step.blame),
                intent_open=step.intent_open,
                keyed=step.tool.idempotency == "keyed",
            )
            self._close_attempts(step, "lease_lost")
            step.disposition, step.error_class = fate.disposition, fate.error_class
            step.not_before, step.finished_at = now, now
            self._clear(step)
            self.move(step, fate.state)
            self.timer(now)
        return dead

    def _close_attempts(self, step: Step, outcome: str) -> None:
        for number in range(step.attempts_made, 0, -1):
            attempt = self.attempts.get((step.id, number))
            if attempt is None or attempt.outcome:
                break
            attempt.outcome = attempt.error_class = outcome

    # --- intents ------------------------------------------------------------------------------

    def open_intent(self, step: Step, token: int, approval: Approval | None) -> bool:
        """``open_intents`` / ``take_intents``: unique (root, key); whether the step owns it."""
        if not self.ours(step, token):
            return False
        place = (step.run.root_id, step.key)
        owner, _ = self.intents.setdefault(place, (step, approval and approval.id))
        if owner is not step:
            return False
        self.watch.intends(step, approval)
        step.intent_open = True
        return True

    def owner_of(self, step: Step) -> Step | None:
        """``owners_of``."""
        found = self.intents.get((step.run.root_id, step.key))
        return found[0] if found else None

    def free_intent(self, step: Step) -> None:
        """``free_intents``."""
        place = (step.run.root_id, step.key)
        if (found := self.intents.get(place)) and found[0] is step:
            del self.intents[place]

    def open_attempt(self, step: Step, token: int, number: int) -> None:
        """``open_attempts`` (on conflict do nothing) and ``count_attempts``."""
        self.attempts.setdefault((step.id, number), Attempt(step, number, token))
        if step.token == token:
            step.attempts_made = number

    def put_back(self, step: Step, token: int, number: int) -> None:
        """``withholding.put_back``."""
        if self.ours(step, token):
            self.watch.writes(step, token, "put back")
            step.attempts_made = number - 1
            self.attempts.pop((step.id, number), None)
            self.queue(step, wait_s=0.0)

    # --- recording ----------------------------------------------------------------------------

    def close_attempt(self, step: Step, number: int, outcome: str, reply: Reply) -> None:
        """``close_attempts``."""
        attempt = self.attempts.get((step.id, number))
        if attempt is not None and not attempt.outcome:
            attempt.outcome, attempt.error_class = outcome, reply.error_class
            attempt.http_status = reply.http_status

    def is_unsent(self, step: Step) -> bool:
        """``NOT unsent.MAY_HAVE_HAPPENED``: of a step that is queued or was just claimed. An
        unkeyed one never comes to the queue when it may have happened."""
        if step.tool.idempotency != "keyed":
            return True
        return not self.may_have_happened(step)

    def may_have_happened(self, step: Step, *, before: int = 0) -> bool:
        """``unsent.may_have_happened``: whether an attempt may have had its effect, of all or of
        those ``before`` one."""
        return any(
            not a.did_nothing
            for number in range(1, before or step.attempts_made + 1)
            if (a := self.attempts.get((step.id, number)))
        )

    def free_unsent(self, step: Step) -> None:
        """``unsent.free``."""
        tried = (self.attempts.get((step.id, n)) for n in range(1, step.attempts_made + 1))
        made_nothing = all(a.made_nothing for a in tried if a)
        if step.state in {S.FAILED, S.CANCELLED} and made_nothing:
            self.free_intent(step)

    def drop_late(self, step: Step) -> bool:
        """``unsent.drop_late``: a claimed step that must not begin any more ends here."""
        late = step.run.state is S.CANCELLED or step.run.deadline_at <= self.clock()
        if not (late and step.intent_open and step.mutates and self.is_unsent(step)):
            return False
        state = S.CANCELLED if step.run.state is S.CANCELLED else S.FAILED
        step.intent_open = False
        self.free_intent(step)
        self._end(step, state, state.value, "" if state is S.CANCELLED else "deadline")
        self.timer(self.clock())
        return True

    def settle(self, end: End) -> bool:
        """``settle``: whether the step was still ours."""
        step = end.step
        if end.act is not None and end.reply is not None:
            self.close_attempt(step, end.act.number, end.outcome, end.reply)
        if not self.ours(step, end.token):
            return False
        self.watch.writes(step, end.token, f"settle {end.disposition}")
        step.disposition, step.result, step.error_class = (
            end.disposition, end.result, end.error_class,
        )  # fmt: skip
        step.copied_from, step.finished_at = end.copied_from, self.clock()
        step.intent_open = end.state is S.CONFIRMATION_UNKNOWN
        self._clear(step)
        self.move(step, end.state)
        self.timer(step.not_before)
        if end.receipt:
            self.add_receipt(step, end.receipt)
        return True

    def requeue(self, step: Step, token: int, *, delay_s: float, waits_for: str) -> bool:
        """``requeue``."""
        if not self.ours(step, token):
            return False
        self.watch.writes(step, token, "requeue")
        self.queue(step, wait_s=delay_s, waits_for=waits_for)
        return True

    def add_receipt(self, step: Step, evidence: str) -> None:
        self.watch.receipts(step, evidence)
        self.receipts.setdefault(step.id, evidence)

    def hold(self, step: Step, token: int, approval: Approval) -> bool:
        """``hold``."""
        if not self.ours(step, token):
            return False
        self.watch.writes(step, token, "hold")
        step.approval_id = approval.id
        self._clear(step)
        self.move(step, S.WAITING_APPROVAL)
        if step.run.state is S.RUNNING:
            self.move_run(step.run, S.WAITING_APPROVAL)
        return True

    def update_run(self, run: Run, state: State, **changes: Any) -> bool:
        """``update_runs``: not one that was cancelled meanwhile."""
        if run.state not in MOVABLE:
            return False
        self.move_run(run, state, **changes)
        return True

    def wake(self, approval: Approval) -> None:
        """``wake``: the step that waits for this approval."""
        step = approval.step
        if step.state is S.WAITING_APPROVAL and step.approval_id == approval.id:
            step.priority = min(step.priority, 10)
            paused = step.run.paused
            self.queue(
                step, wait_s=None if paused else 0.0, waits_for=WAITS_FOR_RESUME if paused else ""
            )

    def void(self, run: Run) -> None:
        """``approvals.void_for_run``."""
        for approval in self.approvals.values():
            unused = approval.state == "pending" or (
                approval.state == "approved" and not approval.used
            )
            if approval.step.run is run and unused:
                approval.state = "void"

    # --- people and the sweep -----------------------------------------------------------------

    def cancel_waiting(self, run: Run) -> None:
        """``cancel_waiting_steps``."""
        for step in run.steps:
            waits = step.state in {S.QUEUED, S.WAITING_APPROVAL}
            if waits and (not step.intent_open or self.is_unsent(step)):
                step.intent_open = False
                self._end(step, S.CANCELLED, "cancelled", "")
                self.free_unsent(step)

    def drop_cancelled(self, step: Step, token: int) -> bool:
        """``parking.drop_cancelled``: whether the step ended here."""
        gone = step.run.state is S.CANCELLED and self.ours(step, token) and not step.intent_open
        if gone:
            self.watch.writes(step, token, "drop")
            self._end(step, S.CANCELLED, "cancelled", "")
        return gone

    def _end(self, step: Step, state: State, disposition: str, error_class: str) -> None:
        step.disposition, step.error_class, step.finished_at = (
            disposition, error_class, self.clock(),
        )  # fmt: skip
        self._clear(step)
        self.move(step, state)

    def end_overdue(self) -> None:
        """``lost.end_overdue``."""
        for run in self.runs.values():
            if run.state not in MOVABLE or run.deadline_at >= self.clock():
                continue
            if any(self._keeps_open(s) for s in run.steps):
                continue
            self.move_run(run, S.FAILED, outcome="timed_out", error_class="deadline")
            for step in run.steps:
                if step.state in {S.QUEUED, S.WAITING_APPROVAL}:
                    step.intent_open = False
                    self._end(step, S.FAILED, "failed", "deadline")
                    self.free_unsent(step)
            self.void(run)

    def _keeps_open(self, step: Step) -> bool:
        unsent = step.state is S.QUEUED and self.is_unsent(step)
        return step.state is S.RUNNING or (step.intent_open and not unsent)

    def settle_unknown(self, step: Step, state: State, disposition: str, error: str) -> None:
        """``unknown.settle``."""
        step.intent_open = False
        self._end(step, state, disposition, error)

    def queue_unknown_again(self, step: Step) -> None:
        """``unknown.queue_again``."""
        self.free_intent(step)
        step.disposition, step.error_class, step.gate = "", "", ""
        step.approval_id, step.intent_open, step.losses, step.blame = None, False, 0, 0
        step.priority = min(step.priority, 10)
        self.queue(step, wait_s=0.0)

    def queue_poison_again(self, step: Step) -> None:
        """``poison.queue_again``."""
        step.disposition, step.error_class, step.gate = "", "", ""
        step.approval_id, step.losses, step.blame = None, ALONE.low, 0
        self.queue(step, wait_s=0.0)
        self.move_run(step.run, S.QUEUED, outcome="", error_class="")

    def park_run(self, run: Run) -> None:
        """``parking.park_run``."""
        now = self.clock()
        for step in run.steps:
            if step.state is S.QUEUED and (step.not_before <= now or step.not_before >= FOR_EVER):
                self.queue(step, wait_s=None, waits_for=WAITS_FOR_RESUME)

    def unpark_run(self, run: Run) -> None:
        """``parking.unpark_run`` and ``unpark_resumed``."""
        for step in run.steps:
            if step.state is S.QUEUED and step.waits_for == WAITS_FOR_RESUME:
                self.queue(step, wait_s=0.0)
