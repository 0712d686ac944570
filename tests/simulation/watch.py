"""What must hold after every event. Told of each change before it is made; trusts the ledger."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any
from uuid import UUID

from apps.calls.domain import budget
from apps.calls.domain.breaker import OPEN_FOR, PROBES, BreakerStatus
from apps.runs.domain.states import TERMINAL, State, is_legal
from apps.runs.domain.suspicion import GUILTY, UNEXPLAINED
from tests.simulation.rows import Act, Approval, Run, Step

if TYPE_CHECKING:
    from tests.simulation.world import World

S = State
CALM = frozenset({S.WAITING_APPROVAL, S.CONFIRMATION_UNKNOWN})
# How a call ends that certainly did nothing: in words of its own, since what the product makes of
# them is what is watched.
NOTHING = frozenset({"http_401", "http_429", "not_connected"})


class ViolationError(AssertionError):
    """An invariant doesn't hold."""

    def __init__(self, invariant: str, subject: str, problem: str) -> None:
        super().__init__(f"{invariant} {subject}: {problem}")
        self.invariant = invariant


class Watch:
    def __init__(self, world: World) -> None:
        self.world = world
        self.newest: dict[UUID, int] = {}
        self.late: set[int] = set()  # tokens under which nothing may begin: the run was over
        self.intended: dict[tuple[UUID, str], UUID] = {}
        self.unsure: Counter[UUID] = Counter()  # calls of a step that may have done something
        self.licences: Counter[UUID] = Counter()  # times that people said it didn't happen
        self.deed_licences: Counter[tuple[Any, ...]] = Counter()
        self.deeds: Counter[tuple[Any, ...]] = Counter()
        self.keys: Counter[str] = Counter()
        self.made: set[UUID] = set()  # steps that had an effect
        self.undone: dict[UUID, int] = {}  # run → seq of the effect undone last
        self.probing: dict[str, set[UUID]] = {}
        self.open_since: dict[str, float] = {}  # of breakers that opened by themselves

    # --- what the database does ---------------------------------------------------------------

    def moves(self, row: Run | Step, new: State) -> None:
        if not is_legal(row.state, new):
            raise ViolationError("I8", row.name, f"{row.state} → {new}")
        if new is S.CANCELLED and row.error_class.startswith("compensation_"):
            raise ViolationError("undone", row.name, "cancelled while it is being undone")
        if new is S.SHED and row.cls == 0:  # type: ignore[union-attr]  # only runs are shed
            raise ViolationError("C0", row.name, "shed")

    def leases(self, step: Step, token: int) -> None:
        last = self.newest.get(step.id, 0)
        if token <= last or step.state is S.RUNNING:
            raise ViolationError("I4", step.name, f"leased by {token} while {last} has it")
        self.newest[step.id] = token
        run, now = step.run, self.world.now
        tried = [
            a.error_class in NOTHING for a in self.world.store.attempts.values() if a.step is step
        ]
        over = run.state is S.CANCELLED or run.deadline_at <= now
        if over and step.mutates and all(tried) and (tried or not step.intent_open):
            self.late.add(token)
        if step.losses >= UNEXPLAINED or step.blame >= GUILTY:
            raise ViolationError("poison", step.name, f"ended {step.losses} workers, and is tried")
        self._passes_the_breaker(step)
        self._fits_the_cap(step)

    def _passes_the_breaker(self, step: Step) -> None:
        name = step.tool.full_name
        breaker = self.world.store.breakers.get(name)
        if breaker is None or breaker.state == "closed":
            self.probing.pop(name, None)
            return
        if breaker.state == "open":
            raise ViolationError("breaker", step.name, f"begins while {name} is open")
        out = self.probing.setdefault(name, set())
        steps = self.world.store.steps
        out.intersection_update([i for i in out if steps[i].state is S.RUNNING])
        out.add(step.id)
        if len(out) > PROBES:
            raise ViolationError("breaker", step.name, f"{len(out)} probes of {name} at once")

    def _fits_the_cap(self, step: Step) -> None:
        name = step.tool.full_name
        cap = self.world.bounds.caps.get(("tool", name))
        if cap is None or cap.max_in_flight is None:
            return
        running = self.world.store.by_state[S.RUNNING].values()
        count = 1 + sum(s.tool.full_name == name for s in running)
        if count > cap.max_in_flight:
            raise ViolationError("cap", step.name, f"{count} of {name} at once")

    def writes(self, step: Step, token: int, what: str) -> None:
        if self.newest.get(step.id) != token or step.state is not S.RUNNING:
            newest = self.newest.get(step.id)
            raise ViolationError("fence", step.name, f"{what} under {token}, owned by {newest}")

    def intends(self, step: Step, approval: Approval | None) -> None:
        if step.tool.policy == "hold" or step.is_unknown:
            given = approval is not None and approval.used and approval.step is step
            if not given or approval is None or approval.digest != self.world.bound(step):
                raise ViolationError("I2", step.name, "intended without its approval")
            if len(set(approval.approved_by)) < step.tool.votes:
                raise ViolationError("I2", step.name, f"approved by {approval.approved_by} only")
        if step.tool.policy == "deny":
            raise ViolationError("I2", step.name, "intended though denied")
        self.intended[step.run.root_id, step.key] = step.id

    def receipts(self, step: Step, evidence: str) -> None:
        proves = evidence in {"answer", "lookup"} and step.mutates
        if proves and not (self.keys[step.key] and self.deeds[self._deed(step)]):
            raise ViolationError("I3", step.name, f"{evidence} kept, but the ledger is empty")

    def asks(self, step: Step) -> None:
        given = self.world.store.approvals.get(step.approval_id) if step.approval_id else None
        if given is not None and given.state in {"rejected", "expired"}:
            raise ViolationError("ask", step.name, f"asked again after it was {given.state}")

    def commits(self, works: Iterable[tuple[Step, int]], actions: Iterable[Act]) -> None:
        """A transaction is over: whatever it held is under way now, or isn't held any more."""
        begun = {a.token for a in actions}
        for step, token in works:
            if token not in begun and self.world.store.ours(step, token):
                raise ViolationError("I5", step.name, "held, and nobody is at it")

    # --- what the world sees ------------------------------------------------------------------

    def sends(self, act: Act, key: str, *, certain: bool) -> None:
        """A call arrives at the tool. ``certain``: it says that it did nothing."""
        step = act.step
        if not step.mutates:
            return
        if self.intended.get((step.run.root_id, step.key)) is None:
            raise ViolationError("I2", step.name, "sent without an intent")
        if act.token in self.late:
            raise ViolationError(
                "I10", step.name, f"begins although its run was over: {step.run.state}"
            )
        if (step.id, act.number) not in self.world.store.attempts:
            raise ViolationError("I2", step.name, f"attempt {act.number} isn't written down")
        if step.tool.idempotency != "keyed" and self.unsure[step.id] > self.licences[step.id]:
            raise ViolationError("I1", step.name, "sent again by the machine, and it takes no key")
        if not certain:
            self.unsure[step.id] += 1

    def _deed(self, step: Step) -> tuple[Any, ...]:
        undoes = step.compensates.id if step.compensates else None
        own = step.id if step.tool.terms.repeatable else None
        return (step.run.root_id, step.tool.name, str(step.arguments), undoes, own)

    def happens(self, step: Step, key: str) -> None:
        deed = self._deed(step)
        self.deeds[deed] += 1
        self.keys[key] += 1
        self.made.add(step.id)
        keyed = step.tool.idempotency == "keyed"
        if keyed and self.keys[key] > 1:
            raise ViolationError("I1", step.name, f"{self.keys[key]} effects of one key")
        if self.deeds[deed] > 1 + (0 if keyed else self.deed_licences[deed]):
            raise ViolationError("I1", step.name, f"{self.deeds[deed]} equal effects")
        if step.compensates is not None and self.deeds[deed] == 1:
            self._undoes_backwards(step)

    def _undoes_backwards(self, step: Step) -> None:
        assert step.compensates is not None
        seq, last = step.compensates.seq, self.undone.get(step.run.id)
        if last is not None and seq > last and step.id not in self.late_undoings():
            raise ViolationError("undone", step.name, f"undoes step {seq} after step {last}")
        self.undone[step.run.id] = min(seq, last if last is not None else seq)

    def late_undoings(self) -> set[UUID]:
        """Undoings that people gave up and that happened all the same, later."""
        return {s for s, *_ in self.world.store.findings}

    def allows(self, step: Step) -> None:
        """A person says of an unknown call that it did not happen."""
        self.licences[step.id] += 1
        self.deed_licences[self._deed(step)] += 1

    # --- after each event ---------------------------------------------------------------------

    def settle(self) -> None:
        store = self.world.store
        for step in store.dirty:
            self._row(step)
        store.dirty.clear()
        for approval in store.approvals.values():
            step = approval.step
            asks = step.state is S.WAITING_APPROVAL and step.approval_id == approval.id
            if approval.state == "pending" and not asks:
                raise ViolationError("ask", step.name, f"is {step.state}, and people are asked")
        for name, breaker in store.breakers.items():
            self._rests_open(name, breaker)
        for name, tokens in store.budgets.items():
            if not 0.0 <= tokens <= budget.CAPACITY:
                raise ViolationError("budget", name, f"{tokens} tokens")

    def _rests_open(self, name: str, breaker: BreakerStatus) -> None:
        if breaker.state == "open":
            self.open_since.setdefault(name, self.world.now)
        elif (since := self.open_since.pop(name, None)) is not None:
            open_s = self.world.now - since
            if open_s < OPEN_FOR.total_seconds():
                raise ViolationError("breaker", name, f"tried after {open_s:.1f} s")

    def lets(self, name: str) -> None:
        """A person lets a breaker be tried before its time."""
        self.open_since.pop(name, None)

    def _row(self, step: Step) -> None:
        if (step.token is None) is (step.state is S.RUNNING):
            raise ViolationError("I4", step.name, f"{step.state} with token {step.token}")
        done = step.state is S.SUCCEEDED
        source = step.copied_from if step.disposition == "deduplicated" else step.id
        receipted = source in self.world.store.receipts
        if done is not receipted:
            raise ViolationError("I3", step.name, f"{step.state}, receipt: {receipted}")
        if done and step.word == "give_up":
            raise ViolationError("I3", step.name, "given up, yet done")
        if step.copied_from is not None:
            first = self.world.store.steps[step.copied_from]
            same = (first.tool, first.arguments) == (step.tool, step.arguments)
            if not same or step.tool.terms.repeatable:
                raise ViolationError("I3", step.name, f"answered with another call: {first.name}")

    # --- at the end ---------------------------------------------------------------------------

    def finish(self) -> None:
        """All is calm: whatever was accepted has ended, or waits where a person sees it, and what
        is said of it is so."""
        for run in self.world.store.runs.values():
            if run.state not in TERMINAL | CALM:
                raise ViolationError("I5", run.name, f"{run.state} at the end")
            for step in run.steps:
                self._rests(step)
                self._is_told_truly(step)
            self._is_judged_truly(run)
            self._is_undone_truly(run)

    def _rests(self, step: Step) -> None:
        run = step.run
        calm = step.state in CALM and (run.state in CALM or run.state is S.CANCELLED)
        if step.state not in TERMINAL and not calm and step.state is not S.CONFIRMATION_UNKNOWN:
            raise ViolationError("I5", step.name, f"{step.state} in a run {run.state}")

    def _is_told_truly(self, step: Step) -> None:
        by_person = step.error_class == "not_done" or step.word or self.licences[step.id]
        # A tool's refusal is its word for the key, even if an older call of it comes later still.
        trusted = by_person or step.disposition == "refused_by_tool"
        if step.state in {S.FAILED, S.CANCELLED} and step.id in self.made and not trusted:
            raise ViolationError("I3", step.name, f"{step.state}, and it happened")

    def _is_judged_truly(self, run: Run) -> None:
        wanted = self.world.engine.wanted[run.job]
        done = {s.tool.name for s in run.steps if s.state is S.SUCCEEDED}
        if run.state is S.SUCCEEDED and wanted and not done & set(wanted):
            raise ViolationError("judged", run.name, f"succeeded by {sorted(done)}")
        if sum(s.compensates is None for s in run.steps) > self.world.engine.limits.steps:
            raise ViolationError("limit", run.name, f"{run.steps_total} steps")

    def _is_undone_truly(self, run: Run) -> None:
        """A run that is called compensated has nothing left of what it did."""
        if run.state is not S.COMPENSATED or run.outcome != "compensated":
            return
        undone = {s.compensates.id for s in run.steps if s.compensates and self._is_done(s)}
        left = [s.name for s in run.steps if self._has_effect(s) and s.id not in undone]
        if left:
            raise ViolationError("undone", run.name, f"compensated, and {left} are not undone")

    def _has_effect(self, step: Step) -> bool:
        made = step.mutates and step.disposition == "executed"
        return made and step.compensates is None

    def _is_done(self, step: Step) -> bool:
        return step.state is S.SUCCEEDED or step.word == "happened"
