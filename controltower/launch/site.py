"""``python -m controltower.launch.site --fd N``: serve the site on an open socket."""

from __future__ import annotations

import argparse
import os
import socket
import sys
from collections.abc import Sequence

import uvicorn

STOP_WITHIN_S = 5


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until told to stop. What a request says of where it came from (``X-Forwarded-*``) is
    believed of the proxies in ``FORWARDED_ALLOW_IPS`` only: of nobody, if that isn't set."""
    parser = argparse.ArgumentParser(prog="python -m controltower.launch.site")
    parser.add_argument("--fd", type=int, required=True, help="number of the listening socket")
    options = parser.parse_args(argv)
    config = uvicorn.Config(
        "controltower.asgi:application",
        proxy_headers=bool(os.environ.get("FORWARDED_ALLOW_IPS")),
        server_header=False,
        timeout_graceful_shutdown=STOP_WITHIN_S,
    )
    # Its family is read from the socket: taken for a Unix one, as uvicorn's own --fd does, it
    # would be left without TCP_NODELAY.
    with socket.socket(fileno=options.fd) as listener:
        uvicorn.Server(config).run(sockets=[listener])
    return 0


if __name__ == "__main__":
    sys.exit(main())
