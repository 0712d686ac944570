"""The one way by which accounts ask somebody outside: an identity provider, a list of leaks.

No proxy of the environment, no redirect; certificates by what this machine trusts; an answer that
is neither long nor slow without end.
"""

from __future__ import annotations

import asyncio
import ssl
from typing import Any

import httpx2


class NotAnsweredError(Exception):
    """Nobody answered there, or not in time."""


class LongAnswerError(Exception):
    """The answer is longer than is read."""


def ask(
    method: str, address: str, *, within_s: float, most_bytes: int, accept: str, **sent: Any
) -> tuple[int, bytes]:
    """Status and text of an answer. ``within_s`` bounds it as a whole, from the connection to the
    last byte: who sends a little at a time, in head or text, gains none. Raises
    ``NotAnsweredError`` and ``LongAnswerError``."""
    # What is packed although it was asked not to be is read as it is: it can't grow here.
    headers = {"Accept": accept, "Accept-Encoding": "identity", **sent.pop("headers", {})}
    try:
        return asyncio.run(_asked(method, address, within_s, most_bytes, headers=headers, **sent))
    except (httpx2.HTTPError, httpx2.InvalidURL, OSError) as error:  # TimeoutError is an OSError
        raise NotAnsweredError(f"{error!r:.300}") from error


async def _asked(
    method: str, address: str, within_s: float, most_bytes: int, **sent: Any
) -> tuple[int, bytes]:
    async with (
        asyncio.timeout(within_s),
        httpx2.AsyncClient(
            timeout=within_s,
            follow_redirects=False,
            trust_env=False,
            verify=ssl.create_default_context(),
        ) as client,
        client.stream(method, address, **sent) as answer,
    ):
        return answer.status_code, await _text(answer, most_bytes)


async def _text(answer: httpx2.Response, most_bytes: int) -> bytes:
    body = b""
    async for chunk in answer.aiter_raw():
        body += chunk
        if len(body) > most_bytes:
            raise LongAnswerError(f"it answers with more than {most_bytes:,} bytes")
    return body
