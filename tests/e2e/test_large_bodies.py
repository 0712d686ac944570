"""A stranger sends without end: the site answers and stops reading, and serves others meanwhile."""

from __future__ import annotations

import socket
from contextlib import suppress
from urllib.parse import urlsplit

import httpx
import pytest

CHUNK = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
MANY = 4000  # 250 MB


@pytest.mark.parametrize("path", ["/api/v1/runs", "/accounts/login/", "/nowhere"])
def test_a_body_without_end_is_cut(live_site: str, path: str) -> None:
    place = urlsplit(live_site)
    sent = 0
    with socket.create_connection((place.hostname, place.port or 80), timeout=20) as line:
        head = f"POST {path} HTTP/1.1\r\nHost: {place.netloc}\r\nTransfer-Encoding: chunked\r\n\r\n"
        line.sendall(head.encode())
        with suppress(OSError):
            for _ in range(MANY):
                line.sendall(CHUNK)
                sent += len(CHUNK)
        answer = b""
        with suppress(OSError):
            answer = line.recv(4096)

    assert sent < MANY * len(CHUNK), "the site took all of it"
    assert answer == b"" or b" 413 " in answer.splitlines()[0]
    assert httpx.get(f"{live_site}/healthz").status_code == 200
