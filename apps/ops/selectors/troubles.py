"""What is wrong with the machinery, as sentences that say what to do.

Each check looks at one kind of trouble and stands for itself: one that fails is told, and hides no
other. All of it is noticed within half a minute.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta

from django.conf import settings
from django.db import DatabaseError, InterfaceError

from apps.accounts.domain.tokens import MISUSED
from apps.accounts.selectors import service_ids
from apps.audit import selectors as log
from apps.audit.domain.actors import Actor
from apps.audit.selectors.duties import DutyHealth
from apps.audit.services.standing import broken
from apps.catalog import adapters
from apps.catalog.selectors import servers
from apps.kernel import trouble
from apps.kernel.statements import database_now
from apps.ops.selectors import health, probes
from apps.ops.selectors.health import LaneHealth, Overview, Trouble, WorkerHealth
from apps.oversight import adapters as keys
from apps.oversight import selectors as approvals
from apps.oversight.selectors import grants
from apps.oversight.selectors.scopes import undecidable

logger = logging.getLogger(__name__)
TOLD_FOR = timedelta(days=1)
LATE_SECONDS = 60  # a due step older than this is worth a sentence, though its lane moves
LOG = "Read the log of the site"


def troubles(seen: Overview) -> list[Trouble]:
    """All that is wrong, worst first. Never raises."""
    found = [t for check in CHECKS for t in _apart(check, seen)]
    return sorted(found, key=lambda t: not t.is_grave)


def _apart(check: Callable[[Overview], Iterator[Trouble]], seen: Overview) -> list[Trouble]:
    try:
        return list(check(seen))
    except Exception as error:
        logger.exception("a check of the overview failed")
        name = check.__name__.strip("_").replace("_", " ")
        return [Trouble("check", f"The check of {name} failed", f"{LOG}.", trouble.words(error))]


def _parts(seen: Overview) -> Iterator[Trouble]:
    for name, why in seen.unread.items():
        sentence = f"The {name} can't be read, so nobody knows how they are"
        yield Trouble("check", sentence, f"{LOG}.", why)


def _redis(seen: Overview) -> Iterator[Trouble]:
    if seen.redis_error:
        sentence = "Redis can't be reached: work waits, nothing is lost, pages poll"
        yield Trouble("redis", sentence, "Start Redis, or correct REDIS_URL.", seen.redis_error)


def _refused(seen: Overview) -> Iterator[Trouble]:
    """What answers and still doesn't do what is asked of it."""
    if not seen.redis_error and (refusal := probes.of_redis()):
        yield Trouble("redis", refusal.sentence, refusal.mend, refusal.detail)
    yield from _refused_by_database(writes=False)


def _refused_by_database(*, writes: bool) -> Iterator[Trouble]:
    if refusal := probes.of_database(writes=writes):
        yield Trouble("database", refusal.sentence, refusal.mend, refusal.detail)


def _workers(seen: Overview) -> Iterator[Trouble]:
    if not seen.drainers_alive:
        patience = health.patience_s("worker")
        sentence = f"No worker has sent a heartbeat for {patience:.0f} s: steps stay queued"
        yield Trouble("worker", sentence, "Start one for each lane: manage.py worker --lane LANE.")
    elif not seen.takers:
        sentence = "Every worker is drained or ending: steps stay queued"
        yield Trouble("worker", sentence, "Resume one (System → Workers), or start one.")
    elif max(w.engine_version for w in seen.takers) < settings.ENGINE_VERSION:
        sentence = f"No worker runs engine {settings.ENGINE_VERSION}, which new runs need"
        yield Trouble("worker", sentence, "Start a worker of this release.")


def _lanes(seen: Overview) -> Iterator[Trouble]:
    for lane in seen.lanes:
        if not lane.due:
            continue
        here = [w for w in seen.workers if w.lane == lane.lane and w.kind in TAKERS]
        steps = f"{lane.due} due step{'s' if lane.due > 1 else ''}"
        if not any(w.is_alive for w in here):
            sentence = f"Lane “{lane.lane}” has {steps} and no live worker"
            mend = f"Start one: manage.py worker --lane {lane.lane}."
            yield Trouble("lane", sentence, mend)
        elif lane.is_still:
            yield _still(lane, steps, here)


