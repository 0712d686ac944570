"""Worker entry points: ids in, one call down."""

from __future__ import annotations

import asyncio

from django.conf import settings

from apps.runs import dispatch
from apps.runs.engine.drain import Drain


def drain(lane: str) -> None:
    """Drain ``lane`` for a while; ring again if work was left."""
    work = Drain(
        lane=lane,
        seconds=settings.DRAIN_SECONDS,
        lease_s=settings.LEASE_SECONDS,
        in_flight=settings.IN_FLIGHT,
        linger_s=settings.LINGER_SECONDS,
    )
    if asyncio.run(work.run()).more:
        dispatch.ring(lane)
