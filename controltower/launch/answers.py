"""Whether what answers at an address is what this tower started there."""

from __future__ import annotations

import contextlib
import http.client
import urllib.error
import urllib.request
from collections.abc import Mapping

from controltower.launch.places import INSTANCE
from controltower.launch.processes import READY_SECONDS, StartError, tail, wait_until
from controltower.launch.supervisor import Program

INSTANCE_HEADER = "Tower-Instance"


def warm_up(url: str) -> None:
    """Let the site load its pages' code now, not when its first visitor waits for it."""
    with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=60) as page:  # noqa: S310 - our own
        page.read()


def await_own(program: Program, url: str, env: Mapping[str, str]) -> None:
    """Wait until the program answers, and nobody else in its place; raises `StartError` when it
    ended, takes too long, or another tower answers."""
    wait_until(
        lambda: program.poll() is not None or instance(url) is not None,
        timeout_seconds=READY_SECONDS,
        every_seconds=0.1,
    )
    if program.poll() is not None:
        raise StartError(f"{program.name} ended; end of {program.log}:\n{tail(program.log)}")
    if (found := instance(url)) is None:
        raise StartError(f"{program.name} does not answer at {url}; see {program.log}")
    if found != env[INSTANCE]:
        raise StartError(f"{url} is answered by another program than {program.name} of this tower.")


def instance(url: str) -> str | None:
    """Which start of which tower answers; None if nobody does."""
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310 - our own
            return str(answer.headers.get(INSTANCE_HEADER, ""))
    except urllib.error.HTTPError as error:
        return str(error.headers.get(INSTANCE_HEADER, ""))
    except (OSError, http.client.HTTPException):
        return None
