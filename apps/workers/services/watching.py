"""A worker's eye on its work-horse: does it move?

A horse whose loop doesn't turn, or whose database thread computes without getting anywhere, is
stuck in one call: no time-out of a call can help it, for nothing of its own runs any more. Waiting
is not being stuck: a thread that waits for a database takes no processor's time, and is given
longer than any patience of ours. Nor is a process that somebody has stopped; and only what the
worker itself watched counts, so that a machine which slept accuses nobody.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from apps.runs.domain.suspicion import WorkHorseEnd
from apps.runs.engine.progress import HorseNotes

MOST_BETWEEN_S = 5.0  # of the time between two looks, this much is believed to have been watched
WAITING_S = 150.0  # longer than a statement, its repetitions and a connection may take together
COMPUTES = 0.2  # of one processor: what a thread uses that is stuck on a busy machine


@dataclass(frozen=True, slots=True)
class Use:
    """What the kernel says of a horse: has it been stopped, and its database thread's time."""

    is_stopped: bool = False
    db_cpu_s: float = 0.0


@dataclass(slots=True)
class Watch:
    """Watches one horse. ``bound_s``: for how long it may make no progress."""

    bound_s: float
    _at: float | None = None
    _ticks: int = -1
    _moves: int = -1
    _cpu_s: float = 0.0
    _loop_s: float = 0.0
    _db_s: float = 0.0

    def is_stuck(self, seen: HorseNotes, use: Use, now: float) -> bool:
        """Look once. ``now`` is a monotonic time."""
        passed = 0.0 if self._at is None else min(now - self._at, MOST_BETWEEN_S)
        self._at = now
        if use.is_stopped:
            return False
        turns = not seen.is_draining or seen.ticks != self._ticks
        moves = not seen.db_is_busy or seen.db_moves != self._moves
        self._ticks, self._moves = seen.ticks, seen.db_moves
        self._loop_s = 0.0 if turns else self._loop_s + passed
        self._db_s = 0.0 if moves else self._db_s + passed
        if moves:
            self._cpu_s = use.db_cpu_s
        computes = use.db_cpu_s - self._cpu_s >= COMPUTES * self._db_s
        patience_s = self.bound_s if computes else max(WAITING_S, self.bound_s)
        return self._loop_s >= self.bound_s or self._db_s >= patience_s


def use_of(pid: int, thread: int) -> Use:
    """What the kernel says of a process and one thread of it; nothing, where it says nothing."""
    whole, one = _stat(f"/proc/{pid}/stat"), _stat(f"/proc/{pid}/task/{thread}/stat")
    spent = (int(one[11]) + int(one[12])) / os.sysconf("SC_CLK_TCK") if one else 0.0
    return Use(bool(whole) and whole[0] in "Tt", spent)


def _stat(path: str) -> list[str]:
    """The fields of a stat file from the state on; the name before it may hold anything."""
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return []


CRASH_SIGNALS = frozenset({"SIGSEGV", "SIGABRT", "SIGBUS", "SIGFPE", "SIGILL", "SIGSYS", "SIGTRAP"})


def end_of(*, signal: str, was_stuck: bool, was_told: bool, was_at_work: bool) -> WorkHorseEnd:
    """How a process ended. ``signal``: the name of the one that ended it, if one did;
    ``was_at_work``: its drain was not over."""
    if was_stuck:
        return WorkHorseEnd.STUCK
    if was_told or not was_at_work:
        return WorkHorseEnd.LEFT
    if not signal or signal in CRASH_SIGNALS:
        return WorkHorseEnd.CRASHED
    return WorkHorseEnd.KILLED
