"""The socket of a page: hints from the server, nothing from the browser but what to listen to."""

from __future__ import annotations

import asyncio
import json
import time
from collections import deque
from importlib import import_module
from typing import Any
from urllib.parse import parse_qs

from channels.auth import get_user
from channels.generic.websocket import AsyncWebsocketConsumer
from django.conf import settings
from django.contrib.auth.models import AnonymousUser

from apps.accounts.authn import is_session_over
from apps.api.live import streams
from apps.api.live.hub import Outbox, hub

MESSAGE_BYTES = 4096
MESSAGES_A_SECOND = 10
SOCKETS_A_USER = 5
RECHECK_SECONDS = 4.0  # so that nobody hears anything 5 s after their session was ended
COALESCE_SECONDS = 0.25

REFUSED = 4403
MISBEHAVED = 4400
GONE = 4401


class LiveConsumer(AsyncWebsocketConsumer):
    """Authenticated at the handshake, allowed stream by stream, and asked again every
    ``RECHECK_SECONDS``: a log-out, a disabled account or a lost role closes the socket."""

    box: Outbox | None = None
    tasks: tuple[asyncio.Task[None], ...] = ()

    async def connect(self) -> None:
        query = parse_qs(self.scope["query_string"].decode("ascii", "replace"))
        wanted = streams.parse(",".join(query.get("streams", [])))
        user = AnonymousUser() if is_session_over(self.scope["session"]) else self.scope["user"]
        if not streams.may_hear(user, wanted) or hub().sockets_of(user.pk) >= SOCKETS_A_USER:
            await self.close(REFUSED)
            return
        self.heard: deque[float] = deque(maxlen=MESSAGES_A_SECOND)
        self.box = Outbox(user.pk)
        # Counted before the first await, so that many sockets at once can't pass the limit.
        hub().boxes.add(self.box)
        await self.accept()
        await hub().join(self.box, wanted)
        self.tasks = (asyncio.create_task(self._write()), asyncio.create_task(self._recheck()))

    async def disconnect(self, code: int) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        if self.box is not None:
            await hub().leave(self.box)

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        wanted = self._understand(text_data)
        if wanted is None:
            await self.close(MISBEHAVED)
        elif wanted and not streams.may_hear(await self._user(), wanted | self._box.streams):
            await self.close(REFUSED)
        elif wanted:
            await hub().join(self._box, wanted)

    @property
    def _box(self) -> Outbox:
        assert self.box is not None, "only an accepted socket receives"  # noqa: S101
        return self.box

    def _understand(self, text: str | None) -> frozenset[str] | None:
        """Streams asked for (none for a ping), or ``None`` if this isn't a message we take."""
        now = time.monotonic()
        if len(self.heard) == MESSAGES_A_SECOND and now - self.heard[0] < 1:
            return None
        self.heard.append(now)
        if text is None or len(text.encode()) > MESSAGE_BYTES:
            return None
        try:
            message = json.loads(text)
        except (ValueError, RecursionError):
            return None
        match message:
            case {"ping": _, **rest} if not rest:
                return frozenset()
            case {"subscribe": [*names], **rest} if not rest and all(map(_is_text, names)):
                return frozenset(names)
        return None

    async def _write(self) -> None:
        while True:
            for frame in await self._box.take():
                await self.send(json.dumps(frame))
            await asyncio.sleep(COALESCE_SECONDS)

    async def _recheck(self) -> None:
        while True:
            await asyncio.sleep(RECHECK_SECONDS)
            if not streams.may_hear(await self._user(), frozenset(self._box.streams)):
                await self.close(GONE)
                return

    async def _user(self) -> Any:
        """The person as the database knows them now: session, password and account re-read."""
        key = self.scope["cookies"].get(settings.SESSION_COOKIE_NAME)
        store = import_module(settings.SESSION_ENGINE).SessionStore
        session = store(key)
        user = await get_user({"session": session})  # reads the session, in a thread of its own
        return AnonymousUser() if is_session_over(session) else user


def _is_text(value: object) -> bool:
    return isinstance(value, str)
