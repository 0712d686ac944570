"""A reverse proxy that gives what lies below a path to the site, with or without that path."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator

MISSING = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


@contextlib.contextmanager
def before(behind: list[int], prefix: str, *, strips: bool) -> Iterator[int]:
    """Serve on the port that is given back, before the port that ``behind`` will hold. Each request
    has a connection of its own, so that its first lines are all that has to be understood."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        taker = threading.Thread(target=_take, args=(listener, behind, prefix.encode(), strips))
        taker.start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            taker.join()


def _take(listener: socket.socket, behind: list[int], prefix: bytes, strips: bool) -> None:
    while True:
        try:
            client, _ = listener.accept()
        except OSError:
            return
        work = (client, behind[0], prefix, strips)
        threading.Thread(target=_serve, args=work, daemon=True).start()


def _serve(client: socket.socket, port: int, prefix: bytes, strips: bool) -> None:
    with contextlib.suppress(OSError), client:
        head = b""
        while b"\r\n\r\n" not in head:
            if not (part := client.recv(65536)):
                return
            head += part
        lines, _, body = head.partition(b"\r\n\r\n")
        first, *headers = lines.split(b"\r\n")
        method, path, version = first.split(b" ")
        if path != prefix and not path.startswith(prefix + b"/"):
            client.sendall(MISSING)
            return
        path = path.removeprefix(prefix) or b"/" if strips else path
        if not any(line.lower().startswith(b"upgrade:") for line in headers):
            headers = [line for line in headers if not line.lower().startswith(b"connection:")]
            headers.append(b"Connection: close")
        with socket.create_connection(("127.0.0.1", port)) as server:
            asked = [b" ".join((method, path, version)), *headers]
            server.sendall(b"\r\n".join(asked) + b"\r\n\r\n" + body)
            threading.Thread(target=_copy, args=(client, server), daemon=True).start()
            _copy(server, client)


def _copy(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while part := source.recv(65536):
            target.sendall(part)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)
