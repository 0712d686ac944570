"""A worker tells a work-horse that is stuck from one that works or waits."""

from __future__ import annotations

from dataclasses import replace

import pytest

from apps.runs.domain.suspicion import WorkHorseEnd
from apps.runs.engine.progress import Board, HorseNotes
from apps.workers.services.watching import WAITING_S, Use, Watch, end_of, use_of

ALIVE = HorseNotes(True, 0, False, 0, 0, ())


def looks(
    watch: Watch, seen: HorseNotes, *, seconds: float, use: Use | None = None, **moves: int
) -> bool:
    """Look every two seconds; ``moves`` are what is added to the horse's notes in between."""
    stuck = False
    for n in range(int(seconds / 2) + 1):
        values = {name: getattr(seen, name) + n * by for name, by in moves.items()}
        spent = Use(db_cpu_s=n * 2.0) if use is None else use
        stuck = watch.is_stuck(replace(seen, **values), spent, now=1000 + n * 2.0)
    return stuck


def test_a_loop_that_does_not_turn_is_stuck_after_the_bound() -> None:
    assert not looks(Watch(20), ALIVE, seconds=18)
    assert looks(Watch(20), ALIVE, seconds=22)
    assert not looks(Watch(20), ALIVE, seconds=100, ticks=4)


def test_before_and_after_a_drain_nothing_is_watched() -> None:
    assert not looks(Watch(20), replace(ALIVE, is_draining=False), seconds=100)


def test_a_database_thread_that_computes_without_getting_anywhere_is_stuck() -> None:
    busy = replace(ALIVE, db_is_busy=True)

    assert looks(Watch(20), busy, seconds=22, ticks=4)
    assert not looks(Watch(20), busy, seconds=100, ticks=4, db_moves=1)
    assert not looks(Watch(20), replace(busy, db_is_busy=False), seconds=100, ticks=4)


def test_a_database_that_is_away_is_waited_for() -> None:
    busy, waits = replace(ALIVE, db_is_busy=True), Use(db_cpu_s=0.0)

    assert not looks(Watch(20), busy, seconds=WAITING_S - 2, ticks=4, use=waits)
    assert looks(Watch(20), busy, seconds=WAITING_S + 2, ticks=4, use=waits)


def test_a_process_that_somebody_stopped_is_not_stuck() -> None:
    assert not looks(Watch(20), ALIVE, seconds=100, use=Use(is_stopped=True))


def test_a_machine_that_slept_accuses_nobody() -> None:
    watch = Watch(20)
    watch.is_stuck(ALIVE, Use(), now=0)

    assert not watch.is_stuck(ALIVE, Use(), now=3600)


@pytest.mark.parametrize("thread", [0, 2**22])
def test_a_thread_that_nobody_knows_says_nothing(thread: int) -> None:
    assert use_of(2**22, thread) == Use()


def test_a_board_says_whose_code_is_run() -> None:
    board = Board()
    board.begin()
    assert board.read() == ALIVE

    board.tick()
    board.loop_runs(bytes(range(16)))
    board.db_begins()
    board.db_runs(bytes(range(16)))
    seen = board.read()
    assert (seen.ticks, seen.db_is_busy, seen.db_moves) == (1, True, 2)
    assert [s.bytes for s in seen.steps] == [bytes(range(16))]  # both threads: named once

    board.db_ends()
    board.end()
    assert (board.read().db_is_busy, board.read().is_draining) == (False, False)


@pytest.mark.parametrize(
    ("signal", "stuck", "told", "at_work", "end"),
    [
        ("SIGSEGV", False, False, True, WorkHorseEnd.CRASHED),
        ("SIGABRT", False, False, True, WorkHorseEnd.CRASHED),
        ("", False, False, True, WorkHorseEnd.CRASHED),  # it left in the midst of its work
        ("", False, False, False, WorkHorseEnd.LEFT),
        ("SIGKILL", False, False, True, WorkHorseEnd.KILLED),
        ("SIGTERM", False, False, True, WorkHorseEnd.KILLED),
        ("SIGKILL", True, False, True, WorkHorseEnd.STUCK),
        ("SIGKILL", False, True, True, WorkHorseEnd.LEFT),
        ("SIGSEGV", False, False, False, WorkHorseEnd.LEFT),  # no drain: none of its steps'
    ],
)
def test_how_a_process_ended(
    signal: str, stuck: bool, told: bool, at_work: bool, end: WorkHorseEnd
) -> None:
    assert end_of(signal=signal, was_stuck=stuck, was_told=told, was_at_work=at_work) is end
