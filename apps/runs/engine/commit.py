"""The engine's one transaction: record what ended, carry the runs on, ask the gate, open intents.

``commit`` joins *record N* and *claim N+1*: results of finished attempts, the next steps of their
runs, policy decisions, intents and attempts of all of them become durable together, in a fixed
number of statements for the whole batch. Only after it has returned is anything sent.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from uuid import UUID

from django.conf import settings

from apps.audit.domain.actors import Actor
from apps.audit.services import record_many
from apps.kernel.transactions import single_command
from apps.redaction import services as redaction
from apps.runs.course import RunCache
from apps.runs.domain.suspicion import MANY, ClaimGroup
from apps.runs.engine.batch import Batch
from apps.runs.journal import (
    barriers,
    claiming,
    parking,
    pressure,
    said,
    unsent,
)
from apps.runs.work import Action, Claimed, Finished, Settled


@dataclass(frozen=True, slots=True)
class Leased:
    """What a claim holds: how many steps were due, and those of them that may begin."""

    found: int
    works: Sequence[Claimed]


def claim_and_commit(
    cache: RunCache,
    lane: str,
    *,
    limit: int,
    owner: str,
    lease_s: float,
    group: ClaimGroup = MANY,
    lease: Callable[..., Leased] | None = None,
    begin: Callable[..., list[Action]] | None = None,
) -> tuple[int, list[Action]]:
    """Claim due steps of a lane that belong to this claim group, and take them as far as they go
    without the network. Returns how many were due, and what has to be done outside.

    In two transactions, ``lease`` and ``begin``: the leases are committed before any code looks at
    what the steps propose, so that a process which ends in the midst of that leaves a trace."""
    held = (lease or lease_due)(lane, limit=limit, owner=owner, lease_s=lease_s, group=group)
    return held.found, (begin or take_up)(cache, held.works, owner=owner, lease_s=lease_s)


@single_command
def lease_due(
    lane: str,
    *,
    limit: int,
    owner: str,
    lease_s: float,
    group: ClaimGroup = MANY,
    chosen: Sequence[UUID] | None = None,
) -> Leased:
    """Lease due steps, only those that are ``chosen`` where some are; park what can't run now."""
    version = settings.ENGINE_VERSION
    due = claiming.due(lane, limit=limit, engine_version=version, group=group, chosen=chosen)
    free, barred = barriers.part(due)
    free, parked = pressure.part(free)
    claiming.park([*barred, *parked])
    return Leased(len(due), claiming.lease(free, owner=owner, lease_s=lease_s))


@single_command
def take_up(
    cache: RunCache, works: Sequence[Claimed], *, owner: str, lease_s: float
) -> list[Action]:
    """Take leased steps as far as they go without the network."""
    if not works:
        return []
    works = parking.drop_cancelled(unsent.drop_late(works, actor=Actor.worker(owner)))
    works = claiming.still_ours(works)
    cache.fill([w.run_id for w in works], anew=True)
    batch = Batch(cache, owner=owner, lease_s=lease_s, go_on=True)
    _run_to_actions(batch, ended=[], incoming=works, ready=[])
    return batch.actions


@single_command
def commit(
    cache: RunCache,
    finished: Sequence[Finished],
    inspected: Sequence[Claimed],
    *,
    owner: str,
    lease_s: float,
    go_on: bool,
) -> list[Action]:
    """Record ``finished`` attempts, take ``inspected`` steps through the gate and carry all their
    runs on. Returns what has to be done outside. Repeating a commit whose reply was lost is
    harmless: every write names a lease that the first one has ended."""
    works = [*(d.action.work for d in finished), *inspected]
    redaction.keep(w.hidden for w in works)
    cache.fill([w.run_id for w in works])
    said.hide((w.hidden, cache[w.run_id]) for w in works)
    batch = Batch(cache, owner=owner, lease_s=lease_s, go_on=go_on)
    ended = batch.record(batch.put_back(finished))
    ready = batch.keep(inspected)
    _run_to_actions(batch, ended=ended, incoming=[], ready=ready)
    return batch.actions


def _run_to_actions(
    batch: Batch, *, ended: list[Settled], incoming: list[Claimed], ready: list[Claimed]
) -> None:
    while ended or incoming or ready:
        incoming = [*incoming, *batch.advance(ended)]
        ended, direct = batch.sort(incoming)
        ended += batch.gate([*ready, *direct])
        incoming, ready = [], []
    record_many(batch.facts)
