"""The courier: seal and deliver as soon as something happened.

Runs beside the sweep, in threads of its own: one hears the bell and seals, and each subscriber has
one, so that a handler which is slow, fails or hangs keeps nobody else waiting. Any number of
couriers may run: the locks of sealing and of each subscription let one at a time work.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

import redis
from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection

from apps.audit import registry
from apps.audit.domain.subscriber import Subscriber
from apps.audit.fanout import Ear
from apps.audit.services import deliver, seal

logger = logging.getLogger(__name__)
LOOK_S = 1.0  # how often everybody looks for themselves: a lost bell costs this much
REST_S = 0.02  # between two looks: what happens meanwhile is dealt with together
SHARE = 4  # under load, rests are this many times as long as the work before them
MOST_REST_S = 0.25
DEAF_S = 1.0  # until a Redis that is away is tried again
FULL = 5000  # what one sealing takes


class Courier:
    """Deliver until ``stop`` is set."""

    def __init__(self, stop: threading.Event) -> None:
        self._stop = stop
        self._rung = threading.Event()
        self._sealed = {s.name: threading.Event() for s in registry.subscribers()}

    def start(self) -> list[threading.Thread]:
        """Begin, in threads that end soon after ``stop`` is set."""
        works: list[tuple[str, Callable[[], None]]] = [
            ("courier-ear", self._listen),
            ("courier-seal", lambda: self._again_and_again(self._rung, self._seal)),
        ]
        for one in registry.subscribers():
            works.append((f"courier-{one.name}", self._serving(one)))
        threads = [threading.Thread(target=work, name=name, daemon=True) for name, work in works]
        for thread in threads:
            thread.start()
        return threads

    def _serving(self, subscriber: Subscriber) -> Callable[[], None]:
        bell = self._sealed[subscriber.name]
        return lambda: self._again_and_again(bell, lambda: deliver(subscriber).is_behind)

    def _listen(self) -> None:
        while not self._stop.is_set():
            try:
                with Ear() as ear:
                    while not self._stop.is_set():
                        if ear.hears(LOOK_S):
                            self._rung.set()
            except (redis.RedisError, OSError):  # then everybody looks for themselves
                self._stop.wait(DEAF_S)

    def _seal(self) -> bool:
        sealed = seal(limit=FULL)
        if sealed:
            for bell in self._sealed.values():
                bell.set()
        return sealed == FULL

    def _again_and_again(self, bell: threading.Event, work: Callable[[], bool]) -> None:
        """``work`` whenever the bell rings, and every now and then; at once as long as it says that
        there is more."""
        while not self._stop.is_set():
            bell.wait(LOOK_S)
            bell.clear()
            begun = time.monotonic()
            try:
                while work() and not self._stop.is_set():
                    pass
            except (DatabaseError, InterfaceError):
                logger.warning("a courier could not work, trying again", exc_info=True)
                connection.close()
                self._stop.wait(settings.SWEEP_SECONDS)
            except Exception:
                logger.exception("a courier could not work, trying again")
                self._stop.wait(settings.SWEEP_SECONDS)
            took = time.monotonic() - begun
            self._stop.wait(min(MOST_REST_S, max(REST_S, SHARE * took)))
        connection.close()
