"""A courier of its own process, with five subscribers of which one always fails."""

from __future__ import annotations

import threading

import django

django.setup()

from apps.audit import registry  # noqa: E402
from apps.audit.courier import Courier  # noqa: E402
from tests.audit.subscribing import subscriber  # noqa: E402

NAMES = ("1", "2", "3", "4")
SUBSCRIBERS = [subscriber(f"flow.{n}", f"append_{n}") for n in NAMES]
SUBSCRIBERS.append(subscriber("flow.never", "refuse"))

if __name__ == "__main__":
    for one in SUBSCRIBERS:
        registry.subscribe(one)
    for thread in Courier(threading.Event()).start():
        thread.join()
