"""A sweeper that does duties of the tests too: what it did stands in a file, by one clock."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import django

django.setup()

from django.core.management import call_command  # noqa: E402

from apps.audit.domain.duty import Duty  # noqa: E402
from apps.audit.registry import add_duties  # noqa: E402

NAMES = ("one", "two", "slow", "fails", "beside")


def witness(name: str, what: str) -> None:
    """A line that no transaction takes back, with a clock that all processes of a machine share."""
    path = Path(os.environ["TOWER_HEARD"]) / "witness"
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(descriptor, f"{time.monotonic():.4f} {os.getpid()} {name} {what}\n".encode())
    os.close(descriptor)


def work(name: str, seconds: float) -> Callable[[], int]:
    def do() -> int:
        witness(name, "begins")
        time.sleep(seconds)
        witness(name, "ends")
        if name == "fails":
            raise ValueError("it always does")
        return 1

    return do


if __name__ == "__main__":
    for name in NAMES:
        seconds = {"slow": 0.3, "beside": 0.5}.get(name, 0.01)
        add_duties(Duty(name, "tests", work(name, seconds), waits=name == "beside"))
    call_command("sweep")
