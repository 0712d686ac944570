"""The doorbell of a lane, as a drain without work hears it."""

from __future__ import annotations

import asyncio
from typing import Any

import redis.asyncio
from django.conf import settings
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from apps.runs.domain.bells import bell_of

MOST_S = 0.5  # a lost bell costs this much at most
LEAST_S = 0.02
DEAF_S = 0.05  # while Redis is away, the drain looks for itself this often
SHARE = 0.25  # of the time that nothing has happened for
GRACE_S = 0.5  # how much later than asked a Redis may answer that there was no bell


def pause_s(idle_s: float) -> float:
    """How long to wait before looking for oneself, when nothing has happened for ``idle_s``: often
    at first, since retries come soon after what they repeat, and then ever less."""
    return min(MOST_S, max(LEAST_S, idle_s * SHARE))


class Doorbell:
    """Waits for ``dispatch.ring(lane)``. Of several drains that wait, one hears each bell: the one
    that waits longest. While Redis is away nothing is heard, and nothing is said about it either:
    whoever rings says so."""

    def __init__(self, lane: str) -> None:
        self._key = bell_of(lane)
        self._redis: Any = None

    async def wait(self, seconds: float) -> bool:
        """Wait until it rings, ``seconds`` at most. Returns whether it rang."""
        try:
            async with asyncio.timeout(seconds + GRACE_S):
                return await self._client().blpop([self._key], timeout=seconds) is not None
        except (RedisError, OSError):  # a time-out is an OSError: a Redis that hangs is away too
            await asyncio.sleep(min(seconds, DEAF_S))
            return False

    async def close(self) -> None:
        if self._redis is not None:
            await self._redis.aclose()

    def _client(self) -> Any:
        if self._redis is None:
            self._redis = redis.asyncio.Redis.from_url(
                settings.REDIS_URL,
                max_connections=1,
                socket_connect_timeout=GRACE_S,
                retry=Retry(NoBackoff(), 0),
            )
        return self._redis
