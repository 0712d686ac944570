"""The simulated tool service: it does what it is asked, loses answers, and writes its own ledger.

A keyed tool remembers its keys for ever and answers a known one with what it answered before. The
others do whatever they are asked, as often as they are asked.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from apps.calls.domain.lookup import Looked, read_answer
from apps.calls.domain.retry import Ending
from apps.kernel.canonical import canonical_bytes
from tests.simulation.rows import Act, Reply, Step

if TYPE_CHECKING:
    from tests.simulation.world import World

TOLD = (None, None, 0.0, -5.0, 2.0, 40.0, 36_000.0)  # Retry-After, absurd ones included
# How a call goes wrong: (what the caller is told, its error class, does it happen all the same).
# What HTTP did is read as ``executor._read_failure`` reads it.
FAULTS: dict[str, tuple[Ending, str, bool]] = {
    "not_connected": (Ending.NOT_SENT, "not_connected", False),
    "turned_away": (Ending.TURNED_AWAY, "http_429", False),
    "5xx_before": (Ending.LOST, "http_503", False),
    "5xx_after": (Ending.LOST, "http_500", True),
    "dropped": (Ending.LOST, "connection_lost", True),
    "broken": (Ending.BROKEN, "http_400", True),
    "rejected": (Ending.REJECTED, "http_401", False),
}
SILENT = ("hangs", "late")  # no answer in time; the second does it all the same, later
ERRORS = ("errs", "errs_after")  # an error of its own; the second comes when it was done
CERTAIN = ("turned_away", "rejected")  # it says that nothing was done


@dataclass(frozen=True, slots=True)
class Effect:
    """A line of the ledger."""

    at: float
    step: Step
    key: str


class ToolServer:
    def __init__(self, world: World, faultiness: dict[str, float], refuses: frozenset[int]) -> None:
        self.world = world
        self.faultiness = faultiness  # by tool: the share of calls that go wrong
        self.refuses = refuses  # the arguments that it won't have
        self.ledger: list[Effect] = []
        self.known: dict[str, dict[str, Any]] = {}  # key → the answer given to it
        self.working: dict[str, int] = {}

    def receive(self, act: Act, key: str, deliver: Callable[[Reply], None]) -> None:
        """One call arrives, or doesn't. ``deliver`` hears how it ended, if anything is heard."""
        world, step = self.world, act.step
        took = world.rng.uniform(0.01, world.slowest_s)
        mode = self._mode(step)
        arrives = mode != "not_connected"
        if arrives:
            world.watch.sends(act, key, certain=mode in CERTAIN or self._is_refused(step))
        world.log("tool", f"{step.name} {step.tool.name} #{act.number} {mode}", key[:8])
        if mode in FAULTS:
            self._go_wrong(mode, step, key, took, deliver)
        elif self._is_refused(step) and key not in self.known:
            self._answer(took, deliver, Reply(Ending.REFUSED, "refused_by_tool", took_s=took))
        elif mode in ERRORS:
            self._err(mode, step, key, took, deliver)
        elif mode == "late":
            self._begin(key)
            world.after(step.tool.terms.timeout_s + took * 10, self._do, step, key)
        elif mode != "hangs":
            self._carry_out(step, key, took, deliver)

    def _mode(self, step: Step) -> str:
        if self.world.rng.random() >= self.faultiness.get(step.tool.name, 0.0):
            return "ok"
        return self.world.rng.choice(self.world.modes)

    def _is_refused(self, step: Step) -> bool:
        refused = step.arguments["n"] in self.refuses
        return refused and step.mutates and step.compensates is None

    def _go_wrong(
        self, mode: str, step: Step, key: str, took: float, deliver: Callable[[Reply], None]
    ) -> None:
        ending, error_class, happens = FAULTS[mode]
        if happens:
            self._begin(key)
            self.world.after(took * 0.9, self._do, step, key)
        told = self.world.rng.choice(TOLD) if mode == "turned_away" else None
        self._answer(took, deliver, Reply(ending, error_class, told, took_s=took))

    def _err(
        self, mode: str, step: Step, key: str, took: float, deliver: Callable[[Reply], None]
    ) -> None:
        """An error, and what ``calling.call`` finds out before it believes it. Of a tool that can
        neither be asked nor takes a key it is believed at once, so none of those may lie."""
        if mode == "errs_after" and step.tool.idempotency != "none":
            self._begin(key)
            self.world.after(took * 0.9, self._do, step, key)
        self.world.after(took, lambda: deliver(self._cleared_up(step, key, took)))

    def _cleared_up(self, step: Step, key: str, took: float) -> Reply:
        if step.mutates and step.tool.idempotency == "lookup":
            looked = read_answer(self.look_up(step), tool=step.tool.name, arguments=step.arguments)
            if looked is Looked.FOUND:
                result = self.known.get(key, {})
                return Reply(Ending.ANSWERED, result=result, took_s=took, looked_up=True)
            if looked is not Looked.ABSENT:
                return Reply(Ending.LOST, "unconfirmed_error", took_s=took)
        elif step.mutates and step.tool.idempotency == "keyed" and key in self.known:
            return Reply(Ending.ANSWERED, result=self.known[key], took_s=took)
        elif step.mutates and step.tool.idempotency == "keyed" and self.working.get(key):
            return Reply(Ending.LOST, "unconfirmed_error", took_s=took)  # 409: it is at it
        return Reply(Ending.REFUSED, "refused_by_tool", took_s=took)

    def tells_nothing(self, step: Step) -> bool:
        """Whether a look at what the step would change comes to nothing."""
        return self.world.rng.random() < self.faultiness.get(step.tool.name, 0.0)

    def _carry_out(
        self, step: Step, key: str, took: float, deliver: Callable[[Reply], None]
    ) -> None:
        keyed = step.tool.idempotency == "keyed" and step.mutates
        if keyed and self.working.get(key) and self.world.conflicts:
            reply = Reply(Ending.BROKEN, "http_409", took_s=took)
            self._answer(took, deliver, reply)
            return
        self._begin(key)
        self.world.after(took * 0.9, self._do, step, key)
        result = {"content": f"done {step.arguments}"}
        self._answer(took, deliver, Reply(Ending.ANSWERED, result=result, took_s=took))

    def _answer(self, took: float, deliver: Callable[[Reply], None], reply: Reply) -> None:
        self.world.after(took, deliver, reply)

    def _begin(self, key: str) -> None:
        if key:
            self.working[key] = self.working.get(key, 0) + 1

    def _do(self, step: Step, key: str) -> None:
        if key:
            self.working[key] -= 1
        if not step.mutates or self._is_refused(step):
            return
        if step.tool.idempotency == "keyed" and key in self.known:
            return
        self.known[key] = {"content": f"done {step.arguments}"}
        self.ledger.append(Effect(self.world.now, step, key))
        self.world.log("ledger", f"{step.name} {step.tool.name}", key[:8])
        self.world.watch.happens(step, key)

    def look_up(self, step: Step) -> Any:
        """The look-up of a tool by key; now and then it makes no sense."""
        if self.world.rng.random() < self.faultiness.get(step.tool.name, 0.0):
            other = {"found": True, "tool": "another", "result": {}}
            return self.world.rng.choice([None, "?", {"found": "yes"}, other])
        if step.key not in self.known:
            return {"found": False}
        digest = hashlib.sha256(canonical_bytes(step.arguments)).hexdigest()
        result = self.known[step.key]
        return {"found": True, "tool": step.tool.name, "args_digest": digest, "result": result}
