"""Choosing loopback ports, so that a busy port never stops the tower from starting."""

from __future__ import annotations

import random
import socket
from collections.abc import Container

LOOPBACK = "127.0.0.1"
SEARCHED = 200
SERVERS = (15_000, 32_768)  # Linux connects from 32768 on, macOS and Windows from 49152


class NoFreePortError(RuntimeError):
    """No free port was found in the searched range."""


def is_free(port: int, *, host: str = LOOPBACK) -> bool:
    """Whether a server could listen on this port now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As servers do: a port in TIME_WAIT after a restart is not a port in use.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen(1)
        except OSError:
            return False
    return True


def is_open(port: int, *, host: str = LOOPBACK, timeout_seconds: float = 0.5) -> bool:
    """Whether something answers on this port now."""
    try:
        with socket.create_connection((host, port), timeout=timeout_seconds):
            return True
    except OSError:
        return False


def next_free(first: int, *, taken: Container[int] = (), host: str = LOOPBACK) -> int:
    """The first free port from `first` upwards that is not in `taken`."""
    for port in range(first, min(first + SEARCHED, 65536)):
        if port not in taken and is_free(port, host=host):
            return port
    raise NoFreePortError(f"no free port from {first} to {first + SEARCHED - 1} on {host}")


def any_free(*, host: str = LOOPBACK) -> int:
    """A free port, chosen at random below those that kernels give to outgoing connections, so that
    none of these takes it before a server does."""
    for _ in range(SEARCHED):
        port = random.randrange(*SERVERS)  # noqa: S311  # only spread out
        if is_free(port, host=host):
            return port
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
        return port
