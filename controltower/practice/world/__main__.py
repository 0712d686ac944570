"""``python -m controltower.practice.world --domain retail --port 0 --db PATH``: serve a company."""

from __future__ import annotations

import argparse
import json
import os
import signal
import socket
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvicorn

from controltower.practice.world.errors import WorldError
from controltower.practice.world.fault_middleware import App
from controltower.practice.world.faults import Faults
from controltower.practice.world.loading import DOMAINS
from controltower.practice.world.records import SystemOfRecord
from controltower.practice.world.service import build_app

LOOPBACK = "127.0.0.1"
STOP_WITHIN_S = 5
BACKLOG = 1024


class Service(uvicorn.Server):
    """uvicorn that says where it listens once it does, and ends with 0 when asked to stop."""

    def __init__(self, config: uvicorn.Config, announcement: dict[str, Any], file: Path | None):
        super().__init__(config)
        self._announcement = announcement
        self._file = file

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, then announce."""
        await super().startup(sockets)
        if not self.started:
            return
        text = json.dumps(self._announcement)
        if self._file is not None:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            draft = self._file.with_name(f"{self._file.name}.{os.getpid()}")
            draft.write_text(text, encoding="utf-8")
            draft.replace(self._file)  # Readers see the whole announcement or none.
        sys.stdout.write(text + "\n")
        sys.stdout.flush()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop gracefully on SIGTERM and SIGINT, without dying of the signal afterwards."""
        for name in (signal.SIGTERM, signal.SIGINT):
            signal.signal(name, self.handle_exit)
        yield


def listen(port: int, descriptor: int | None) -> socket.socket:
    """The socket that was handed over, or a new one on this port."""
    if descriptor is not None:
        return socket.socket(fileno=descriptor)
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((LOOPBACK, port))
    return listener


def serve(
    records: SystemOfRecord, app: App, listener: socket.socket, announce: Path | None
) -> None:
    """Serve until told to stop."""
    with listener:
        actual = listener.getsockname()[1]
        config = uvicorn.Config(
            app,
            log_level="warning",
            access_log=False,
            proxy_headers=False,
            server_header=False,
            backlog=BACKLOG,
            timeout_graceful_shutdown=STOP_WITHIN_S,
        )
        url = f"http://{LOOPBACK}:{actual}/mcp"
        announcement = {"domain": records.domain, "port": actual, "pid": os.getpid(), "url": url}
        Service(config, announcement, announce).run(sockets=[listener])


def main(argv: Sequence[str] | None = None) -> int:
    """Read the command line and serve; 2 when the pack is missing or the file is in use."""
    parser = argparse.ArgumentParser(prog="python -m controltower.practice.world")
    parser.add_argument("--domain", required=True, choices=DOMAINS)
    parser.add_argument("--port", type=int, default=0, help="0 takes a free port")
    parser.add_argument("--fd", type=int, help="a listening socket that was handed over")
    parser.add_argument("--token-file", type=Path, help="callers must bring what stands in it")
    parser.add_argument("--db", type=Path, help="default: var/world/<domain>.sqlite")
    parser.add_argument("--announce", type=Path, help="file to write the address to")
    parser.add_argument("--allow-faults", action="store_true", help="for tests only")
    options = parser.parse_args(argv)
    os.umask(0o077)  # the company's records are nobody else's on this machine
    token = options.token_file.read_text().strip() if options.token_file else ""
    path = options.db or Path("var") / "world" / f"{options.domain}.sqlite"
    try:
        records = SystemOfRecord(options.domain, path)
    except WorldError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    try:
        faults = Faults() if options.allow_faults else None
        app = build_app(records, faults, token=token)
        serve(records, app, listen(options.port, options.fd), options.announce)
    finally:
        records.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
