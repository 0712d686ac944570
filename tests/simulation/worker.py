"""A simulated worker: ``engine.drain`` with its slots, its leases, its sleeps and its deaths."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from uuid import UUID

from apps.calls.domain.limiter import Limiter, LoadSign, ended, fresh
from apps.calls.domain.retry import Ending
from apps.runs.domain.suspicion import MANY, Evidence, WorkHorseEnd
from tests.simulation.rows import Act, Done, Reply, Tool
from tests.simulation.sweep import take_back_from

if TYPE_CHECKING:
    from tests.simulation.world import World

LEASE_S = 30.0
CLAIM = 4
KEEP_RECEIPTS_S = 60.0  # how long results wait in memory for a database that is away
LOOK_S = 1.0
MET_BY_CHANCE = 0.2  # more than a worker's own code takes of its time
GATHER_S = 0.004


class Worker:
    """One process. ``epoch`` counts its lives: what a former life has begun reaches nobody."""

    def __init__(self, world: World, name: str) -> None:
        self.world = world
        self.name = name
        self.epoch = 0
        self.alive = True
        self._reset()

    def _reset(self) -> None:
        self.owner = f"{self.name}:{self.epoch}"
        self.asleep_until = 0.0
        self.busy = False  # a transaction is under way
        self.stopping = False
        self.tasks: dict[int, Act] = {}
        self.finished: list[Done] = []
        self.inspected: list[Act] = []
        self.limiters: dict[str, Limiter] = {}
        self.waiting: dict[str, deque[Act]] = {}
        self.sent: set[int] = set()
        self.withheld: set[int] = set()
        self.renewing = False
        self.looking = False

    # --- life ---------------------------------------------------------------------------------

    def later(self, delay_s: float, what: Callable[..., None], *args: Any) -> None:
        """As ``world.after``, in this life, and not while the process sleeps."""
        self.world.after(delay_s, self._wake_for, self.epoch, what, args)

    def _wake_for(self, epoch: int, what: Callable[..., None], args: tuple[Any, ...]) -> None:
        if epoch != self.epoch or not self.alive:
            return
        if self.asleep_until > self.world.now:
            delay_s = self.asleep_until - self.world.now + self.world.rng.random() * 0.01
            self.world.after(delay_s, self._wake_for, epoch, what, args)
        else:
            what(*args)

    def crash(self, end: WorkHorseEnd = WorkHorseEnd.KILLED, steps: tuple[UUID, ...] = ()) -> None:
        """SIGKILL, unless it ends itself by the code of ``steps``."""
        if self.alive:
            self.world.log(self.name, "dies", f"holding {len(self.tasks)}")
            self._tell(end, steps or self._met_by_chance())
            self.alive = False
            self.epoch += 1
            self.world.after(self.world.rng.uniform(0.5, 15.0), self.start)

    def _met_by_chance(self) -> tuple[UUID, ...]:
        """The step whose code happened to run when a kill came from outside."""
        acts = list(self.tasks.values())
        hit = acts and self.world.rng.random() < MET_BY_CHANCE
        return (self.world.rng.choice(acts).step.id,) if hit else ()

    def _tell(self, end: WorkHorseEnd, steps: tuple[UUID, ...]) -> None:
        """The parent of the process sees how it ended, unless it is gone too."""
        if self.world.rng.random() < 0.8:
            evidence = Evidence(self.owner, end, steps)
            self.world.after(0.01, take_back_from, self.world, evidence)

    def start(self) -> None:
        self.alive = True
        self._reset()
        self.world.log(self.name, "starts")
        self.later(0.0, self.tick)

    def sleep(self, for_s: float) -> None:
        """SIGSTOP, and SIGCONT ``for_s`` later."""
        self.asleep_until = max(self.asleep_until, self.world.now + for_s)
        self.world.log(self.name, f"sleeps {for_s:.1f} s")

    def stop(self) -> None:
        """SIGTERM: what is in flight is given back after a moment, if it has caused nothing."""
        self.stopping = True
        self.world.log(self.name, "is told to stop")
        self.later(5.0, self._end)

    def _end(self) -> None:
        self.world.store.release(self.owner)
        self.world.ring()
        self.crash(WorkHorseEnd.LEFT)

    # --- the loop -----------------------------------------------------------------------------

    def tick(self) -> None:
        """Record what ended, claim what there is room for."""
        if self.busy:
            return
        if self.finished or self.inspected:
            finished, self.finished = self.finished, []
            inspected, self.inspected = self.inspected, []
            if self._dies_at("after_call"):
                return
            go_on = not self.stopping
            self._transact(
                lambda: self.world.engine.commit(
                    self.owner, finished, inspected, lease_s=LEASE_S, go_on=go_on
                ),
                "after_commit",
            )
        elif not self.stopping:
            self._claim()

    def _claim(self) -> None:
        """Suspects first, without steps of other groups; then as many as there is room for."""
        store = self.world.store
        if any(a.step.losses >= MANY.high + 1 for a in self.tasks.values()):
            return
        group = None if self.tasks else store.suspects()
        if group is None and store.due(limit=1, group=MANY):
            group = MANY
        room = self.world.room - len(self.tasks)
        if group is None or room <= 0:
            return
        self.world.log(self.name, "claims", "" if group is MANY else f"{group.most} at most")
        self._transact(
            lambda: self.world.engine.claim(
                self.owner, limit=min(room, CLAIM), group=group, lease_s=LEASE_S
            ),
            "after_lease",
        )

    def _transact(self, work: Callable[[], list[Act]], point: str, since: float = -1.0) -> None:
        """``drain._patiently``: a transaction that fails, or whose reply is lost, is repeated."""
        self.busy = True
        world = self.world
        since = world.now if since < 0 else since
        fate = world.rng.random()
        if world.db_is_down() or fate < world.faults["commit_fails"]:
            world.log(self.name, "commit fails")
        elif fate > 1 - world.faults["commit_reply_lost"]:
            work()
            world.log(self.name, "commit's reply is lost")
        else:
            actions = work()
            self.later(0.002, self._committed, actions, point)
            return
        if world.now - since > KEEP_RECEIPTS_S:
            self.crash()
            return
        self.later(world.rng.uniform(0.05, 2.0), self._transact, work, point, since)

    def _committed(self, actions: list[Act], point: str) -> None:
        self.busy = False
        if self._dies_at(point):
            return
        for act in actions:
            self.tasks[act.token] = act
        if actions and self._dies_at("after_intent"):
            return
        for act in actions:
            self.later(0.001, self._begin, act)
        if actions and not self.renewing:
            self.renewing = True
            self.later(LEASE_S / 3, self._renew)
        self.later(GATHER_S, self.tick)

    def _dies_at(self, point: str) -> bool:
        dies = self.world.rng.random() < self.world.faults[point]
        if dies:
            self.world.log(self.name, f"failpoint {point}")
            self.crash()
        elif self.world.rng.random() < self.world.faults["naps"]:
            self.sleep(self.world.rng.uniform(20.0, 60.0))
        return dies

    def _renew(self) -> None:
        """Every ten seconds, unless the database thread is busy with something else."""
        self.renewing = bool(self.tasks) or self.busy
        if not self.renewing:
            return
        if not self.busy and not self.world.db_is_down():
            held = [(a.step, a.token) for a in self.tasks.values()]
            self.world.store.renew(held, lease_s=LEASE_S)
        self.later(LEASE_S / 3, self._renew)

    # --- outside ------------------------------------------------------------------------------

    def _begin(self, act: Act) -> None:
        if act.looks:
            self.later(self.world.rng.uniform(0.01, 0.3), self._looked, act)
            return
        limiter = self._limiter(act.step.tool)
        queue = self.waiting.setdefault(act.step.tool.name, deque())
        if limiter.has_room and not queue:
            self._send(act, limiter)
        else:
            queue.append(act)
            if not self.looking:
                self.looking = True
                self.later(LOOK_S, self._look)

    def _limiter(self, tool: Tool) -> Limiter:
        if tool.name not in self.limiters:
            self.limiters[tool.name] = fresh(tool.terms.concurrency)
        return self.limiters[tool.name]

    def _send(self, act: Act, limiter: Limiter) -> None:
        tool = act.step.tool
        self.limiters[tool.name] = limiter.acquired()
        self.world.check_limiter(self.limiters[tool.name])
        if act.token in self.withheld:
            self._ended(act, Done(act, Reply(Ending.NOT_SENT, "withheld"), withheld=True))
            return
        self.later(tool.terms.timeout_s, self._timed_out, act)
        self.sent.add(act.token)
        if self.world.kills(act.step):
            self.world.log(self.name, f"{act.step.name} kills its worker")
            if self.world.kills_late:
                self.world.tools.receive(act, self.key_sent(act), self.hears(act))
            self.crash(WorkHorseEnd.CRASHED, (act.step.id,))
            return
        key = self.key_sent(act)
        deliver = self.hears(act)
        self.world.tools.receive(act, key, deliver)

    def key_sent(self, act: Act) -> str:
        """``drain._call``: mutations carry their key."""
        return act.step.key if act.step.mutates else ""

    def hears(self, act: Act) -> Callable[[Reply], None]:
        """Where the answer to a call goes: to this life of the process."""
        epoch = self.epoch
        return lambda reply: self._wake_for(epoch, self._answered, (act, reply))

    def _answered(self, act: Act, reply: Reply) -> None:
        if act.token in self.sent:
            self._ended(act, Done(act, reply))

    def _timed_out(self, act: Act) -> None:
        if act.token in self.sent:
            took = act.step.tool.terms.timeout_s
            self._ended(act, Done(act, Reply(Ending.LOST, "timeout", took_s=took)))

    def _ended(self, act: Act, done: Done) -> None:
        self.sent.discard(act.token)
        self.tasks.pop(act.token, None)
        tool, reply = act.step.tool, done.reply
        told = ended(
            answered=reply.ending in {Ending.ANSWERED, Ending.REFUSED},
            broken=reply.ending is Ending.BROKEN,
            duration_ms=reply.took_s * 1000,
            timeout_s=tool.terms.timeout_s,
        )
        told = LoadSign.UNTOLD if done.withheld else told
        self.limiters[tool.name] = self._limiter(tool).released(told)
        self.world.check_limiter(self.limiters[tool.name])
        self.finished.append(done)
        self.later(GATHER_S, self.tick)
        queue = self.waiting.get(tool.name)
        while queue and self._limiter(tool).has_room and self.alive:
            self._send(queue.popleft(), self._limiter(tool))

    def _looked(self, act: Act) -> None:
        self.tasks.pop(act.token, None)
        nothing = self.world.tools.tells_nothing(act.step)
        self.inspected.append(replace(act, told_nothing=nothing))
        self.later(GATHER_S, self.tick)

    def _look(self) -> None:
        """``withholding.look``: what waits for a place isn't sent if something holds it by now."""
        waiting = [a for queue in self.waiting.values() for a in queue]
        self.looking = bool(waiting)
        if waiting:
            found = self.world.bounds.in_force()
            held = {a.token for a in waiting if self.world.bounds.block_of(found, a.step)}
            self.withheld = held
            self.later(LOOK_S, self._look)
