"""Be away: planned by oneself, or by an admin for somebody who is ill; ended early at any time.

Whoever plans holds one lock until it is committed, so that two who name each other at once can't
close a circle, and nobody is away twice at one moment.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from apps.accounts.models import User
from apps.audit import services as audit
from apps.kernel.errors import InvalidInputError, NotFoundError, NotPermittedError
from apps.kernel.statements import database_now, execute
from apps.kernel.transactions import command, participant
from apps.oversight.domain import away
from apps.oversight.domain.away import TimeAway
from apps.oversight.models import Absence
from apps.oversight.selectors import away as selectors
from apps.oversight.services.deciding import require_able

TAKE_TURNS = "SELECT pg_advisory_xact_lock(hashtextextended('approvals.absence', 61))"
NOBODYS = "Choose a person whose account acts, and who decides or is called."


@dataclass(frozen=True, slots=True)
class AbsencePlan:
    """What somebody asks for: whose, from when (at once, if nothing or a moment that has passed),
    until when, who stands in, if anybody, and why."""

    person_id: int
    ends_at: datetime
    reason: str
    begins_at: datetime | None = None
    stand_in_id: int | None = None


@command
def set_absence(*, by: User, plan: AbsencePlan) -> Absence:
    """Plan an absence. InvalidInputError names the field (``person``, ``from``, ``until``,
    ``stand_in``, ``reason``) and what to change; NotPermittedError for another person's, unless an
    admin plans it."""
    _require_may(by, plan.person_id)
    if not plan.reason.strip():
        raise _wrong("reason", "Say why: you and admins read it, nobody else.")
    execute(TAKE_TURNS, [])
    now = database_now()
    person = _person(plan.person_id, "person")
    stand_in = _person(plan.stand_in_id, "stand_in") if plan.stand_in_id is not None else None
    if stand_in and not selectors.may_stand_in(stand_in, person):
        raise _wrong("stand_in", "Choose somebody of the same role, or who decides.")
    begins_at = max(plan.begins_at or now, now)
    stand_in_id = stand_in.pk if stand_in else None
    asked = TimeAway(person.pk, begins_at, plan.ends_at, stand_in_id)
    others = [one.planned for one in selectors.to_come()]
    if fault := away.fault(asked, others, now):
        raise _wrong(fault.field, fault.sentence)
    made = Absence.objects.create(
        person=person,
        stand_in=stand_in,
        begins_at=begins_at,
        ends_at=plan.ends_at,
        reason=plan.reason.strip()[: away.REASON_MOST],
        set_by=by,
    )
    made.refresh_from_db()
    until = {"from": begins_at.isoformat(), "until": plan.ends_at.isoformat()}
    _record("set", made, by, **until, stand_in=stand_in.username if stand_in else "")
    return made


@command
def end_absence(*, by: User, absence_id: int) -> Absence:
    """End an absence now, or take back one that has not begun. Nothing happens to one that is over.
    NotPermittedError for another person's, unless an admin ends it."""
    found = Absence.objects.select_for_update().filter(pk=absence_id).first()
    if found is None:
        raise NotFoundError("There is no such absence.")
    _require_may(by, found.person_id)
    # The row is held: of two who end it at once the second finds it ended. A trigger holds that.
    now = database_now()
    if found.ended_at is not None or found.ends_at <= now:
        return found
    found.ended_at, found.ended_by = now, by
    found.save(update_fields=["ended_at", "ended_by"])
    _record("ended", found, by)
    return found


def _require_may(by: User, person_id: int) -> None:
    require_able(by)
    if not by.may("absences.set" if by.pk == person_id else "absences.manage"):
        raise NotPermittedError("An absence is set and ended by its person, or by an admin.")


def _person(pk: int, field: str) -> User:
    found = User.objects.filter(pk=pk, role__in=selectors.CALLED).first()
    if found is None or not selectors.can_act(found):
        raise _wrong(field, NOBODYS)
    return found


def _wrong(field: str, sentence: str) -> InvalidInputError:
    return InvalidInputError(sentence, code="absence", field=field)


@participant
def _record(kind: str, absence: Absence, by: User, **payload: Any) -> None:
    """An event about the person. Why they are away is nobody's business for ever: it isn't told."""
    audit.record(
        kind=f"absence.{kind}",
        actor=by.actor,
        subject_type="user",
        subject_id=absence.person_id,
        payload={"absence": absence.pk, "username": absence.person.username, **payload},
    )
