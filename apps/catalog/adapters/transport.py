"""How a tool server is connected to: only at addresses that may be called, with TLS verified, and
without following it anywhere else."""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from functools import lru_cache
from ipaddress import ip_address
from typing import Any

import httpx2

from apps.catalog.adapters.addresses import ServerAccess, ordinary
from apps.catalog.adapters.hosts import by_name
from apps.catalog.domain.egress import IP, unwrapped
from apps.catalog.domain.servers import ServerAddress, Source, listing_fix
from apps.kernel.errors import UnavailableError

CONNECT_S = 3.0
LOOKED_UP_S = 10.0  # how long a name's addresses are kept: they were judged, whatever it says now
PLAIN = "identity"


class RefusedAddressError(httpx2.ConnectError):
    """The address may not be connected to; nothing was sent."""


class EgressTransport(httpx2.AsyncHTTPTransport):
    """HTTP to one server. Names are looked up here and the address that was judged is the one that
    is connected to; the certificate is checked against the name. A redirect is an answer like any
    other: where it leads is taken out, since the SDK would follow it."""

    def __init__(self, connection: ServerAccess, **options: Any) -> None:
        super().__init__(verify=_trust(connection.address), trust_env=False, **options)
        self._connection = connection
        self._found: dict[tuple[str, int], tuple[float, list[IP]]] = {}

    @property
    def address(self) -> ServerAddress:
        """Whose connection it is."""
        return self._connection.address

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Raises ``RefusedAddressError`` before anything is sent to an address that isn't
        allowed."""
        host = request.url.host
        try:
            self._judge(host, ip_address(host))
        except ValueError:
            response = await self._by_name(request, host)
        else:
            response = await super().handle_async_request(request)
        if 300 <= response.status_code < 400:
            response.headers.pop("location", None)
        return response

    async def _by_name(self, request: httpx2.Request, host: str) -> httpx2.Response:
        found = await self._addresses(request, host)
        refused: RefusedAddressError | None = None
        failed: httpx2.ConnectError | httpx2.ConnectTimeout | None = None
        for address in found:
            try:
                self._judge(host, address)
                return await super().handle_async_request(_at(request, host, address))
            except RefusedAddressError as error:
                refused = error
            except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:
                failed = error
                self._found.clear()
        raise failed or refused or httpx2.ConnectError(f"{host} has no address")

    async def _addresses(self, request: httpx2.Request, host: str) -> list[IP]:
        port = request.url.port or (443 if request.url.scheme == "https" else 80)
        until, known = self._found.get((host, port), (0.0, []))
        if until > time.monotonic():
            return known
        patience = request.extensions.get("timeout", {}).get("connect") or CONNECT_S
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(patience):
                rows = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except OSError as error:  # a time-out is one, too
            why = error.strerror or "its name could not be looked up in time"
            raise httpx2.ConnectError(f"{host} can't be found: {why}") from error
        found = list(dict.fromkeys(ip_address(row[4][0]) for row in rows))
        self._found[host, port] = time.monotonic() + LOOKED_UP_S, found
        return found

    def _judge(self, host: str, address: IP) -> None:
        entry = self._connection.address
        if refusal := entry.egress.refusal(host, address):
            fix = listing_fix(str(address)) if "allow_hosts" in refusal else ""
            if entry.source is Source.DOCUMENT and fix:
                refusal, fix = by_name(refusal), f" If it is meant, list {address} there."
            raise RefusedAddressError(f"The address is not called: {refusal}.{fix}")
        in_plain_text = entry.url.startswith("http:") and self._connection.headers
        if in_plain_text and unwrapped(address).is_global:
            raise RefusedAddressError(
                "The address is not called: the credentials would go over the network in plain"
                " text. Use https://."
            )


def http_client(
    connection: ServerAccess,
    transport: EgressTransport | None = None,
    *,
    timeout_s: float | None = 60,
) -> httpx2.AsyncClient:
    """The client that MCP speaks through, with the server's credentials."""
    return httpx2.AsyncClient(
        transport=transport or EgressTransport(connection),
        timeout=httpx2.Timeout(timeout_s, connect=CONNECT_S),
        headers={"Accept-Encoding": PLAIN, **connection.headers},
        follow_redirects=False,
        trust_env=False,
    )


def refused_credentials(status: int | None, connection: ServerAccess) -> str:
    """Words for an answer that says who may call; empty for any other status."""
    slug, sent = connection.address.slug, bool(connection.headers)
    if status == 401 and sent:
        return f"The tool server “{slug}” doesn't accept the credentials (401). Renew the token."
    if status == 401:
        return (
            f"The tool server “{slug}” asks for credentials (401). Give its entry a “token_env”"
            " or “token_file”."
        )
    if status == 403:
        return (
            f"The tool server “{slug}” forbids the call (403): what it was sent doesn't carry the"
            " right. Ask who runs it, or use another token."
        )
    return ""


def _at(request: httpx2.Request, host: str, address: IP) -> httpx2.Request:
    """The request, to this address; it still names the host, in its header and in TLS."""
    return httpx2.Request(
        request.method,
        request.url.copy_with(host=str(address)),
        headers=request.headers,
        stream=request.stream,
        extensions={**request.extensions, "sni_hostname": host},
    )


def _trust(entry: ServerAddress) -> ssl.SSLContext | bool:
    """Whom to believe that the server is who it says; a new authority file is read anew."""
    if not entry.ca_file:
        return True
    try:
        return _own_authority(entry.ca_file, ordinary(entry.ca_file).st_mtime_ns)
    except OSError as error:  # what OpenSSL can't read is one, too
        why = error.strerror or "it holds no certificate"
        raise UnavailableError(
            f"The tool server “{entry.slug}” can't be called: “ca_file” names {entry.ca_file},"
            f" which can't be read: {why}. Name a PEM file.",
            code="tool_server_credentials",
            server=entry.slug,
        ) from None


@lru_cache(maxsize=64)
def _own_authority(ca_file: str, changed_at: int) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=ca_file)
