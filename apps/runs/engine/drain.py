"""The loop of one work-horse: drain a lane for a while.

Calls run concurrently in this asyncio loop; every database statement runs in one thread beside
it, so that the network goes on while a batch commits. When the time is up nothing new is taken,
what is in flight is finished, and what is left is rung for again.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar
from uuid import UUID

from django.db import connection

from apps.calls import agents
from apps.calls.domain.retry import Ending
from apps.calls.executor import CallResult, ToolClient
from apps.calls.executor.slots import Slot, Slots, told
from apps.calls.services import hiding
from apps.kernel import trouble
from apps.kernel.failpoints import reach
from apps.kernel.patience import patiently
from apps.kernel.transactions import is_of_a_row
from apps.oversight.domain import preview
from apps.runs.course import RunCache
from apps.runs.domain.suspicion import MANY, ClaimGroup
from apps.runs.engine import calling, inspecting, progress, sizes
from apps.runs.engine.doorbell import Doorbell, pause_s
from apps.runs.engine.isolating import Isolation
from apps.runs.journal import claiming, pressure
from apps.runs.journal.withholding import WITHHELD
from apps.runs.services.workers import beat, give_back, notice, renew_leases, worker_name
from apps.runs.work import Action, Call, Claimed, Finished, Inspect, Think

logger = logging.getLogger(__name__)
T = TypeVar("T")
BATCH = 64  # ended calls that a commit takes while others are under way: they go on soon
SUSPECTING = 0.25  # the part of a drain's time that suspects may take
LOOK_S = 1.0  # how often calls that wait for a place are looked at for what stops them
FEW_S = 0.1  # how long little room waits for more before a claim is worth it
WAIT_S = 0.1  # how long at most the first call that ends is waited for, before looking round again
GATHER_S = 0.004  # how long finished calls wait for others before they are committed
TICK_S = 0.5  # how often the loop notes that it turns
NOT_MADE = "The call could not be made: {why}."
BROKE_OFF = "The call broke off, and nobody can tell what it did: {why}."


@dataclass(slots=True)
class DrainReport:
    """What a drain did. ``more``: work was left when the time was up."""

    steps: int = 0
    commits: int = 0
    more: bool = False


@dataclass
class Drain:
    """Drains ``lane`` for about ``seconds``, with at most ``in_flight`` calls at once."""

    lane: str
    seconds: float
    lease_s: float
    in_flight: int
    owner: str = field(default_factory=worker_name)
    linger_s: float = 0.0
    report: DrainReport = field(default_factory=DrainReport)

    def __post_init__(self) -> None:
        self._db = ThreadPoolExecutor(1, thread_name_prefix="db")
        self._tasks: dict[asyncio.Task[Any], Action] = {}
        self._ended: list[Finished | Claimed] = []
        self._some = asyncio.Event()
        self._cache = RunCache()  # touched by the database thread only
        self._isolation = Isolation(self._cache, self.lane, self.owner, self.lease_s)
        self._slots = Slots()
        self._bell = Doorbell(self.lane)
        self._withheld: set[int] = set()
        self._suspects: set[UUID] = set()  # the steps that are tried apart from all others
        self._renewed = self._looked = self._claimed = time.monotonic()
        self._suspecting_until = self._renewed + self.seconds * SUSPECTING

    async def run(self) -> DrainReport:
        """Work until the time is up or nothing is due, then finish what is in flight."""
        end = time.monotonic() + self.seconds
        progress.board.begin()
        self._tick()
        try:
            async with ToolClient() as tools:
                try:
                    self._slots = Slots(await self._spared(pressure.known_limits) or {})
                    await self._loop(tools, end)
                    whole = not notice.is_over
                except BaseException:
                    whole = False
                    raise
                finally:
                    await self._leave(whole=whole)
        finally:
            progress.board.end()
        return self.report

    async def _leave(self, *, whole: bool) -> None:
        """Let go of everything. What isn't finished is given back to others, unless the ``whole``
        of it is."""
        for task in self._tasks:
            task.cancel()
        with contextlib.suppress(Exception):  # why we leave is told already
            if not whole:
                await self._spared(lambda: give_back(self.owner))
            await self._in_db(lambda: connection.close())  # the thread's own
        await self._bell.close()
        self._db.shutdown(wait=True)

    def _tick(self) -> None:
        progress.board.tick()
        asyncio.get_running_loop().call_later(TICK_S, self._tick)

    async def _loop(self, tools: ToolClient, end: float) -> None:
        idle_since: float | None = None
        called = True  # the bell rang, or something happened: there may be work
        finished: list[Finished] = []
        inspected: list[Claimed] = []
        while True:
            go_on = time.monotonic() < end and not notice.is_given
            if finished or inspected:
                await self._commit(tools, finished, inspected, go_on)
            if notice.is_over:
                return
            claimed = 0
            if go_on and (called or await self._in_db(lambda: claiming.is_due(self.lane))):
                claimed = await self._claim(tools)
            called = True
            if not self._tasks and not self._ended:
                idle_since = idle_since or time.monotonic()
                idle_s = time.monotonic() - idle_since
                if not go_on or (not claimed and idle_s >= self.linger_s):
                    self.report.more = not go_on
                    return
                called = bool(claimed) or await self._bell.wait(pause_s(idle_s))
            else:
                idle_since = None
            finished, inspected = await self._gather(0 if claimed >= MANY.most else WAIT_S)
            await self._renew()
            await self._look()

    # --- outside ------------------------------------------------------------------------------

    def _start(self, tools: ToolClient, actions: list[Action]) -> None:
        if actions:
            reach("after_intent")
        for action in actions:
            if isinstance(action, Call) and (result := _at_once(tools, action)):
                self._ended.append(Finished(action, result))
                continue
            task = asyncio.create_task(self._act(tools, action))
            self._tasks[task] = action
            task.add_done_callback(self._note)

    def _note(self, task: asyncio.Task[Any]) -> None:
        """An action is over: whoever gathers need not look at those that aren't."""
        if task in self._tasks:
            del self._tasks[task]
            if not task.cancelled():
                self._ended.append(task.result())
            self._some.set()

    async def _act(self, tools: ToolClient, action: Action) -> Finished | Claimed:
        """Carry out one action. Whatever breaks in it is that action's end, and nobody else's."""
        sent: list[bool] = []  # holds something as soon as a call has waited for something
        try:
            return await progress.noted(action.work.step_id, self._acted(tools, action, sent))
        except BaseException as error:
            task = asyncio.current_task()
            if task is not None and task.cancelling():  # by us: we leave
                raise
            unsure = bool(sent) or not isinstance(error, Exception)
            return _broken(action, error, may_have_happened=unsure)

    async def _acted(
        self, tools: ToolClient, action: Action, sent: list[bool]
    ) -> Finished | Claimed:
        if isinstance(action, Inspect):
            return await inspecting.inspect(tools, action)
        if isinstance(action, Think):
            turn = await agents.think(action.question)
            return Finished(action, *hiding.turn(action.work.hidden, *turn))
        async with self._slot(action) as slot:
            if action.work.lease_token in self._withheld:
                return Finished(action, WITHHELD)
            asyncio.get_running_loop().call_soon(sent.append, True)  # runs if the call waits
            result = await calling.call(tools, action)
            slot.ended(told(result, action.timeout_s))
        return Finished(action, result)

    def _slot(self, action: Call) -> Slot:
        """A place for the call: in this process as many as the contract allows, and fewer when the
        tool complains. Waiting for a place is not counted against the tool's time-out."""
        work = action.work
        name = f"{work.domain_slug}/{work.tool_name}@{work.job_slug} v{work.contract_number}"
        return self._slots.of(name, action.concurrency)

    async def _gather(self, wait_s: float) -> tuple[list[Finished], list[Claimed]]:
        """What has ended; when nothing has, wait a little for the first, and for others. After
        a full claim nothing is waited for: more is due."""
        if wait_s and not self._ended and self._tasks:
            self._some.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._some.wait(), wait_s)
                await asyncio.sleep(GATHER_S if self._tasks else 0)
        ended = self._take()
        finished = [e for e in ended if isinstance(e, Finished)]
        return finished, [e for e in ended if isinstance(e, Claimed)]

    def _take(self) -> list[Finished | Claimed]:
        """What the next commit takes of what has ended: large ones one by one, so that leases are
        renewed and small ones recorded between them."""
        count = BATCH if self._tasks else len(self._ended)
        taken, self._ended = sizes.part(self._ended, count=count)
        return taken

    # --- the database -------------------------------------------------------------------------

    async def _claim(self, tools: ToolClient) -> int:
        """Claim what there is room for. First of all, and for a part of the time only, suspects:
        few or one at a time, without steps of other groups, so that a step that kills its worker
        is found out. They are also taken when nothing else is due."""
        if any(action.work.step_id in self._suspects for action in self._tasks.values()):
            return 0
        if self._suspecting_until > time.monotonic():
            if self._tasks:
                return 0
            if found := await self._claim_suspects(tools):
                return found
        self._suspecting_until = 0.0
        room = self.in_flight - len(self._tasks) - len(self._ended)
        if room < 1 or not self._is_worth_claiming(room):
            return 0
        self._claimed = time.monotonic()
        found = await self._claim_some(tools, room, MANY)
        if found or self._tasks or self._ended:
            return found
        return await self._claim_suspects(tools)

    async def _claim_suspects(self, tools: ToolClient) -> int:
        group = await self._in_db(lambda: claiming.suspects(self.lane))
        return await self._claim_some(tools, self.in_flight, group) if group else 0

    def _is_worth_claiming(self, room: int) -> bool:
        """A claim is a transaction: little room is filled ten times a second at most."""
        return room >= self.in_flight // 8 or time.monotonic() - self._claimed >= FEW_S

    async def _claim_some(self, tools: ToolClient, limit: int, group: ClaimGroup) -> int:
        found, actions = await self._in_db(lambda: self._isolation.claim(limit, group))
        if actions:
            reach("after_lease")
        is_suspect = group is not MANY
        self._suspects = {a.work.step_id for a in actions} if is_suspect else set()
        self._start(tools, actions)
        return found

    async def _commit(
        self, tools: ToolClient, finished: list[Finished], inspected: list[Claimed], go_on: bool
    ) -> None:
        reach("after_call")
        # What follows a suspect is claimed by itself: whatever it does is its own then.
        go_on = go_on and not any(d.action.work.step_id in self._suspects for d in finished)
        actions = await self._in_db(
            lambda: self._isolation.commit(finished, inspected, go_on=go_on)
        )
        self.report.steps += len(finished)
        self.report.commits += 1
        if any(ended.result.ending is not Ending.ANSWERED for ended in finished):
            self._looked = 0.0  # a breaker may have opened: don't send what waits for a place
        reach("after_commit")
        self._start(tools, actions)

    async def _renew(self) -> None:
        if time.monotonic() - self._renewed < self.lease_s / 3:
            return
        self._renewed = time.monotonic()
        tokens = [a.work.lease_token for a in self._tasks.values()]
        steps, flying = self.report.steps, len(self._tasks)
        await self._spared(lambda: renew_leases(tokens, lease_s=self.lease_s))
        await self._spared(lambda: beat(self.owner, "drainer", self.lane, flying, steps))
        await self._spared(lambda: pressure.note_limits(self.owner, self._slots.report()))

    async def _look(self) -> None:
        """See which of our calls something holds by now: those that wait for a place aren't made
        when their turn comes."""
        if time.monotonic() - self._looked < LOOK_S:
            return
        self._looked = time.monotonic()
        calls = [a.work for a in self._tasks.values() if isinstance(a, Call)]
        self._withheld = await self._in_db(lambda: self._isolation.withheld(calls))

    async def _spared(self, func: Callable[[], T]) -> T | None:
        """Run something that the drain can do without in the database thread: that it fails is
        told, and stops nobody. Only a database that stays away does."""
        try:
            return await self._in_db(func)
        except BaseException as error:
            if not is_of_a_row(error):
                raise
            logger.exception("a drain goes on without it")
            return None

    async def _in_db(self, func: Callable[[], T]) -> T:
        """Run in the database thread; a database that went away is waited for."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._db, _noted, func, self._cache.clear)


def _noted(func: Callable[[], T], forget: Callable[[], None]) -> T:
    progress.board.db_begins()
    try:
        return patiently(func, forget)
    finally:
        progress.board.db_ends()


def _at_once(tools: ToolClient, action: Call) -> CallResult | None:
    """The answer of a tool of this process that neither waits nor takes long; ``None`` for every
    other tool. The client tells what a tool does as its result, so that an error is ours, and
    nothing was done; anything that is no error (a panic, an exit) is the tool's."""
    work = action.work
    progress.board.loop_runs(work.step_id.bytes)
    meta = calling.meta_of_call(work)
    try:
        how = {"meta": meta, "hidden": work.hidden}
        return tools.at_once(action.server, work.tool_name, work.arguments, **how)
    except BaseException as error:
        broken = _broken(action, error, may_have_happened=not isinstance(error, Exception))
        return broken.result if isinstance(broken, Finished) else None
    finally:
        progress.board.loop_runs(progress.NOBODY)


def _broken(action: Action, error: BaseException, *, may_have_happened: bool) -> Finished | Claimed:
    """The end of an action that broke in our own hands."""
    logger.error("an action of step %s broke", action.work.step_id, exc_info=error)
    why = trouble.words(error)
    if isinstance(action, Inspect):
        looked = preview.failed(action.tool, f"what it said can't be read: {why}")
        action.work.preview = looked.preview
        return action.work
    if may_have_happened:
        words = BROKE_OFF.format(why=why)
        return Finished(action, CallResult(Ending.LOST, error_class="engine", error=words))
    words = NOT_MADE.format(why=why)
    return Finished(action, CallResult(Ending.NOT_SENT, error_class="not_made", error=words))
