"""When an agent may ask: so many questions within a minute, and the next ones in turn.

Each question has a turn, a moment. It is now, unless the agent has had as many turns as it may
within the minute before: then it is a minute after the one that many before it. So no more than
``most`` turns lie within a minute, whoever comes first is asked first, and nobody comes back before
there is room. The turns to come of a run that has ended count no more.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

WITHIN = timedelta(minutes=1)
BUSY_S = 0.25  # after whoever gives this agent's turns has most likely committed
TOLD = "agent.asks_too_much"


@dataclass(frozen=True, slots=True)
class PutOff:
    """A question that waits for its turn: what it waits for, and for how long."""

    waits_for: str
    wait_s: float

    @classmethod
    def of(cls, agent: str, most: int, wait_s: float) -> PutOff:
        return cls(f"{most:,} questions a minute of agent {agent}", wait_s)

    @classmethod
    def while_counted(cls, agent: str) -> PutOff:
        """Another worker counts this agent's questions at this moment."""
        return cls(f"agent {agent} has its questions counted", BUSY_S)


def next_turns(
    taken: Sequence[datetime], count: int, *, now: datetime, most: int
) -> list[datetime]:
    """The turns of ``count`` more questions, in their order, after those that are ``taken``: in any
    order, at least the latest ``most`` of them."""
    turns, given = sorted(taken), []
    for _ in range(count):
        earliest = turns[-most] + WITHIN if len(turns) >= most else now
        given.append(max(now, earliest))
        insort(turns, given[-1])  # where turns were given back, others may come after it
    return given
