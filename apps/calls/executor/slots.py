"""Places for calls of tools in one process: each tool has as many as its limiter allows."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

from apps.calls.domain.limiter import Limiter, LoadSign, ended, fresh
from apps.calls.domain.retry import ANSWERS, Ending
from apps.calls.executor.result import CallResult


@dataclass(slots=True)
class _Gate:
    """One tool's limiter and who waits for a place, first come first served."""

    limiter: Limiter
    waiting: deque[asyncio.Future[None]] = field(default_factory=deque)

    def let_in(self) -> None:
        while self.waiting and self.limiter.has_room:
            turn = self.waiting.popleft()
            if not turn.done():  # whoever gave up waiting takes no place
                self.limiter = self.limiter.acquired()
                turn.set_result(None)


@dataclass(slots=True)
class Slot:
    """One place, taken on entering and given back on leaving. ``ended`` says how the call went;
    without it the place is given back and the limit stays."""

    gate: _Gate
    told: LoadSign = LoadSign.UNTOLD

    def ended(self, how: LoadSign) -> None:
        self.told = how

    async def __aenter__(self) -> Slot:
        if self.gate.limiter.has_room and not self.gate.waiting:
            self.gate.limiter = self.gate.limiter.acquired()
            return self
        turn = asyncio.get_running_loop().create_future()
        self.gate.waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():  # the place was given in the same moment
                self._leave()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._leave()

    def _leave(self) -> None:
        self.gate.limiter = self.gate.limiter.released(self.told)
        self.gate.let_in()


@dataclass(slots=True)
class Slots:
    """The places of every tool in this process. ``known``: limits that other workers found
    lately, by name."""

    known: Mapping[str, float] = field(default_factory=dict)
    _gates: dict[str, _Gate] = field(default_factory=dict)

    def of(self, name: str, ceiling: int) -> Slot:
        """A place for a call of ``name``, of which the contract allows ``ceiling`` at once."""
        gate = self._gates.get(name)
        if gate is None:
            gate = self._gates[name] = _Gate(fresh(ceiling, self.known.get(name)))
        return Slot(gate)

    def report(self) -> dict[str, dict[str, Any]]:
        """How each tool stands, for the load page."""
        return {
            name: {
                "limit": round(gate.limiter.limit, 1),
                "ceiling": gate.limiter.ceiling,
                "in_use": gate.limiter.in_use,
                "waiting": sum(not turn.done() for turn in gate.waiting),
                "drops": gate.limiter.drops,
            }
            for name, gate in self._gates.items()
        }


def told(result: CallResult, timeout_s: float) -> LoadSign:
    """What the end of a call says about the tool's load."""
    return ended(
        answered=result.ending in ANSWERS,
        broken=result.ending in {Ending.BROKEN, Ending.REJECTED},
        duration_ms=result.duration_ms,
        timeout_s=timeout_s,
    )
