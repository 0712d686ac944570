"""Ports that the launcher itself holds, from before anything is announced until the tower ends.

A port that was only looked at belongs to whoever binds it first, so that of towers started side by
side one would speak for another. These are bound here, by whom nobody else can be, and handed to
the process that serves them; a process that crashed finds its port as it left it.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Container

from controltower.launch.ports import LOOPBACK, SEARCHED, NoFreePortError

BACKLOG = 1024


class Listener:
    """One port of the loopback, held. Nobody is let in until ``open``."""

    def __init__(self, first: int, *, taken: Container[int] = (), host: str = LOOPBACK) -> None:
        """Take the first port from ``first`` on that nobody has. Raises ``NoFreePortError``."""
        self.socket = _bound(first, taken, host)
        self.port: int = self.socket.getsockname()[1]
        self.rest()

    @property
    def descriptor(self) -> int:
        return self.socket.fileno()

    def open(self) -> None:
        """Let callers in: the process to which it is handed answers them."""
        self._share(True)
        self.socket.listen(BACKLOG)

    def rest(self) -> None:
        """Turn callers away at once and keep the port: a caller that nobody will answer must know
        that nothing was sent."""
        self._share(False)
        # Where the system can't (not on Linux), callers wait instead.
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)

    def _share(self, is_shared: bool) -> None:
        # A port on which nobody listens could be bound by anybody who shares too. One that is
        # listened on can't, and there it must be shared: connections inherit this, and those that
        # linger (TIME_WAIT) would keep the next start from the port.
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, int(is_shared))

    def close(self) -> None:
        """Let others have the port."""
        self.socket.close()


def _bound(first: int, taken: Container[int], host: str) -> socket.socket:
    for port in range(first, min(first + SEARCHED, 65536)):
        if port in taken:
            continue
        made = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            # As servers do: a port in TIME_WAIT after a restart is not a port in use.
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            made.bind((host, port))
            made.listen(BACKLOG)
        except OSError:
            made.close()
            continue
        return made
    raise NoFreePortError(f"no free port from {first} to {first + SEARCHED - 1} on {host}")
