"""The runner of the duties: one process at a time does them, each apart from the others.

Any number may run. One thread keeps the lease or looks for a free one; another hands each duty that
is due to a helper and waits for it for a short while only, so that they are done in their order and
one that hangs delays nobody. Helpers are threads that are used again: usually there is one.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from queue import SimpleQueue

from django.db import DatabaseError, InterfaceError, connection

from apps.audit import registry
from apps.audit.domain.duty import PATIENCE_S, RENEW_S, STUCK_S, Duty, Term
from apps.audit.services import leading
from apps.audit.services.performing import keep, pace_s, perform

logger = logging.getLogger(__name__)
GLANCE_S = 0.2  # how often a runner without work looks whether it has some
MOST_IDLE = 3  # helpers that are kept with their connection
LAST_WORDS_S = 3.0  # how long one that is told to end waits for the duties in hand


class Runner:
    """Do the duties, whenever this process holds them, until ``stop`` is set. ``rounds`` counts the
    times that it has looked through all of them."""

    def __init__(self, stop: threading.Event, holder: str) -> None:
        self.rounds = 0
        self._stop, self._holder = stop, holder
        self._term: Term | None = None
        self._moved_at = time.monotonic()  # when the round last made a move
        self._due: dict[str, float] = {}  # when each duty is next, in the term ``_due_in``
        self._due_in = 0
        self._in_hand: set[str] = set()
        self._idle: deque[_Helper] = deque()

    def start(self) -> list[threading.Thread]:
        """Begin, in threads that end soon after ``stop`` is set: then another one may take over at
        once."""
        works = (("duties-lease", self._keep_lease), ("duties-round", self._go_round))
        threads = [threading.Thread(target=work, name=name, daemon=True) for name, work in works]
        for thread in threads:
            thread.start()
        return threads

    # --- who holds them ---------------------------------------------------------------------------

    def _holds(self, token: int) -> bool:
        term = self._term
        return term is not None and term.token == token and time.monotonic() < term.until

    def _keep_lease(self) -> None:
        while not self._stop.is_set():
            _guarded(self._look)
            self._stop.wait(RENEW_S)
        until = time.monotonic() + LAST_WORDS_S
        while self._in_hand and time.monotonic() < until:
            time.sleep(0.02)
        if self._term is not None:
            _guarded(lambda: self._step_down("this process ends"))
        for helper in tuple(self._idle):
            helper.give(None)
        connection.close()

    def _look(self) -> None:
        stuck = time.monotonic() - self._moved_at > STUCK_S
        if self._term is None:
            self._term = None if stuck else leading.take(self._holder)
            if self._term:
                logger.info("%s holds the duties (term %s)", self._holder, self._term.token)
        elif stuck:
            self._step_down("it makes no move")
        else:
            self._term = leading.renew(self._term)
            if self._term is None:
                logger.warning("%s was silent, and another has the duties", self._holder)

    def _step_down(self, why: str) -> None:
        term, self._term = self._term, None
        logger.info("%s lets the duties go: %s", self._holder, why)
        if term:
            leading.let_go(term)

    # --- doing them -------------------------------------------------------------------------------

    def _go_round(self) -> None:
        while not self._stop.is_set():
            self._moved_at = time.monotonic()
            term = self._term
            if term is not None and self._holds(term.token):
                _guarded(lambda term=term: self._do_due(term))  # type: ignore[misc]
            self._stop.wait(GLANCE_S)

    def _do_due(self, term: Term) -> None:
        """Whatever is due, in the order in which it was registered. A new holder begins with all of
        it."""
        if self._due_in != term.token:
            self._due, self._due_in = {}, term.token
        begun = False
        for duty in registry.duties():
            now = self._moved_at = time.monotonic()
            if self._due.get(duty.name, 0.0) > now or duty.name in self._in_hand:
                continue
            if self._stop.is_set() or not self._holds(term.token):
                return
            self._due[duty.name] = now + pace_s(duty)
            begun = True
            done = self._hand_over(duty, term)
            if not duty.waits:
                done.wait(PATIENCE_S)
        self.rounds += begun

    def _hand_over(self, duty: Duty, term: Term) -> threading.Event:
        done = threading.Event()
        try:
            helper = self._idle.popleft()
        except IndexError:
            helper = _Helper(self._idle)
            helper.start()  # may fail: then it is in nobody's hand, and is tried again
        self._in_hand.add(duty.name)
        helper.give(lambda: self._do(duty, term, done))
        return done

    def _do(self, duty: Duty, term: Term, done: threading.Event) -> None:
        try:
            # Asked by the very thread that does it: time may have passed since it was handed over.
            if self._holds(term.token):
                _guarded(lambda: _perform(duty, term))
        finally:
            self._in_hand.discard(duty.name)
            done.set()


class _Helper(threading.Thread):
    """Does one thing after the other; puts itself among the ``idle`` ones in between, and ends when
    enough of them are there."""

    def __init__(self, idle: deque[_Helper]) -> None:
        super().__init__(name="duty", daemon=True)
        self._idle = idle
        self._work: SimpleQueue[Callable[[], None] | None] = SimpleQueue()

    def give(self, work: Callable[[], None] | None) -> None:
        """Have it do something, or end."""
        self._work.put(work)

    def run(self) -> None:
        try:
            while work := self._work.get():
                work()
                if len(self._idle) >= MOST_IDLE:
                    return
                self._idle.append(self)
        finally:
            connection.close()


def _perform(duty: Duty, term: Term) -> None:
    done = perform(duty)
    if not keep([done], term):
        logger.warning("another has the duties: how “%s” went is not kept", duty.name)


def _guarded(work: Callable[[], None]) -> None:
    """``work``, whatever it raises: these threads go on."""
    try:
        work()
    except (DatabaseError, InterfaceError):
        logger.warning("the database is away, trying again", exc_info=True)
        connection.close()
    except Exception:
        logger.exception("the runner of the duties could not work, trying again")
