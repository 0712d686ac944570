"""Stop and let go again: a tool, an agent, a job or everything; and a tool's breaker by hand.

A stop is in force for every claim and every next step that is begun after its commit, in all
processes within a quarter of a second. Calls that are under way are finished and recorded. Each
change is a guarded update: of two people who act at once one is told what the other did.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.db.models.functions import Now

from apps.audit.domain.actors import Actor
from apps.audit.services import record
from apps.kernel.apart import Aside, deal
from apps.kernel.errors import ConflictError, InvalidInputError, NotFoundError, NotPermittedError
from apps.kernel.transactions import after_commit, command, is_of_a_row, participant
from apps.runs import dispatch
from apps.runs.domain.barrier import StopScope, next_stage
from apps.runs.journal import barriers, breakers, withholding
from apps.runs.models import Stop
from apps.runs.selectors import stops as known
from apps.runs.work import Claimed

logger = logging.getLogger(__name__)
NOT_FREED = Aside("step")
TYPED = "stop everything"  # what has to be typed to stop everything


@command
def place_stop(scope: StopScope, target: str, *, reason: str, person: Any) -> int:
    """Put a stop in force and park what is due. Returns its id; a stop of the same thing that is
    in force already is a conflict, told with who placed it and when."""
    said = _said(reason, "Say why: everybody reads it while the stop is in force.")
    with connection.cursor() as cursor:
        # Two people at once: the unique index on stops in force lets one of them in.
        cursor.execute(
            "INSERT INTO runs_stop (scope, target, reason, placed_by, percent, stage_by,"
            " lifted_by, lift_reason) VALUES (%s, %s, %s, %s, 0, '', '', '')"
            " ON CONFLICT DO NOTHING RETURNING id",
            [scope.value, target, said, person.actor.text],
        )
        row = cursor.fetchone()
    if row is None:
        raise _stopped_already(scope, target)
    parked = barriers.park_due()
    payload = {"scope": scope.value, "target": target, "reason": said, "parked": parked}
    _record("stop.placed", row[0], person, payload)
    return int(row[0])


def _stopped_already(scope: StopScope, target: str) -> ConflictError:
    first = known.placed_by(scope, target)
    if first is None:
        return ConflictError("Somebody lifted a stop of this at this moment: try again.")
    what = known.what_words(scope, target)
    return ConflictError(
        f"{what} is stopped already, by {Actor.parse(first.placed_by)}: {first.reason}",
        code="stopped",
        who=Actor.parse(first.placed_by).shown,
        when=first.placed_at,
    )


@command
def let_go_on(stop_id: int, *, seen: int, person: Any) -> int:
    """Lift a stop by one stage, from the percent that the person saw. Returns the new percent; the
    last stage is ``lift_stop``."""
    stop = _stop(stop_id, person)
    percent = next_stage(seen)
    if percent >= 100:
        raise InvalidInputError("After this stage the stop is lifted for all.", field="percent")
    # The guard names the stage that was seen, so that two clicks are one stage.
    moved = Stop.objects.filter(pk=stop_id, lifted_at=None, percent=seen).update(
        percent=percent, stage_by=person.actor.text, stage_at=Now()
    )
    if not moved:
        raise _moved_meanwhile(stop_id)
    payload = {"scope": stop.scope, "target": stop.target, "percent": percent}
    _record("stop.stage", stop_id, person, payload)
    _wake()
    return percent


@command
def hold_again(stop_id: int, *, person: Any) -> None:
    """Back to a full stop, from whatever stage: what was let go on didn't fare well."""
    stop = _stop(stop_id, person)
    # Guarded: lifted, or held again, by somebody else meanwhile is told as such.
    moved = Stop.objects.filter(pk=stop_id, lifted_at=None, percent__gt=0).update(
        percent=0, stage_by=person.actor.text, stage_at=Now()
    )
    if not moved:
        raise _moved_meanwhile(stop_id)
    payload = {"scope": stop.scope, "target": stop.target, "percent": 0}
    _record("stop.stage", stop_id, person, payload)
    barriers.park_due()


