"""What a work-horse is doing at this moment, in memory that it shares with its worker.

The horse notes each sign of progress and the step whose code it is running; its worker reads that
when the horse is silent or dead. Nothing is asked of the horse, so that one which hangs in a single
call, or is no more, can still be read. Each place has one writer, so nothing is locked; a note
costs less than a microsecond.
"""

from __future__ import annotations

import mmap
import threading
from collections.abc import Coroutine, Generator, Iterable, Iterator
from dataclasses import dataclass
from types import coroutine
from typing import Any, TypeVar
from uuid import UUID

from apps.runs.work import Claimed

T = TypeVar("T")
NOBODY = bytes(16)
_DRAINING, _TICKS, _DB_BUSY, _DB_MOVES, _DB_THREAD = 0, 1, 4, 5, 8  # places of eight bytes
_LOOP_STEP, _DB_STEP = slice(16, 32), slice(48, 64)
_SIZE = 72


@dataclass(frozen=True, slots=True)
class HorseNotes:
    """The notes of a horse at one moment. ``steps``: whose code the loop and the database thread
    were running, if any."""

    is_draining: bool
    ticks: int
    db_is_busy: bool
    db_moves: int
    db_thread: int
    steps: tuple[UUID, ...]


class Board:
    """The shared memory."""

    def __init__(self) -> None:
        self._bytes = mmap.mmap(-1, _SIZE)
        self._numbers = memoryview(self._bytes).cast("Q")

    def begin(self) -> None:
        """A drain begins: from now on silence means something."""
        self._bytes[_LOOP_STEP] = self._bytes[_DB_STEP] = NOBODY
        self._numbers[_DB_BUSY] = 0
        self._numbers[_DRAINING] = 1

    def end(self) -> None:
        """The drain is over, however it ended."""
        self._numbers[_DRAINING] = 0

    def tick(self) -> None:
        """The loop is turning."""
        self._numbers[_TICKS] += 1

    def loop_runs(self, step: bytes) -> None:
        """The loop runs the code of this step; of nobody's when it has returned."""
        self._bytes[_LOOP_STEP] = step

    def db_begins(self) -> None:
        """The database thread begins something."""
        self._numbers[_DB_THREAD] = threading.get_native_id()
        self._numbers[_DB_MOVES] += 1
        self._numbers[_DB_BUSY] = 1

    def db_runs(self, step: bytes) -> None:
        """The database thread runs the code of this step; of nobody's when it has returned."""
        self._bytes[_DB_STEP] = step
        self._numbers[_DB_MOVES] += 1

    def db_ends(self) -> None:
        """The database thread has nothing to do."""
        self._bytes[_DB_STEP] = NOBODY
        self._numbers[_DB_BUSY] = 0

    def read(self) -> HorseNotes:
        """What stands there now."""
        numbers = self._numbers
        steps = (self._bytes[_LOOP_STEP], self._bytes[_DB_STEP])
        return HorseNotes(
            is_draining=bool(numbers[_DRAINING]),
            ticks=numbers[_TICKS],
            db_is_busy=bool(numbers[_DB_BUSY]),
            db_moves=numbers[_DB_MOVES],
            db_thread=numbers[_DB_THREAD],
            steps=tuple({UUID(bytes=s): None for s in steps if s != NOBODY}),
        )


board = Board()


def share() -> Board:
    """A fresh board for the next work-horse. To be called in its worker, before the fork."""
    global board
    board = Board()
    return board


def each(works: Iterable[Claimed]) -> Iterator[Claimed]:
    """These steps, each noted as what the database thread is at. For one that isn't committed yet,
    and that nobody else could find, stands the one that it follows."""
    for work in works:
        board.db_runs((work.follows or work.step_id).bytes)
        yield work
    board.db_runs(NOBODY)


@coroutine
def noted(step: UUID, work: Coroutine[Any, Any, T]) -> Generator[Any, Any, T]:
    """``await work``, noting the step whenever its own code is run, and not while it waits."""
    name, value, error = step.bytes, None, None
    while True:
        board.loop_runs(name)
        try:
            waits_for = work.send(value) if error is None else work.throw(error)
        except StopIteration as done:
            return done.value
        finally:
            board.loop_runs(NOBODY)
        value = error = None
        try:
            value = yield waits_for
        except BaseException as thrown:
            error = thrown
