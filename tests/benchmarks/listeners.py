"""Many browsers' sockets in a process of their own: reads ``{"url", "cookies"}`` from its standard
input, says ``{"open": n}``, and at the end of its input tells what every socket has heard."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import Any

import websockets

STREAMS = "runs,tower,approvals"


class Listener:
    """One socket: the newest number it heard of each stream, and when frames came."""

    def __init__(self) -> None:
        self.heads: dict[str, int] = {}
        self.heard: list[tuple[int, float]] = []
        self.closed = False

    async def listen(self, url: str, cookie: str, origin: str, is_open: asyncio.Event) -> None:
        headers = {"Cookie": cookie}
        async with websockets.connect(
            url, origin=origin, additional_headers=headers, ping_interval=None, max_queue=None
        ) as socket:  # type: ignore[arg-type]  # an origin is text
            async for text in socket:
                is_open.set()
                self._hear(json.loads(text), time.time())
        self.closed = True

    def _hear(self, frame: dict[str, Any], now: float) -> None:
        if "stream" in frame:
            self._note(frame["stream"], frame["seq"])
            self.heard.append((frame["seq"], now))
        for stream, seq in frame.get("head", {}).items():
            self._note(stream, seq)

    def _note(self, stream: str, seq: int) -> None:
        self.heads[stream] = max(self.heads.get(stream, 0), seq)


async def main() -> None:
    loop = asyncio.get_running_loop()
    given = json.loads(await loop.run_in_executor(None, sys.stdin.readline))
    listeners = [Listener() for _ in given["cookies"]]
    opened = [asyncio.Event() for _ in listeners]
    url = f"{given['url'].replace('http', 'ws', 1)}/ws/live/?streams={STREAMS}"
    tasks = [
        asyncio.create_task(one.listen(url, cookie, given["url"], event))
        for one, cookie, event in zip(listeners, given["cookies"], opened, strict=True)
    ]
    await asyncio.wait_for(asyncio.gather(*(event.wait() for event in opened)), 60)
    tell({"open": len(opened)})
    await loop.run_in_executor(None, sys.stdin.readline)
    closed = sum(task.done() for task in tasks)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    tell(
        {
            "closed": closed,
            "heads": [o.heads for o in listeners],
            "heard": [o.heard for o in listeners],
        }
    )


def tell(what: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main())
