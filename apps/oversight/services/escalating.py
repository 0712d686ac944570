"""Call others about a question that waits: by the clock at each rung of its ladder, or by hand.

An escalation decides nothing and asks nobody new: who may answer is policy's word and stays so.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Exists, OuterRef

from apps.accounts.models import User
from apps.audit import services as audit
from apps.audit.domain.actors import SWEEPER
from apps.kernel.errors import ConflictError, InvalidInputError, NotPermittedError
from apps.kernel.statements import database_now
from apps.kernel.transactions import command, is_of_a_row, participant
from apps.oversight.domain import ladder, rules
from apps.oversight.domain.ladder import LEAD, UNDECIDABLE, Rung
from apps.oversight.models import Approval, Escalation
from apps.oversight.selectors import away
from apps.oversight.selectors.away import CalledAway, Roster
from apps.oversight.selectors.scopes import leads_of, undecidable
from apps.oversight.services.deciding import error_of, require_able
from apps.oversight.services.rows import (
    ClockTimestamp,
    State,
    fact,
    in_time,
    locked,
    rungs_of,
    set_next,
)
from apps.oversight.services.snoozing import wake_called

logger = logging.getLogger(__name__)
LATER = timedelta(minutes=1)  # until a question that could not be escalated is looked at again

CLOCK = (
    "id",
    "run_id",
    "step_id",
    "domain_slug",
    "job_slug",
    "amount_cents",
    "risk",
    "ladder",
    "roles",
    "created_at",
    "expires_at",
    "ends_at",
    "rung_at",
)


@command
def escalate_due(limit: int = 500) -> int:
    """Climb every rung that is due. Returns how many questions were escalated.

    Two sweepers: the second skips rows that the first holds, and finds ``rung_at`` moved on once it
    let go. A person who decides or escalates holds the row too, so whoever has it first wins."""
    due = (
        Approval.objects.filter(
            in_time(ClockTimestamp()), state=State.PENDING, rung_at__lte=ClockTimestamp()
        )
        .order_by("rung_at")
        .select_for_update(skip_locked=True)[:limit]
    )
    rows = list(due.only(*CLOCK))
    if not rows:
        return 0
    climbed = _climbed([row.pk for row in rows])
    now, roster = database_now(), away.roster()
    for row in rows:
        _climb_apart(row, climbed[row.pk], now, roster)
    return len(rows)


@command
def call_about_undecidable(limit: int = 500) -> int:
    """Call the admins, once, about each question that nobody may decide. Returns how many there
    were."""
    told = Escalation.objects.filter(approval=OuterRef("pk"), rung=UNDECIDABLE)
    # As above: of two sweepers the second skips what the first holds, and finds it called.
    rows = undecidable().exclude(Exists(told)).order_by("expires_at")
    found = list(rows.select_for_update(skip_locked=True, of=("self",)).only(*CLOCK)[:limit])
    if not found:
        return 0
    now, roster = database_now(), away.roster()
    for row in found:
        _write([_by_clock(row, Rung(UNDECIDABLE, 0.0, ladder.LAST_RESORT), now)], roster)
    return len(found)


def _climb_apart(row: Approval, climbed: set[int], now: datetime, roster: Roster) -> None:
    """Climb what is due of one question. One that can't be climbed is looked at again later, and
    the others are climbed all the same."""
    try:
        with transaction.atomic():
            _climb(row, climbed, now, roster)
    except Exception as error:
        if not is_of_a_row(error):
            raise
        logger.exception("question %s could not be escalated", row.pk)
        Approval.objects.filter(pk=row.pk).update(rung_at=now + LATER)


def _climb(row: Approval, climbed: set[int], now: datetime, roster: Roster) -> None:
    found = ladder.reached(
        rungs_of(row), climbed, asked_at=row.created_at, due_at=row.expires_at, now=now
    )
    _write([_by_clock(row, rung, now) for rung in found], roster)
    set_next(row, climbed | {rung.number for rung in found})
    Approval.objects.filter(pk=row.pk).update(rung_at=row.rung_at)


@command
def escalate(*, approval_id: UUID, user: User, note: str, rung: int) -> Approval:
    """Climb the next rung by hand, with a note. ``rung`` is the one that this person saw as the
    next: sent twice it counts once, and whoever was second hears in a ConflictError who was first.
    So does whoever comes when it is decided, or when nobody is left to call."""
    require_able(user)
    approval = locked(approval_id)
    _refuse(approval, user, note)
    done = {e.rung: e for e in approval.escalations.select_related("by")}
    first = done.get(rung)
    if first is not None and first.by_id == user.pk:
        return approval
    wanted = ladder.next_by_hand(approval.ladder, done, {e.role for e in done.values()})
    if first is not None:
        who = first.by.display_name if first.by else "the clock"
        sentence = f"It was escalated to {first.words} meanwhile."
        raise ConflictError(sentence, code="escalated", who=who, when=first.at)
    if wanted is None or wanted.number != rung:
        raise ConflictError("There is no further escalation target.", code="escalated")
    role = _role_of(approval, wanted)
    made = Escalation(
        approval=approval,
        rung=wanted.number,
        to=wanted.to,
        role=role,
        comes_first=ladder.comes_first(role, approval.asked_roles, by_hand=True),
        at=database_now(),
        by=user,
        note=note.strip(),
    )
    _write([made], away.roster())
    set_next(approval, {*done, wanted.number})
    approval.save(update_fields=["rung_at"])
    return approval


def _refuse(approval: Approval, user: User, note: str) -> None:
    if approval.state != State.PENDING or database_now() >= approval.until:
        is_late = approval.state in {State.PENDING, State.EXPIRED}
        code = "expired" if is_late else "decided"
        words = "The time to decide has run out" if is_late else f"This was {approval.state}"
        refused = rules.Refusal(code, f"{words}: there is nothing left to escalate.")
        raise error_of(refused, approval, "")
    if not rules.may_decide(user.role, approval.asked_roles):
        raise NotPermittedError("Only those who may decide can escalate.")
    if not note.strip():
        raise InvalidInputError("Say why you escalate it.", code="note", field="note")


def _climbed(ids: Sequence[UUID]) -> dict[UUID, set[int]]:
    found: dict[UUID, set[int]] = defaultdict(set)
    for pk, rung in Escalation.objects.filter(approval__in=ids).values_list("approval", "rung"):
        found[pk].add(rung)
    return found


def _by_clock(approval: Approval, rung: Rung, now: datetime) -> Escalation:
    role = _role_of(approval, rung)
    return Escalation(
        approval=approval,
        rung=rung.number,
        to=rung.to,
        role=role,
        share=rung.at,
        at=now,
        comes_first=ladder.comes_first(role, approval.asked_roles, by_hand=False),
    )


def _role_of(approval: Approval, rung: Rung) -> str:
    """Whom a rung calls: the leads of the teams that decide it, where it says so and there are
    any."""
    return LEAD if rung.to == LEAD and leads_of(approval) else rung.role


@participant
def _write(made: Sequence[Escalation], roster: Roster) -> None:
    """One row a rung, of one question; the unique constraint holds even where no lock was
    taken."""
    Escalation.objects.bulk_create(made)
    led = {e.approval_id: leads_of(e.approval) for e in made if e.role == LEAD}
    leads = [person for people in led.values() for person in people]
    found = {role: away.called_away(role, roster, leads) for role in {e.role for e in made}}
    for e in made:
        stand_ins = [one.there for one in found[e.role].absences if one.there]
        wake_called(e.approval, e.role, [p.pk for p in (*stand_ins, *led.get(e.approval_id, ()))])
    audit.record_many([_fact(e, found[e.role]) for e in made])


def _fact(e: Escalation, found: CalledAway) -> audit.Fact:
    """What the log says: also who heard of it in somebody's stead, and that nobody was there."""
    by = e.by.actor if e.by else SWEEPER
    said: dict[str, Any] = {"note": e.note} if e.by else {"share": e.share}
    if e.rung == UNDECIDABLE:
        said["nobody_may_decide"] = True
    if names := {one.there.username for one in found.absences if one.there}:
        said["stand_ins"] = sorted(names)
    if not found.anybody:
        said["nobody_there"] = True
    return fact("escalated", e.approval, by, to=e.to, role=e.role, rung=e.rung, **said)
