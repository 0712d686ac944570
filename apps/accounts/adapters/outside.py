"""The one way by which accounts ask somebody outside: an identity provider, a list of leaks.

No proxy of the environment, no redirect; certificates by what this machine trusts; an answer that
is neither long nor slow without end.
"""

from __future__ import annotations

import ssl
import time
from typing import Any

import httpx2


class NotAnsweredError(Exception):
    """Nobody answered there, or not in time."""


class LongAnswerError(Exception):
    """The answer is longer than is read."""


def ask(
    method: str, address: str, *, within_s: float, most_bytes: int, accept: str, **sent: Any
) -> tuple[int, bytes]:
    """Status and text of an answer. ``within_s`` bounds each silence, and the text as a whole.
    Raises ``NotAnsweredError`` and ``LongAnswerError``."""
    # What is packed although it was asked not to be is read as it is: it can't grow here.
    headers = {"Accept": accept, "Accept-Encoding": "identity", **sent.pop("headers", {})}
    try:
        with (
            httpx2.Client(
                timeout=within_s,
                follow_redirects=False,
                trust_env=False,
                verify=ssl.create_default_context(),
                headers=headers,
            ) as client,
            client.stream(method, address, **sent) as answer,
        ):
            return answer.status_code, _text(answer, within_s, most_bytes)
    except (httpx2.HTTPError, httpx2.InvalidURL, OSError) as error:
        raise NotAnsweredError(f"{error!r:.300}") from error


def _text(answer: httpx2.Response, within_s: float, most_bytes: int) -> bytes:
    body, until = b"", time.monotonic() + within_s
    for chunk in answer.iter_raw():
        body += chunk
        if len(body) > most_bytes:
            raise LongAnswerError(f"it answers with more than {most_bytes:,} bytes")
        if time.monotonic() > until:
            raise NotAnsweredError("it takes too long")
    return body
