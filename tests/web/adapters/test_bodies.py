"""A body that no page takes is refused while it comes, before any of it reaches the disk."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from apps.web.adapters.bodies import Bounded

MOST = 100


class Application:
    """Reads the whole body, as Django does, and answers with its length."""

    def __init__(self) -> None:
        self.read = 0
        self.left = False

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                self.left = True
                return
            self.read += len(message.get("body", b""))
            more = message.get("more_body", False)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": str(self.read).encode()})


def serve(
    application: Any, chunks: list[bytes], *headers: tuple[bytes, bytes]
) -> list[dict[str, Any]]:
    """What is sent back, when these chunks come."""
    sent: list[dict[str, Any]] = []
    coming: Iterator[bytes] = iter(chunks)
    left = len(chunks)

    async def receive() -> dict[str, Any]:
        nonlocal left
        left -= 1
        return {"type": "http.request", "body": next(coming, b""), "more_body": left > 0}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope = {"type": "http", "headers": list(headers)}
    asyncio.run(Bounded(application, MOST)(scope, receive, send))
    return sent


@pytest.mark.parametrize("chunks", [[], [b"x" * MOST], [b"x"] * MOST])
def test_what_is_small_enough_is_served(chunks: list[bytes]) -> None:
    application = Application()

    sent = serve(application, chunks)

    assert sent[0]["status"] == 200
    assert application.read == sum(map(len, chunks))


def test_a_length_that_says_so_is_refused_unread() -> None:
    application = Application()

    sent = serve(application, [b"x"], (b"content-length", b"101"))

    assert [sent[0]["status"], application.read, application.left] == [413, 0, False]


@pytest.mark.parametrize("length", [b"", b"5", b"-1", b"nonsense", b"9" * 400, "٣".encode()])
def test_a_body_that_goes_on_is_cut_whatever_its_length_said(length: bytes) -> None:
    application = Application()

    sent = serve(application, [b"x" * 40] * 1000, (b"Content-Length", length))

    assert [m["status"] for m in sent if "status" in m] == [413]
    assert application.left
    assert application.read <= MOST


def test_nothing_follows_the_refusal() -> None:
    class Stubborn(Application):
        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            await super().__call__(scope, receive, send)
            await send({"type": "http.response.start", "status": 500, "headers": []})

    sent = serve(Stubborn(), [b"x" * 40] * 10)

    assert [m["status"] for m in sent if "status" in m] == [413]


def test_sockets_pass() -> None:
    called = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        called.append(scope)

    asyncio.run(Bounded(application, MOST)({"type": "websocket"}, None, None))

    assert called == [{"type": "websocket"}]
