"""Identity providers for tests: a real one from a package, and one that lies."""

from __future__ import annotations

import base64
import html
import json
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from django.test import Client

CLIENT, PROOF = "tower", "of-the-tower"
LEAVE, BACK = "/accounts/provider/", "/accounts/provider/back/"
ROLES = {"boss": "admin", "ops": "operator", "look": "auditor"}


def configure(settings: Any, issuer: str, **more: Any) -> None:
    """As the variables would."""
    given = {
        "ISSUER": issuer,
        "CLIENT": CLIENT,
        "SECRET": PROOF,
        "NAME": "Example ID",
        "ROLES": ROLES,
        **more,
    }
    for name, value in given.items():
        setattr(settings, f"OIDC_{name}", value)


@contextmanager
def real_provider() -> Iterator[str]:
    """oidc-provider-mock, as a process of its own; its address is its issuer."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "oidc_provider_mock", "--port", str(port)]
    served = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _wait_for(port, served)
        yield f"http://127.0.0.1:{port}"
    finally:
        served.terminate()
        served.wait(timeout=20)


def _wait_for(port: int, served: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and served.poll() is None:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.05)
    pytest.fail("the provider did not start")


def known(issuer: str, subject: str, **claims: Any) -> None:
    """Somebody whom the real provider knows."""
    httpx2.put(f"{issuer}/users/{subject}", json=claims).raise_for_status()


def left(client: Client, **given: str) -> str:
    """Where the browser is sent to log in."""
    page = client.post(LEAVE, given)
    found = re.search(r'http-equiv="refresh" content="0;url=([^"]+)"', page.content.decode())
    assert found, page.content.decode()
    return html.unescape(found[1])


def at_provider(address: str, subject: str) -> str:
    """The address to which the real provider sends the browser back."""
    answer = httpx2.post(address, data={"sub": subject})
    assert answer.status_code == 302, answer.text
    return str(answer.headers["Location"])


def returned(client: Client, location: str) -> Any:
    parts = urlsplit(location)
    return client.get(f"{parts.path}?{parts.query}")


def logs_in(client: Client, subject: str, **given: str) -> Any:
    """The whole log-in at the real provider; the answer to the browser that came back."""
    return returned(client, at_provider(left(client, **given), subject))


def asked_for(address: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}


def text(response: Any) -> str:
    return " ".join(response.content.decode().split())


def b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


class Liar:
    """A provider that answers as it is told: ``claims`` change its token, ``answers`` replace what
    it says at a path. ``asked`` holds what it was asked: path, headers, form."""

    def __init__(self) -> None:
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.claims: dict[str, Any] = {}
        self.published: dict[str, Any] = {}
        self.token: object = None
        self.nonce = ""
        self.answers: dict[str, tuple[int, bytes]] = {}
        self.asked: list[tuple[str, dict[str, str], dict[str, str]]] = []
        self.drips = ""  # what comes a little at a time: "text", "head" or "interim" answers
        self.issuer = ""

    def told(self) -> dict[str, Any]:
        now = int(time.time())
        whole = {
            "iss": self.issuer,
            "aud": CLIENT,
            "sub": "s-1",
            "iat": now,
            "exp": now + 300,
            "nonce": self.nonce,
            "preferred_username": "nora",
            "roles": ["ops"],
            **self.claims,
        }
        return {name: value for name, value in whole.items() if value is not None}

    def signed(self, key: Any = None, algorithm: str = "RS256", **header: Any) -> str:
        headers = {"kid": "k1", **header}
        return jwt.encode(self.told(), key or self.key, algorithm=algorithm, headers=headers)

    def forged(self, header: dict[str, Any], signature: bytes = b"") -> str:
        parts = (json.dumps(one).encode() for one in (header, self.told()))
        return ".".join([*map(b64, parts), b64(signature)])

    def jwks(self, key: Any = None, kid: str = "k1") -> dict[str, Any]:
        public = jwt.algorithms.RSAAlgorithm.to_jwk((key or self.key).public_key(), as_dict=True)
        return {"keys": [{**public, "kid": kid, "use": "sig"}]}

    def answer(self, path: str) -> tuple[int, bytes]:
        if path in self.answers:
            return self.answers[path]
        found: dict[str, Any] = {}
        if path == "/.well-known/openid-configuration":
            names = {
                "authorization_endpoint": "auth",
                "token_endpoint": "token",
                "jwks_uri": "keys",
            }
            found = {name: f"{self.issuer}/{place}" for name, place in names.items()}
            found = {"issuer": self.issuer, **found, **self.published}
        if path == "/keys":
            found = self.jwks()
        if path == "/token":
            token = self.signed() if self.token is None else self.token
            found = {"access_token": "a", "token_type": "Bearer", "id_token": token}
        return 200, json.dumps(found).encode()

    def comes_back(self, client: Client, code: str = "c-1", **given: str) -> Any:
        """Leave, and come back at once as if logged in there."""
        asked = asked_for(left(client, **given))
        self.nonce = asked["nonce"]
        return client.get(BACK, {"code": code, "state": asked["state"]})


DRIPS = {
    "head": (b"HTTP/1.1 200 OK\r\n", b"X-More: 1\r\n"),
    "interim": (b"", b"HTTP/1.1 103 Early Hints\r\n\r\n"),
}


class _Handler(BaseHTTPRequestHandler):
    liar: Liar

    def do_GET(self) -> None:
        self._answer({})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        self._answer({name: values[0] for name, values in parse_qs(body).items()})

    def _answer(self, form: dict[str, str]) -> None:
        self.liar.asked.append((self.path, dict(self.headers), form))
        status, body = self.liar.answer(self.path)
        if self.liar.drips in DRIPS:
            self._drip(*DRIPS[self.liar.drips])
        self.send_response(status)
        if status in {301, 302, 307}:
            self.send_header("Location", body.decode())
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        with suppress(OSError):  # whoever asked may have had enough
            for n in range(0, len(body), 1 if self.liar.drips == "text" else 2**16):
                self.wfile.write(body[n : n + (1 if self.liar.drips == "text" else 2**16)])
                time.sleep(0.05 if self.liar.drips == "text" else 0)

    def _drip(self, first: bytes, little: bytes) -> None:
        with suppress(OSError):  # as below
            self.wfile.write(first)
            for _ in range(400):
                self.wfile.write(little)
                time.sleep(0.05)

    def log_message(self, *args: Any) -> None:
        pass


@contextmanager
def lying_provider() -> Iterator[Liar]:
    liar = Liar()
    handler = type("Handler", (_Handler,), {"liar": liar})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    liar.issuer = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield liar
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
