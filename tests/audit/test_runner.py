"""Sweepers that are killed and frozen at random: one at a time does the duties, and each duty goes
on. ``TOWER_BLOWS=40`` is the whole proof; without it a part of it is tried."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.conf import settings
from django.db import connections

from apps.audit import registry
from apps.audit.domain.duty import LEASE_S, PATIENCE_S, RENEW_S, Duty
from apps.audit.models import DutyStanding
from apps.audit.runner import Runner, _Helper
from apps.audit.selectors import duties
from tests.audit.runner_process import NAMES
from tests.engine.conftest import environment

pytestmark = pytest.mark.django_db(transaction=True)
BLOWS = int(os.environ.get("TOWER_BLOWS", "4"))
PACE_S = 0.5
SLACK_S = 3.0  # what a busy machine adds
NOBODY: Any = SimpleNamespace(url="http://127.0.0.1:9/mcp")


def until(is_so: Callable[[], bool], what: str, seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end, f"never: {what}"
        time.sleep(0.02)


# --- in this process ------------------------------------------------------------------------------


@contextmanager
def running(*some: Duty, monkeypatch: pytest.MonkeyPatch) -> Iterator[Runner]:
    """A runner that does these duties only."""
    monkeypatch.setattr(registry, "_duties", {duty.name: duty for duty in some})
    monkeypatch.setattr(settings, "SWEEP_SECONDS", 0.3)
    stop = threading.Event()
    runner = Runner(stop, "test")
    threads = runner.start()
    try:
        yield runner
    finally:
        stop.set()
        for thread in threads:
            thread.join(10)
        connections.close_all()


def test_one_that_hangs_delays_the_others_once_and_shortly(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    begun: dict[str, list[float]] = defaultdict(list)
    end = threading.Event()

    def note(name: str, then: Callable[[], Any] = int) -> Callable[[], Any]:
        def work() -> Any:
            begun[name].append(time.monotonic())
            return then()

        return work

    with running(
        Duty("beside", "", note("beside", lambda: end.wait(60)), waits=True),
        Duty("first", "", note("first")),
        Duty("hangs", "", note("hangs", lambda: end.wait(60))),
        Duty("last", "", note("last")),
        monkeypatch=monkeypatch,
    ):
        until(lambda: len(begun["last"]) > 6, "the others are done")
        assert len(begun["hangs"]) == len(begun["beside"]) == 1
        end.set()
        until(lambda: len(begun["hangs"]) > 2 and len(begun["beside"]) > 2, "it is done again")
        until(lambda: DutyStanding.objects.count() == 4, "all are written down")

    assert begun["last"][0] - begun["first"][0] < PATIENCE_S + SLACK_S
    gaps = sorted(b - a for a, b in pairwise(begun["last"]))
    assert gaps[len(gaps) // 2] < PATIENCE_S, gaps


def test_a_runner_that_makes_no_move_lets_another_have_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("apps.audit.runner.STUCK_S", 1.0)
    stuck = threading.Event()
    with running(Duty("d", "", int), monkeypatch=monkeypatch) as runner:
        until(lambda: DutyStanding.objects.exists(), "it does them")
        monkeypatch.setattr(runner, "_do_due", lambda _: stuck.wait(60))
        until(lambda: (h := duties.holder()) is not None and not h.is_holding, "it lets go")
        stuck.set()


def test_a_duty_that_found_no_thread_is_done_later(monkeypatch: pytest.MonkeyPatch) -> None:
    begin, refused = _Helper.start, threading.Event()

    def refuse_once(helper: _Helper) -> None:
        if not refused.is_set():
            refused.set()
            raise RuntimeError("can't start new thread")
        begin(helper)

    monkeypatch.setattr(_Helper, "start", refuse_once)
    with running(Duty("d", "", int), monkeypatch=monkeypatch):
        until(lambda: DutyStanding.objects.exists(), "it is done")
    assert refused.is_set()


# --- real sweepers --------------------------------------------------------------------------------


def start(folder: Path) -> subprocess.Popen[bytes]:
    env = {**environment(NOBODY), "TOWER_HEARD": str(folder), "TOWER_SWEEP_SECONDS": str(PACE_S)}
    with (folder / "log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "tests.audit.runner_process"],
            cwd=settings.BASE_DIR,
            env=env,
            stdout=log,
            stderr=log,
        )


@dataclass(frozen=True)
class Line:
    at: float
    pid: int
    name: str
    what: str


@dataclass
class Frozen:
    pid: int
    since: float
    until: float  # when it is let go on, then when it was


@dataclass
class Sweepers:
    """Three of them. A blow meets the one that holds the duties, at a random moment."""

    folder: Path
    running: list[subprocess.Popen[bytes]] = field(default_factory=list)
    frozen: dict[int, Frozen] = field(default_factory=dict)
    thawed: list[Frozen] = field(default_factory=list)
    chance: random.Random = field(default_factory=lambda: random.Random(f"{BLOWS}"))

    def start(self) -> None:
        while len(self.running) < 3:
            self.running.append(start(self.folder))

    def holder(self) -> int | None:
        """The process that holds the duties and could be heard of doing them."""
        held = duties.holder()
        if held is None or not held.is_holding:
            return None
        pid = int(held.name.split(":")[1])
        alive = {p.pid for p in self.running}
        return pid if pid in alive and pid not in self.frozen else None

    def blow(self, how: signal.Signals) -> None:
        until(lambda: self.holder() is not None, "there is a holder", 60)
        # Each holder gets through one round: the bound on pauses is that of one blow.
        self.rest(self.chance.uniform(2, 4))
        until(lambda: self.holder() is not None, "there is a holder", 60)
        pid = self.holder()
        assert pid is not None
        os.kill(pid, how)
        now = time.monotonic()
        if how is signal.SIGSTOP:
            self.frozen[pid] = Frozen(pid, now, now + self.chance.uniform(1, 2 * LEASE_S))
            return
        [gone] = [p for p in self.running if p.pid == pid]
        gone.wait()
        self.running.remove(gone)
        self.start()

    def rest(self, seconds: float) -> None:
        """Let time pass; who was frozen long enough goes on."""
        end = time.monotonic() + seconds
        while (now := time.monotonic()) < end:
            for pid in [pid for pid, ice in self.frozen.items() if ice.until <= now]:
                self.thaw(pid)
            time.sleep(0.02)

    def thaw(self, pid: int) -> None:
        os.kill(pid, signal.SIGCONT)
        ice = self.frozen.pop(pid)
        ice.until = time.monotonic()
        self.thawed.append(ice)

    def stop(self) -> None:
        for one in self.running:
            one.kill()
            one.wait()

    def told(self) -> list[Line]:
        found = (self.folder / "witness").read_text().splitlines()
        parts = [line.split() for line in found]
        return sorted(
            (Line(float(at), int(pid), name, what) for at, pid, name, what in parts),
            key=lambda line: line.at,
        )


@pytest.fixture
def sweepers(tmp_path: Path) -> Iterator[Sweepers]:
    some = Sweepers(tmp_path)
    some.start()
    try:
        until(lambda: (tmp_path / "witness").exists(), "duties are done", 60)
        some.rest(4)  # until the others are there too
        yield some
    finally:
        some.stop()


@pytest.mark.slow
@pytest.mark.timeout(120 + 15 * BLOWS)
def test_killed_and_frozen_at_random_one_at_a_time_does_every_duty(sweepers: Sweepers) -> None:
    begun = time.monotonic()
    for n in range(BLOWS):
        sweepers.blow((signal.SIGKILL, signal.SIGSTOP)[n % 2])
        sweepers.rest(sweepers.chance.uniform(LEASE_S + RENEW_S, LEASE_S + 4))
    for pid in list(sweepers.frozen):
        sweepers.thaw(pid)
    sweepers.rest(2)
    lines, took = sweepers.told(), time.monotonic() - begun

    begins = [line for line in lines if line.what == "begins"]
    late = late_begins(begins, sweepers.thawed)
    # Between asking whether it holds and beginning, a process can be frozen: one duty, no more.
    assert len(late) <= len(sweepers.thawed)
    kept = [line for line in begins if line not in late]
    switches = sum(a.pid != b.pid for a, b in pairwise(kept))
    assert switches <= BLOWS, "two processes did duties in turns"
    worst = overlap_s(lines, sweepers.thawed)
    assert worst < LEASE_S
    gaps = {name: most(line.at for line in begins if line.name == name) for name in NAMES}
    print(  # noqa: T201
        f"{BLOWS} blows in {took:.0f} s, {len(begins)} duties done, {switches} handed over,"
        f" {len(late)} begun late, two at once for {max(worst, 0) * 1000:.0f} ms at most, longest"
        f" pauses {gaps}"
    )
    bound = PACE_S + LEASE_S + RENEW_S + SLACK_S
    assert max(gaps.values()) < bound, gaps
    standing = {row.name: row for row in DutyStanding.objects.filter(name__in=NAMES)}
    assert standing["fails"].failures > 0
    assert all(standing[n].failures == 0 for n in NAMES if n != "fails")


def late_begins(begins: list[Line], thawed: list[Frozen]) -> list[Line]:
    """What a process began right after it was let go on, while another had the duties."""
    late = []
    for before, line in pairwise(begins):
        if before.pid == line.pid:
            continue
        if any(ice.pid == line.pid and 0 <= line.at - ice.until < 0.2 for ice in thawed):
            late.append(line)
    return late


def busy(lines: list[Line], frozen: list[Frozen]) -> Iterator[tuple[float, float, int]]:
    """When which process was doing a duty: (from, to, pid), without the time that it was frozen."""
    begun: dict[tuple[int, str], float] = {}
    for line in lines:
        if line.what == "begins":
            begun[line.pid, line.name] = line.at
            continue
        since = begun.pop((line.pid, line.name))
        for ice in frozen:
            if ice.pid == line.pid and since < ice.since < line.at:
                yield since, ice.since, line.pid
                since = ice.until
        yield since, line.at, line.pid


def overlap_s(lines: list[Line], frozen: list[Frozen]) -> float:
    """For how long at most two processes were doing duties at once."""
    parts = list(busy(lines, frozen))
    return max(
        (
            min(to, other_to) - max(since, other_since)
            for since, to, pid in parts
            for other_since, other_to, other in parts
            if pid < other
        ),
        default=0.0,
    )


def most(times: Iterator[float]) -> float:
    return max(b - a for a, b in pairwise(times))


@pytest.mark.slow
def test_one_that_is_told_to_end_hands_over_at_once(sweepers: Sweepers) -> None:
    first = sweepers.holder()
    assert first is not None
    told = time.monotonic()
    os.kill(first, signal.SIGTERM)

    def handed_over() -> bool:
        lines = sweepers.told()
        return lines[-1].pid != first and lines[-1].at > told

    until(handed_over, "another does them")
    next_at = next(line.at for line in sweepers.told() if line.pid != first)
    assert next_at - told < LEASE_S - 1
    [gone] = [p for p in sweepers.running if p.pid == first]
    assert gone.wait(10) == 0