def _still(lane: LaneHealth, steps: str, here: list[WorkerHealth]) -> Trouble:
    held = sum(w.held for w in here)
    sentence = (
        f"Lane “{lane.lane}” is stalled: it has {steps}, the oldest has waited"
        f" {lane.oldest_due_s or 0:.0f} s, and nothing was begun for {lane.still_s:.0f} s"
    )
    mend = (
        f"Its workers hold {held} call{'' if held == 1 else 's'}. Read their log; restart them"
        " if nothing there explains it: what they hold goes on with others."
    )
    return Trouble("lane", sentence, mend)


def _horses(seen: Overview) -> Iterator[Trouble]:
    """Work-horses that hold something and give no sign, though their worker does."""
    for worker in seen.workers:
        for horse in worker.drains if worker.is_alive else ():
            if not horse.has_ended and not horse.is_alive:
                yield _stuck(horse)
        # One without a worker: once its leases are taken back, nobody misses it.
        if worker.kind == "drainer" and worker.standing == "silent" and worker.oldest_lease_s:
            yield _stuck(worker)


def _stuck(horse: WorkerHealth) -> Trouble:
    sentence = (
        f"The work-horse {horse.pid} of lane “{horse.lane}” on {horse.host} makes no progress:"
        f" it holds {horse.in_flight} calls and has been silent for {horse.silent_s:.0f} s"
    )
    mend = (
        f"If its worker doesn't end it soon, end it: kill -9 {horse.pid}. Its steps go on with"
        " others."
    )
    return Trouble("horse", sentence, mend)


def _silent_workers(seen: Overview) -> Iterator[Trouble]:
    """Workers that fell silent and that no other has replaced since."""
    for worker in seen.workers:
        if worker.kind != "worker" or worker.standing != "silent":
            continue
        if any(_replaces(other, worker) for other in seen.workers):
            continue
        sentence = (
            f"The worker {worker.pid} of lane “{worker.lane}” on {worker.host} has been silent for"
            f" {worker.silent_s:.0f} s"
        )
        mend = f"If it hangs or is stopped, end it (kill -9 {worker.pid}) and start another."
        yield Trouble("worker", sentence, mend)


def _replaces(other: WorkerHealth, worker: WorkerHealth) -> bool:
    same = (other.kind, other.lane) == (worker.kind, worker.lane)
    return same and other.is_alive and other.started_at > worker.seen_at


def _sweeper(seen: Overview) -> Iterator[Trouble]:
    if seen.sweeper_age_s is None or seen.sweeper_age_s > health.patience_s("sweeper"):
        sentence = "The sweeper isn't running: lost wake-ups, expired leases and every duty wait"
        yield Trouble("sweeper", sentence, "Start it: manage.py sweep.")


def _holder(seen: Overview) -> Iterator[Trouble]:
    """Sweepers run, and none of them does the duties. Without any, that is said already."""
    if seen.holder is None or list(_sweeper(seen)):
        return
    unheld = seen.holder.unheld_s
    if unheld > settings.NOTICE_SECONDS:
        sentence = f"No sweeper has held the duties for {unheld:.0f} s, so none of them is done"
        mend = "The log of the sweepers says why none takes them over; restart them."
        yield Trouble("holder", sentence, mend)


def _duties(seen: Overview) -> Iterator[Trouble]:
    sweeps = seen.sweeper_age_s is not None and not list(_sweeper(seen))
    for duty in seen.duties:
        if duty.failures:
            times = f"{duty.failures} times in a row" if duty.failures > 1 else "when last tried"
            sentence = (
                f"The duty “{duty.title}” failed {times}, so {duty.words or 'it is not done'}"
            )
            yield Trouble("duty", sentence, f"{_CAUSES} {_MEND_DUTY}", duty.error)
        elif duty.is_late and sweeps:
            waits = f"has not been done for {duty.quiet_s:.0f} s"
            sentence = f"The duty “{duty.title}” {waits}, so {duty.words or 'that waits'}"
            yield Trouble("duty", sentence, f"It hangs or was left out. {_MEND_DUTY}")
        if duty.set_aside:
            yield _set_aside(duty)


