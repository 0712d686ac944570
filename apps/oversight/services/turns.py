"""Let an agent ask so many questions within a minute; the others wait for their turn.

The race: two workers that give turns to one agent at the same moment would both see the last one
free. It is closed by an advisory lock of the transaction. Nobody waits for it, since a worker holds
other locks by then: whoever finds it taken comes back at once, without a turn.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from itertools import groupby
from operator import attrgetter
from typing import NamedTuple
from uuid import UUID

from django.conf import settings

from apps.audit import services as audit
from apps.audit.domain.actors import GATE
from apps.kernel.statements import database_now, fetch
from apps.kernel.transactions import participant
from apps.oversight.domain.turns import TOLD, WITHIN, PutOff, next_turns
from apps.oversight.models import AskingTurn
from apps.oversight.services.rows import ClockTimestamp

KEPT = timedelta(hours=1)  # turns that have passed
TAKE = "SELECT pg_try_advisory_xact_lock(hashtextextended(%s, 64))"


class Asker(NamedTuple):
    """A held step that nobody was asked about yet, and whose agent asks."""

    agent: str
    run_id: UUID
    step_id: UUID


@participant
def give_turns(askers: Sequence[Asker]) -> dict[UUID, PutOff]:
    """Which of these steps nobody is asked about yet, since their agent asks too much
    (``TOWER_QUESTIONS_PER_MINUTE``). Each keeps the turn that it is given: once its time has come,
    people are asked."""
    if not askers:
        return {}
    had = AskingTurn.objects.in_bulk([a.step_id for a in askers])
    now, most = database_now(), settings.QUESTIONS_PER_MINUTE
    later = {
        a.step_id: PutOff.of(a.agent, most, (had[a.step_id].at - now).total_seconds())
        for a in askers
        if a.step_id in had and had[a.step_id].at > now
    }
    fresh = sorted((a for a in askers if a.step_id not in had), key=attrgetter("agent"))
    for agent, some in groupby(fresh, attrgetter("agent")):
        later |= _give(agent, list(some), now, most)
    return later


@participant
def _give(agent: str, some: Sequence[Asker], now: datetime, most: int) -> Mapping[UUID, PutOff]:
    if not fetch(TAKE, [agent])[0][0]:
        return dict.fromkeys((a.step_id for a in some), PutOff.while_counted(agent))
    # In a statement after the lock: what its last holder gave is seen.
    lately = AskingTurn.objects.filter(agent_slug=agent, at__gt=now - WITHIN).order_by("-at")
    turns = list(lately.values_list("at", "given_at")[:most])
    given = next_turns([at for at, _ in turns], len(some), now=now, most=most)
    AskingTurn.objects.bulk_create(
        [
            AskingTurn(step_id=a.step_id, run_id=a.run_id, agent_slug=agent, given_at=now, at=at)
            for a, at in zip(some, given, strict=True)
        ],
        ignore_conflicts=True,  # of a worker that holds the step no more
    )
    AskingTurn.objects.filter(agent_slug=agent, at__lt=now - KEPT).delete()
    waits = {a.step_id: at for a, at in zip(some, given, strict=True) if at > now}
    if waits and not any(at > given_at > now - WITHIN for at, given_at in turns):
        told = {"a_minute": most, "waiting": len(waits)}
        audit.record_many([audit.Fact(TOLD, GATE, "agent", agent, None, told)])
    return {s: PutOff.of(agent, most, (at - now).total_seconds()) for s, at in waits.items()}


@participant
def give_back_turns(run_id: UUID) -> None:
    """Forget the turns to come of a run that asks nobody any more: they keep none of its agent's
    other runs waiting. Those that have passed stay, and count."""
    # Never the rows that ``_give`` forgets: neither waits for the other.
    AskingTurn.objects.filter(run_id=run_id, at__gt=ClockTimestamp()).delete()
