"""The doorbell of the live pages: tell every web process that something happened.

A tick is a hint. It carries ids only, may be lost or doubled, and must never hurt the work that
it reports: when Redis is away it is dropped, and the page's next heartbeat shows the gap.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Sequence
from functools import cache

import orjson
import redis
from django.conf import settings

CHANNEL = "tower:ticks"
LOG_SECONDS = 60.0
REST_SECONDS = 2.0  # after a failure nobody waits for a dead Redis again for this long
SOCKET_SECONDS = 1.0

log = logging.getLogger(__name__)
_silence: dict[str, float] = {"rest_until": 0.0, "log_after": 0.0}

Tick = tuple[str, int, str, str]


def tick(streams: Iterable[str], seq: int, kind: str, id: str) -> None:
    """Say on each of ``streams`` that event ``seq`` of ``kind`` about ``id`` happened. Never
    raises: a lost tick is caught up by the heartbeat."""
    tick_many([(stream, seq, kind, id) for stream in streams])


def tick_many(ticks: Sequence[Tick]) -> None:
    """Publish ``(stream, seq, kind, id)`` ticks as one message. Never raises."""
    if not ticks or time.monotonic() < _silence["rest_until"]:
        return
    try:
        _client().publish(CHANNEL, orjson.dumps(ticks))
    except (redis.RedisError, OSError) as error:
        _rest(error)


class Ear:
    """Hears that something happened, whatever it was. Used as a context; raises ``RedisError`` or
    ``OSError`` while Redis is away."""

    def __enter__(self) -> Ear:
        self._redis = redis.Redis.from_url(
            settings.REDIS_URL, socket_connect_timeout=SOCKET_SECONDS, health_check_interval=30
        )
        self._pubsub = self._redis.pubsub(ignore_subscribe_messages=True)
        self._pubsub.subscribe(CHANNEL)
        return self

    def __exit__(self, *exc: object) -> None:
        self._pubsub.close()
        self._redis.close()

    def hears(self, seconds: float) -> bool:
        """Wait for a tick; the ones that came with it are heard together."""
        if self._pubsub.get_message(timeout=seconds) is None:
            return False
        while self._pubsub.get_message(timeout=0) is not None:
            pass
        return True


def read(message: bytes) -> list[Tick]:
    """The ticks of a message. Raises ``ValueError`` for one that holds anything else."""
    found = orjson.loads(message)
    if not isinstance(found, list):
        raise ValueError("no list of ticks")
    return [_tick(*one) for one in found]


def _tick(stream: str, seq: int, kind: str, subject: str) -> Tick:
    if not isinstance(stream, str) or not isinstance(seq, int):
        raise ValueError("no tick")
    return stream, seq, kind, subject


def _rest(error: Exception) -> None:
    now = time.monotonic()
    _silence["rest_until"] = now + REST_SECONDS
    if now >= _silence["log_after"]:
        _silence["log_after"] = now + LOG_SECONDS
        log.warning("Live ticks are not sent: Redis can't be reached (%s)", type(error).__name__)


@cache
def _client() -> redis.Redis:
    return redis.Redis.from_url(
        settings.REDIS_URL,
        socket_connect_timeout=SOCKET_SECONDS,
        socket_timeout=SOCKET_SECONDS,
        health_check_interval=30,
    )
