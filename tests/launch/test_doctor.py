"""What the doctor says of a site that is not this tower's."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from controltower.launch import doctor


class Named(BaseHTTPRequestHandler):
    """Answers as the site of the tower that is called “theirs”."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Tower-Instance", "theirs")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def url() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), Named) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def test_a_strangers_site_is_told(url: str) -> None:
    (found,) = doctor._stranger(url, "mine")
    assert "another program" in found.detail
    assert list(doctor._stranger(url, "theirs")) == []
    assert list(doctor._stranger("http://127.0.0.1:1", "mine")) == []