def _subscriptions(seen: Overview) -> Iterator[Trouble]:
    """Subscribers that fail or do not keep up, and what lies among the dead letters."""
    for one in log.subscriptions():
        late = one.lag_s > settings.NOTICE_SECONDS
        if one.words and (one.tries or late):
            how = f"failed {one.tries} time{'s' if one.tries > 1 else ''}" if one.tries else "lags"
            sentence = f"The subscriber “{one.title}” {how}, so {one.words}"
            mend = "Others are served. The sweeper's log says where; System shows how far it came."
            yield Trouble("subscription", sentence, mend, one.error)
        if one.dead:
            events = "1 event" if one.dead == 1 else f"{one.dead} events"
            sentence = f"{events} could not be delivered to “{one.title}”"
            mend = "Fix the cause, then have them delivered again (System → Dead letters)."
            yield Trouble("dead_letter", sentence, mend, is_grave=False)


def _log(_seen: Overview) -> Iterator[Trouble]:
    if found := broken():
        sentence = f"The audit log is broken at #{found.broken_at:,}: {found.problem}"
        mend = "Export the log and its checkpoints, and find out who could write to the database."
        yield Trouble("audit", sentence, f"{mend} See Audit.")


def _set_aside(duty: DutyHealth) -> Trouble:
    rows = "1 row" if duty.set_aside == 1 else f"{duty.set_aside} rows"
    sentence = f"The duty “{duty.title}” set {rows} aside that it can't deal with"
    mend = "The others are dealt with, and these tried again each minute: System names them."
    return Trouble("aside", sentence, mend, "; ".join(duty.lines[:3]), is_grave=False)


_CAUSES = "The other duties go on."
_MEND_DUTY = "The sweeper's log says where; restart the sweeper once that is fixed."


def _leases(seen: Overview) -> Iterator[Trouble]:
    if seen.expired_leases:
        sentence = f"{seen.expired_leases} expired leases wait for the sweeper"
        yield Trouble("lease", sentence, "It takes them back in its next round.", is_grave=False)


def _late(seen: Overview) -> Iterator[Trouble]:
    oldest = seen.oldest_due_s or 0
    if oldest > LATE_SECONDS and not any(lane.is_still for lane in seen.lanes):
        sentence = f"The oldest due step has waited {oldest:.0f} s"
        yield Trouble("late", sentence, "More workers would shorten the queue.", is_grave=False)


def _breakers(seen: Overview) -> Iterator[Trouble]:
    for breaker in seen.open_breakers:
        mend = "It tries again by itself; see the tool's server."
        if breaker.manual:
            mend = "Close it on the page of stops once the tool may be called."
        yield Trouble("breaker", breaker.words, mend, is_grave=False)


def _tool_servers(seen: Overview) -> Iterator[Trouble]:
    for slug, why in servers.silent():
        sentence = f"The tool server “{slug}” does not answer"
        mend = "Start it, or correct its address or credentials: see System → Tool servers."
        yield Trouble("tool_server", sentence, mend, why)


def _changed_tools(seen: Overview) -> Iterator[Trouble]:
    """Tools that aren't at their server what was published."""
    for drift in servers.drifts():
        mend = "Read on its page what changed, then apply the pack to publish it anew."
        said = " ".join(drift.changes).rstrip(".")
        yield Trouble("drift", drift.sentence, mend, said, is_grave=False)


def _unsigned(seen: Overview) -> Iterator[Trouble]:
    """Answers that were to be used and that nobody had signed so: somebody, or a mistake, wrote
    them past the people who decide."""
    refused = approvals.signatures_refused()
    if not refused:
        return
    times = "An approval was" if len(refused) == 1 else f"{len(refused)} approvals were"
    said = "; ".join(f"{row.sentence} ({row.pk})" for row in refused[:3])
    yield Trouble(
        "signature",
        f"{times} refused in the last 24 h: the stored answer was not signed as it stands",
        "Nothing was carried out, and people are asked again. Find out who can write to the"
        " database, and whether every machine has the same key ring.",
        said,
        is_grave=False,
    )


def _forged_grants(seen: Overview) -> Iterator[Trouble]:
    """Grants that nobody signed as they stood: they would have let requests through."""
    refused = grants.refused_lately()
    if not refused:
        return
    times = "A grant was" if len(refused) == 1 else f"{len(refused)} grants were"
    said = "; ".join(f"{row.tool_name} ({row.pk}): {row.ended_why}" for row in refused[:3])
    yield Trouble(
        "signature",
        f"{times} refused in the last 24 h: what is stored was not signed as it stands",
        "It covers nothing any more, and people are asked. Find out who can write to the database,"
        " and whether every machine has the same key ring.",
        said,
        is_grave=False,
    )


