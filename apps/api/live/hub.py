"""One Redis subscription a process, fanned out to the process's own sockets.

A socket never waits for another: the hub only puts the newest frame of each stream into the
socket's outbox, and the socket's own writer empties it a few times a second. So a slow browser
costs one dictionary, and a busy stream becomes a few frames a second, latest wins.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections import defaultdict, deque
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any
from weakref import WeakKeyDictionary

import redis.asyncio
from channels.db import database_sync_to_async
from django.conf import settings
from django.db import Error as DatabaseError

from apps.audit import fanout, selectors
from apps.audit.fanout import CHANNEL, Tick

HEARTBEAT_SECONDS = 5.0
BACKOFF_SECONDS = (0.2, 10.0)
HEARTBEAT = "heartbeat"
REMEMBERED = 200  # ticks a stream

log = logging.getLogger(__name__)


class Outbox:
    """What one socket is still to be told: at most one frame a stream."""

    def __init__(self, user_id: int) -> None:
        self.user_id = user_id
        self.streams: set[str] = set()
        self.frames: dict[str, dict[str, Any]] = {}
        self.filled = asyncio.Event()

    def put(self, key: str, frame: dict[str, Any]) -> None:
        """Replace the waiting frame of ``key``; an older tick never replaces a newer one."""
        waiting = self.frames.get(key)
        if waiting and waiting.get("seq", 0) > frame.get("seq", 0):
            return
        self.frames[key] = frame
        self.filled.set()

    async def take(self) -> list[dict[str, Any]]:
        """Wait for frames and empty the box."""
        await self.filled.wait()
        self.filled.clear()
        frames, self.frames = list(self.frames.values()), {}
        return frames


class Hub:
    """The process's sockets, its subscription and its heartbeat. Both tasks live while at least
    one socket does."""

    def __init__(self) -> None:
        self.boxes: set[Outbox] = set()
        self.listening: dict[str, set[Outbox]] = defaultdict(set)  # by stream
        self.heads: dict[str, int] = {}  # of the streams that anybody listens on
        # The ticks of late on them: most are sent twice, at the commit and by the delivery.
        self.heard: dict[str, deque[int]] = defaultdict(lambda: deque(maxlen=REMEMBERED))
        self.tasks: list[asyncio.Task[None]] = []

    def sockets_of(self, user_id: int) -> int:
        """How many sockets a person holds in this process."""
        return sum(box.user_id == user_id for box in self.boxes)

    async def join(self, box: Outbox, streams: Iterable[str]) -> None:
        """Let ``box`` hear ``streams``; it is told at once how far they have come."""
        box.streams |= set(streams)
        self.boxes.add(box)
        for stream in box.streams:
            self.listening[stream].add(box)
        if not self.tasks:
            self.tasks = [asyncio.create_task(self._listen()), asyncio.create_task(self._beat())]
        await self._refresh(box.streams)
        box.put(HEARTBEAT, self._heartbeat(box))

    async def leave(self, box: Outbox) -> None:
        """Forget ``box``; the last one out stops the subscription."""
        self.boxes.discard(box)
        for stream in box.streams:
            self.listening[stream].discard(box)
            if not self.listening[stream]:
                del self.listening[stream]
                self.heads.pop(stream, None)
                self.heard.pop(stream, None)
        if self.boxes:
            return
        tasks, self.tasks = self.tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def deliver(self, ticks: Iterable[Tick]) -> None:
        """Hand ticks to the sockets that listen on their streams; nothing is kept of the others,
        which are most of them."""
        for stream, seq, kind, subject in ticks:
            boxes = self.listening.get(stream)
            if boxes and seq not in self.heard[stream]:
                self.heard[stream].append(seq)
                self.heads[stream] = max(self.heads.get(stream, 0), seq)
                frame = {"stream": stream, "seq": seq, "kind": kind, "id": subject}
                for box in boxes:
                    box.put(stream, frame)

    async def _listen(self) -> None:
        low, high = BACKOFF_SECONDS
        wait = low
        while True:
            try:
                async with contextlib.AsyncExitStack() as stack:
                    client = redis.asyncio.Redis.from_url(
                        settings.REDIS_URL, health_check_interval=15, socket_connect_timeout=2
                    )
                    stack.push_async_callback(client.aclose)
                    pubsub = client.pubsub(ignore_subscribe_messages=True)
                    stack.push_async_callback(pubsub.aclose)
                    await pubsub.subscribe(CHANNEL)
                    wait = low
                    while True:
                        self._hear(await pubsub.get_message(timeout=HEARTBEAT_SECONDS))
            except (redis.RedisError, OSError) as error:
                log.warning("Live subscription lost (%s), trying again", type(error).__name__)
                await asyncio.sleep(random.uniform(low, wait))  # noqa: S311  # jitter, no secret
                wait = min(high, wait * 2)

    def _hear(self, message: dict[str, Any] | None) -> None:
        if message is None:
            return
        try:
            self.deliver(fanout.read(message["data"]))
        except (ValueError, KeyError, TypeError):
            log.warning("A tick that isn't one was dropped")

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(HEARTBEAT_SECONDS)
            # Without the database nobody knows how far the streams are: no heartbeat then, and
            # the pages say that they are stale.
            if not await self._refresh(set().union(*(box.streams for box in self.boxes))):
                continue
            for box in self.boxes:
                box.put(HEARTBEAT, self._heartbeat(box))

    async def _refresh(self, streams: set[str]) -> bool:
        try:
            found = await database_sync_to_async(selectors.heads)(streams)
        except DatabaseError as error:
            log.warning("Heads of the live streams can't be read (%s)", type(error).__name__)
            return False
        for stream, head in found.items():
            if stream in self.listening:
                self.heads[stream] = max(self.heads.get(stream, 0), head)
        return True

    def _heartbeat(self, box: Outbox) -> dict[str, Any]:
        head = {stream: self.heads.get(stream, 0) for stream in sorted(box.streams)}
        return {"head": head, "now": datetime.now(UTC).isoformat()}


_hubs: WeakKeyDictionary[asyncio.AbstractEventLoop, Hub] = WeakKeyDictionary()


def hub() -> Hub:
    """The hub of the running event loop."""
    return _hubs.setdefault(asyncio.get_running_loop(), Hub())
