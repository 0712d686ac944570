"""Who is at work: leases renewed, signs of life, drains forgotten."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from datetime import timedelta

from django.db.models.functions import Now

from apps.kernel.transactions import command
from apps.runs import journal
from apps.runs.models import Worker

DRAINS_KEPT = timedelta(minutes=10)


@command
def renew_leases(tokens: Sequence[int], *, lease_s: float) -> int:
    """Keep the leases of calls in flight."""
    return journal.renew(tokens, lease_s=lease_s)


def beat(name: str, kind: str, lane: str, in_flight: int, steps_done: int) -> None:
    """Say that a process is alive. The database's clock notes when."""
    values = {"in_flight": in_flight, "steps_done": steps_done, "seen_at": Now()}
    born = {"kind": kind, "lane": lane, "pid": os.getpid(), "host": socket.gethostname()}
    Worker.objects.update_or_create(name=name, defaults=values, create_defaults={**values, **born})


def forget_drains() -> int:
    """Drop the rows of drains that ended a while ago: each drain has a name of its own. Returns
    how many were dropped."""
    old = Worker.objects.filter(kind="drainer", seen_at__lt=Now() - DRAINS_KEPT)
    return old.delete()[0]