def _undecidable(seen: Overview) -> Iterator[Trouble]:
    """Requests that wait and that nobody may decide, as teams and accounts stand."""
    rows = undecidable().order_by("expires_at")
    if not (number := rows.count()):
        return
    words = "1 request waits" if number == 1 else f"{number} requests wait"
    yield Trouble(
        "teams",
        f"{words} that nobody may decide",
        "Put an operator who can act into a team that decides it, or widen one: Users → Teams.",
        "; ".join(f"{row.sentence} ({row.pk})" for row in rows[:3]),
        is_grave=False,
    )


def _foreign_jobs(seen: Overview) -> Iterator[Trouble]:
    """Somebody who can write to Redis put something into a queue that workers were to run."""
    since = database_now() - TOLD_FOR
    told = log.events_about("lane", settings.LANES, kinds=["bell.refused"], since=since)
    if not told:
        return
    times = sum(int(event.payload.get("times", 1)) for event in told)
    yield Trouble(
        "queue",
        f"{times} foreign {'job was' if times == 1 else 'jobs were'} refused in the last 24 h",
        "Nothing of it was run. Find out who can write to Redis, and change its password.",
        str(told[-1].payload.get("why", "")),
        is_grave=False,
    )


def _misused_tokens(seen: Overview) -> Iterator[Trouble]:
    """A machine, or whoever has its token, tried what only people do."""
    since = database_now() - TOLD_FOR
    told = log.events_about("service", service_ids(), kinds=[MISUSED], since=since)
    if not told:
        return
    last = told[-1]
    name = Actor.parse(last.actor).name
    yield Trouble(
        "token",
        f"A token of the service account “{name}” was brought to a page of people",
        "Nothing was done. Find out who did it; if you don't know, revoke the token.",
        f"{last.payload.get('token')}… at {last.payload.get('path')}",
        is_grave=False,
    )


def _keys(seen: Overview) -> Iterator[Trouble]:
    """Files of keys that are not what they have to be: nobody's answer is taken, or used."""
    if why := keys.trouble():
        sentence = "Approvals can't be answered, or their answers not be used"
        mend = "Put the right file there, or let a new key sign: manage.py approval_keys rotate."
        yield Trouble("keys", sentence, mend, why.rstrip("."))


def _models(seen: Overview) -> Iterator[Trouble]:
    """Models of the catalog that can't be asked: no key, or an address that isn't allowed."""
    for one in adapters.model_standings():
        if one.trouble:
            sentence = f"Runs of agents that name the model “{one.terms.slug}” can't begin"
            mend = "See its page in the catalog for where its key is read."
            yield Trouble("model", sentence, mend, one.trouble.rstrip("."), is_grave=False)


TAKERS = ("worker", "drainer")
CHECKS: tuple[Callable[[Overview], Iterator[Trouble]], ...] = (
    _redis,
    _refused,
    _sweeper,
    _holder,
    _workers,
    _lanes,
    _horses,
    _duties,
    _subscriptions,
    _log,
    _parts,
    _silent_workers,
    _leases,
    _late,
    _unsigned,
    _forged_grants,
    _undecidable,
    _foreign_jobs,
    _misused_tokens,
    _keys,
    _breakers,
    _tool_servers,
    _changed_tools,
    _models,
)


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether this installation can do its work, part by part, and what keeps it from that."""

    database: bool
    redis: bool
    worker: bool
    troubles: tuple[Trouble, ...] = ()

    @property
    def is_ready(self) -> bool:
        return not any(t.is_grave for t in self.troubles)


def readiness() -> Readiness:
    """For a probe: cheap, and never raises."""
    try:
        seen = health.overview()
    except (DatabaseError, InterfaceError):
        away = Trouble(
            "database", "PostgreSQL can't be reached", "Start it, or correct DATABASE_URL."
        )
        return Readiness(False, not health.ping_redis()[1], False, (away,))
    except Exception:
        logger.exception("the overview can't be made")
        broken = Trouble("check", "The overview can't be made", f"{LOG}.")
        return Readiness(True, not health.ping_redis()[1], False, (broken,))
    found = tuple(troubles(seen))
    if all(t.kind != "database" for t in found):
        found = (*_refused_by_database(writes=True), *found)
    kinds = {t.kind for t in found}
    is_there = seen.drainers_alive > 0
    return Readiness("database" not in kinds, "redis" not in kinds, is_there, found)
