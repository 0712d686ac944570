"""Simulated people: they decide late, or never, find out what became of lost calls (not always
rightly), stop, pause, cancel and undo. Each does what a service of the product does, guards
included; whoever loses the race changes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from apps.calls.domain import breaker
from apps.calls.domain.breaker import BreakerStatus
from apps.calls.domain.lookup import Looked, read_answer
from apps.oversight.domain import rules
from apps.runs.domain import barrier, undo
from apps.runs.domain.barrier import StopInForce, StopScope
from apps.runs.domain.finding import FindingVerdict, is_agreed
from apps.runs.domain.pausing import OPEN
from apps.runs.domain.states import CANCELLABLE, State
from tests.simulation.engine import Engine
from tests.simulation.rows import Approval, Run, Step
from tests.simulation.store import BEGAN, timedelta

if TYPE_CHECKING:
    from tests.simulation.world import World

S = State


class People:
    def __init__(self, world: World) -> None:
        self.world = world
        self.engine: Engine = world.engine
        self.store = world.store
        self.rng = world.rng
        self.noticed: set[tuple[UUID, int, str]] = set()

    # --- approvals ----------------------------------------------------------------------------

    def asked(self, step: Step) -> Approval:
        """``oversight.services.request_batch``; somebody will look at it, perhaps."""
        world = self.world
        world.watch.asks(step)
        window = self.rng.choice((20.0, 120.0, 600.0))
        approval = Approval(
            world.new_id(), step, world.bound(step), step.tool.risk, step.tool.votes,
            world.now + window,
        )  # fmt: skip
        self.store.approvals[approval.id] = approval
        self.store.timer(approval.expires_at)
        for person in range(1, step.tool.votes + 1):
            delay_s = self.rng.expovariate(1 / (window * self.world.patience))
            world.after(delay_s, self._decide, approval, person)
        return approval

    def _decide(self, approval: Approval, person: int) -> None:
        approve = self.rng.random() < 0.75
        standing = rules.ApprovalStatus(
            approval.state, approval.digest, approval.risk, ("operator",), approval.votes_required,
            BEGAN + timedelta(seconds=approval.expires_at), approved_by=approval.approved_by,
        )  # fmt: skip
        answer = rules.ProposedVote(
            person, "operator", approve, "seen", self.world.bound(approval.step)
        )
        refused = rules.refusal(standing, answer, self.store.datetime())
        if refused is not None:
            self.world.log("person", f"{approval.step.name} too late", refused.code)
            return
        approval.state = rules.outcome(standing, answer)
        approval.approved_by += (person,) if approve else ()
        self.world.log("person", f"{approval.step.name} {approval.state}")
        if approval.state != "pending":
            self._bell(approval)

    def _bell(self, approval: Approval) -> None:
        if self.rng.random() < self.world.faults["bell_lost"]:
            self.store.timer(self.world.now)
        else:
            self.store.wake(approval)
            self.world.ring()

    # --- lost calls ---------------------------------------------------------------------------

    def notice(self, step: Step) -> None:
        """An unknown step, or a failed undoing, is on the page."""
        failed = step.run.error_class == undo.FAILED and step.state is S.FAILED
        if step.state is not S.CONFIRMATION_UNKNOWN and not failed:
            return
        mark = (step.id, step.attempts_made, step.state.value)
        if mark not in self.noticed:
            self.noticed.add(mark)
            delay_s = self.rng.expovariate(1 / 90.0)
            what = self._settle_failed if failed else self._resolve
            self.world.after(delay_s, what, step, step.attempts_made, 1)

    def _word(self, step: Step) -> FindingVerdict:
        """What a person finds out: mostly the truth, as far as it can be seen now."""
        happened = bool(self.world.watch.keys[step.key])
        if self.rng.random() < 0.15:
            happened = not happened
        if happened:
            return FindingVerdict.UNDO if self.rng.random() < 0.2 else FindingVerdict.HAPPENED
        again = not self.world.is_calm and self.rng.random() < 0.6
        return FindingVerdict.TRY_AGAIN if again else FindingVerdict.GIVE_UP

    def _resolve(self, step: Step, round_number: int, person: int) -> None:
        """``reconcile.resolve``."""
        if step.state is not S.CONFIRMATION_UNKNOWN or step.attempts_made != round_number:
            self.world.log("person", f"{step.name} resolved already")
            return
        word = self._word(step)
        in_time = step.run.deadline_at > self.world.now or step.compensates is not None
        if word is FindingVerdict.TRY_AGAIN and not in_time:
            word = FindingVerdict.GIVE_UP
        votes = [(p, w) for s, r, p, w in self.store.findings if s == step.id and r == round_number]
        votes.append((person, word.value))
        settles = is_agreed(votes, word, step.tool.risk)
        if settles and not self._act(step, word):
            settles = False
        else:
            self.store.findings.append((step.id, round_number, person, word.value))
        self.world.log("person", f"{step.name} {word}", f"settles: {settles}")
        if not settles:
            delay_s = self.rng.expovariate(1 / 60.0)
            self.world.after(delay_s, self._resolve, step, round_number, 1 + person % 3)

    def _act(self, step: Step, word: FindingVerdict) -> bool:
        """``reconcile._act``; ``False``: a conflict, nothing changed."""
        run = step.run
        if word is FindingVerdict.HAPPENED:
            self.engine.succeed_unknown(step, {"content": "a person says so"}, "person")
        elif word is FindingVerdict.GIVE_UP:
            self.world.watch.allows(step)
            self.store.settle_unknown(step, S.FAILED, "failed", "not_done")
            self.store.free_intent(step)
            self.engine.go_on(step)
        elif word is FindingVerdict.UNDO:
            return self._undo_with(step)
        elif self.engine.reopen_undoing(run) or self._reopen(run):
            self.world.watch.allows(step)
            self.store.queue_unknown_again(step)
            self.world.ring()
        else:
            return False
        return True

    def _reopen(self, run: Run) -> bool:
        """``unknown.reopen_run``."""
        if run.state is not S.CONFIRMATION_UNKNOWN:
            return False
        self.store.move_run(run, S.QUEUED, error_class="")
        return True

    def _undo_with(self, step: Step) -> bool:
        """``reconcile._undo``."""
        run = step.run
        plan = self.engine.undo_plan(run, assume_happened=step)
        if not undo.can_begin(plan, run.state, run.error_class):
            return False
        step.result = {"content": "a person says so"}
        self.store.settle_unknown(step, S.SUCCEEDED, "executed", "")
        self.store.add_receipt(step, "person")
        self.engine.begin_undoing(run)
        return True

    def _settle_failed(self, step: Step, round_number: int, person: int) -> None:
        """``services.undoing``: a failed undoing is tried again, done by hand, or left."""
        run = step.run
        item = self.engine.undo_plan(run).next if self.engine.is_undoing(run) else None
        stands = item is not None and item.by is not None and item.by.id == step.id
        if item is None or not stands or item.stage is not undo.Stage.FAILED:
            return
        if not self.world.is_calm and self.rng.random() < 0.5:
            self.store.free_intent(step)
            if self.engine.reopen_undoing(run):
                self.engine.queue_undoing(run, item)
            self.world.log("person", f"{step.name} undo again")
        else:
            step.word = self.rng.choice((FindingVerdict.HAPPENED, FindingVerdict.GIVE_UP)).value
            self.world.log("person", f"{step.name} undoing: {step.word}")
            self.engine.resume_undoing(run)
        self.world.ring()

    def look_up(self, step: Step, round_number: int) -> None:
        """``reconcile._note``: the tool is asked outside any transaction, then the step is locked
        as unknown in that round."""
        answer = self.world.tools.look_up(step)
        looked = read_answer(answer, tool=step.tool.name, arguments=step.arguments)
        stands = step.state is S.CONFIRMATION_UNKNOWN and step.attempts_made == round_number
        self.world.log("sweep", f"{step.name} looked up: {looked}")
        if looked is Looked.FOUND and stands:
            self.engine.succeed_unknown(step, answer["result"], "lookup")

    # --- control ------------------------------------------------------------------------------

    def cancel(self, run: Run) -> None:
        """``cancel_run``."""
        undoing = self.engine.is_undoing(run)
        if run.state not in CANCELLABLE or undoing:
            return
        self.store.move_run(run, S.CANCELLED, outcome="cancelled", error_class="cancelled")
        self.store.cancel_waiting(run)
        self.store.void(run)
        self.world.log("person", f"cancels {run.name}")

    def pause(self, run: Run) -> None:
        if run.state in OPEN and not run.paused:
            run.paused = True
            self.store.park_run(run)
            self.world.log("person", f"pauses {run.name}")
            self.world.after(self.rng.uniform(1.0, 120.0), self.resume, run)

    def resume(self, run: Run) -> None:
        if run.paused:
            run.paused = False
            self.store.unpark_run(run)
            self.world.log("person", f"resumes {run.name}")
            self.world.ring()

    def undo(self, run: Run) -> None:
        """``undo_run``: the plan is looked at, and agreed to a little later."""
        plan = self.engine.undo_plan(run)
        self.world.after(self.rng.uniform(0.0, 5.0), self._agree, run, plan.digest)

    def _agree(self, run: Run, seen: str) -> None:
        plan = self.engine.undo_plan(run)
        can = undo.can_begin(plan, run.state, run.error_class)
        if can and plan.digest == seen:
            self.world.log("person", f"undoes {run.name}", f"{len(plan.items)} effects")
            self.engine.begin_undoing(run)
            self.world.ring()

    def place_stop(self, scope: StopScope, target: str) -> None:
        number = len(self.store.stops) + 1
        if any(s.scope is scope and s.target == target for s in self.store.stops.values()):
            return
        self.store.stops[number + self.world.events] = StopInForce(
            number + self.world.events, scope, target
        )
        self.world.log("person", f"stops {scope} {target}")
        self.world.bounds.park_due()
        self.world.after(self.rng.uniform(1.0, 90.0), self._lift_a_bit, number + self.world.events)

    def _lift_a_bit(self, number: int) -> None:
        stop = self.store.stops.get(number)
        if stop is None:
            return
        percent = barrier.next_stage(stop.percent)
        self.world.log("person", f"lets {percent} % go on", stop.target)
        if percent >= 100:
            del self.store.stops[number]
        else:
            self.store.stops[number] = StopInForce(number, stop.scope, stop.target, percent)
            self.world.after(self.rng.uniform(1.0, 30.0), self._lift_a_bit, number)
        self.world.bounds.wake_freed()
        self.world.ring()

    def open_breaker(self, name: str) -> None:
        now = self.store.datetime()
        one = self.store.breakers.get(name) or BreakerStatus("closed", now)
        self.store.breakers[name] = breaker.held_open(one, "by hand")
        self.world.log("person", f"opens the breaker of {name}")
        self.world.after(self.rng.uniform(5.0, 90.0), self._let_probe, name)

    def _let_probe(self, name: str) -> None:
        one = self.store.breakers[name]
        if one.state == "open":
            self.world.watch.lets(name)
            self.store.breakers[name] = breaker.half_opened(one)
            self.world.log("person", f"lets {name} be tried")
            self.world.bounds.wake_freed()
            self.world.ring()

    def try_poison_again(self, step: Step) -> None:
        run = step.run
        in_time = run.deadline_at > self.world.now
        if step.state is S.FAILED and run.error_class == "poison" == step.error_class and in_time:
            self.world.log("person", f"{step.name} poison, again")
            self.store.queue_poison_again(step)
            self.world.ring()
