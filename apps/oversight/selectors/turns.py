"""Agents that ask faster than they may: see ``domain.turns``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.db.models import Count, Max
from django.db.models.functions import Now

from apps.oversight.models import AskingTurn


@dataclass(frozen=True, slots=True)
class Waits:
    """How many questions of an agent were given a turn that is still to come, and the last one."""

    agent: str
    count: int
    last_at: datetime
    a_minute: int  # that it may ask


def waiting_turns() -> Sequence[Waits]:
    """The agents whose questions wait for their turn, the one that waits longest first."""
    rows = AskingTurn.objects.filter(at__gt=Now()).values("agent_slug")
    found = rows.annotate(n=Count("pk"), last=Max("at")).order_by("-last", "agent_slug")
    told = found.values_list("agent_slug", "n", "last")
    return [Waits(*row, settings.QUESTIONS_PER_MINUTE) for row in told]