@command
def lift_stop(stop_id: int, *, reason: str, person: Any) -> None:
    """Lift a stop for all. What no other stop holds goes on at once."""
    stop = _stop(stop_id, person)
    said = _said(reason, "Say why it can go on: it is written to the audit log.")
    # Guarded: of two who lift it at once one did, and the other is told who.
    moved = Stop.objects.filter(pk=stop_id, lifted_at=None).update(
        lifted_at=Now(), lifted_by=person.actor.text, lift_reason=said
    )
    if not moved:
        raise _moved_meanwhile(stop_id)
    payload = {"scope": stop.scope, "target": stop.target, "reason": said}
    _record("stop.lifted", stop_id, person, payload)
    _wake()


def _stop(stop_id: int, person: Any) -> Stop:
    stop = Stop.objects.filter(pk=stop_id).first()
    if stop is None:
        raise NotFoundError("There is no such stop.")
    if stop.scope == StopScope.EVERYTHING and not person.may("stops.lift_all"):
        raise NotPermittedError("A stop of everything is lifted by an administrator.")
    return stop


def _moved_meanwhile(stop_id: int) -> ConflictError:
    stop = Stop.objects.get(pk=stop_id)
    if stop.lifted_at:
        return ConflictError(
            f"{Actor.parse(stop.lifted_by)} has lifted this stop meanwhile.",
            code="lifted",
            who=Actor.parse(stop.lifted_by).shown,
            when=stop.lifted_at,
        )
    who = Actor.parse(stop.stage_by or stop.placed_by).shown
    return ConflictError(
        f"{who} has set this stop to {stop.percent} % meanwhile.",
        code="stage_moved",
        who=who,
        when=stop.stage_at or stop.placed_at,
    )


# --- breakers by hand -----------------------------------------------------------------------------


@command
def open_breaker(tool: str, host: str, *, reason: str, person: Any) -> None:
    """Keep a tool's breaker open until a person closes it."""
    said = _said(reason, "Say why: it is shown wherever a run waits for this tool.")
    if not breakers.hold_open((tool, host), reason=said, actor=person.actor):
        raise ConflictError("A person keeps this breaker open already; reload to see who.")
    barriers.park_due()
    _changed()


@command
def close_breaker(tool: str, host: str, *, reason: str, person: Any) -> None:
    """Let an open breaker be tried now: two calls go through, and if they succeed it closes."""
    said = _said(reason, "Say why it can be tried: it is written to the audit log.")
    if not breakers.let_probe((tool, host), reason=said, actor=person.actor):
        raise ConflictError("This breaker isn't open any more; reload to see how it stands.")
    barriers.forget()
    _ring([*barriers.wake_freed(), *barriers.wake_probers([tool])])
    _changed()


# --- the engine and the sweep ---------------------------------------------------------------------


@command
def withheld(works: Sequence[Claimed]) -> set[int]:
    """For a worker: the lease tokens of those of its calls that something holds by now."""
    return withholding.look(works)


def wake_freed() -> list[str]:
    """A duty: let go what was parked at the very moment in which its stop was lifted. A step that
    can't be is set aside. Returns the lanes that have work again."""
    found = command(barriers.loosely_parked)(besides=NOT_FREED.left_alone())
    lanes = deal(found, lambda some: command(barriers.wake_freed)(some), NOT_FREED)
    return sorted(set(lanes))


@participant
def _wake() -> None:
    barriers.forget()
    try:
        with transaction.atomic():
            lanes = barriers.wake_freed()
    except BaseException as error:
        if not is_of_a_row(error):
            raise
        # What a person lets go on isn't kept by one row; the duty wakes the others one by one.
        logger.exception("a stop is lifted; what it held is woken by the sweep")
        return
    _ring(lanes)


def _ring(lanes: Iterable[str]) -> None:
    for lane in {*lanes} & {*settings.LANES}:
        after_commit(partial(dispatch.ring, lane))


@participant
def _record(kind: str, stop_id: int, person: Any, payload: dict[str, Any]) -> None:
    record(kind=kind, actor=person.actor, subject_type="stop", subject_id=stop_id, payload=payload)
    _changed()


def _changed() -> None:
    """This process asks anew, now and once the change can be seen by others."""
    for forget in (barriers.forget, known.forget_banner):
        forget()
        after_commit(forget)


def _said(reason: str, ask: str) -> str:
    said = reason.strip()
    if not said:
        raise InvalidInputError(ask, field="reason")
    if len(said) > 500:
        raise InvalidInputError("Keep the reason within 500 characters.", field="reason")
    return said
