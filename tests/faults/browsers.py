"""Many browsers' sockets, without the browsers: each keeps the last number of its streams, tries
again with full jitter when its socket is lost, and catches up by what the heartbeat says."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import threading
import time
from collections.abc import Sequence

from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

STREAMS = ("runs", "approvals", "tower")
BACKOFF_S = (0.2, 3.0)  # of the page: 1 to 30; a tenth, since the tests' minutes are short
A_USER = 5


class Herd:
    """``count`` clients in one thread's loop. ``seen`` is what each knows: stream → number."""

    def __init__(self, url: str, origin: str, cookies: Sequence[str], *, count: int) -> None:
        self.url = url.replace("http", "ws", 1) + f"/ws/live/?streams={','.join(STREAMS)}"
        self.origin = origin
        self.cookies = cookies
        self.seen: list[dict[str, int]] = [{} for _ in range(count)]
        self.connected = [False] * count
        self.connects = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)

    def __enter__(self) -> Herd:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stop.set()
        self._thread.join(20)

    @property
    def alive(self) -> int:
        """How many are connected at this moment."""
        return sum(self.connected)

    def are_at(self, heads: dict[str, int]) -> bool:
        """Whether every one of them knows every stream as far as this."""
        return all(seen.get(s, -1) == head for seen in self.seen for s, head in heads.items())

    async def _run(self) -> None:
        tasks = [asyncio.create_task(self._live(n)) for n in range(len(self.seen))]
        while not self._stop.is_set():
            await asyncio.sleep(0.05)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _live(self, number: int) -> None:
        low, high = BACKOFF_S
        wait = low
        while True:
            try:
                async with connect(
                    self.url,
                    origin=self.origin,  # type: ignore[arg-type]  # a str
                    additional_headers={"Cookie": self.cookies[number // A_USER]},
                    open_timeout=10,
                    proxy=None,
                ) as socket:
                    self.connects += 1
                    self.connected[number] = True
                    wait = low
                    async for text in socket:
                        self._hear(number, json.loads(text))
            except (OSError, WebSocketException, TimeoutError, EOFError):
                pass
            finally:
                self.connected[number] = False
            await asyncio.sleep(random.uniform(0, wait))
            wait = min(high, wait * 2)

    def _hear(self, number: int, frame: dict[str, object]) -> None:
        seen = self.seen[number]
        head = frame.get("head")
        if isinstance(head, dict):  # a heartbeat: a gap shows, and is fetched
            for stream, seq in head.items():
                seen[stream] = max(seen.get(stream, 0), seq)
        elif "seq" in frame:
            stream, seq = str(frame["stream"]), int(str(frame["seq"]))
            seen[stream] = max(seen.get(stream, 0), seq)


class Caller:
    """Asks an address again and again and notes how long each answer took."""

    def __init__(self, ask: object) -> None:
        self.took: list[float] = []
        self.errors = 0
        self._ask = ask
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Caller:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stop.set()
        self._thread.join(20)

    def _run(self) -> None:
        while not self._stop.wait(0.1):
            begun = time.monotonic()
            with contextlib.suppress(Exception):
                self._ask()  # type: ignore[operator]  # a callable
                self.took.append(time.monotonic() - begun)
                continue
            self.errors += 1

    def p95(self) -> float:
        return sorted(self.took)[int(len(self.took) * 0.95)] if self.took else 0.0
