"""Answer held steps by grants: each use is counted, signed, and an answer of its own.

A question that a grant covers is opened as any, and answered in the same transaction. Then it goes
the way of an approval: it can be taken back for as long, and all that it is bound to is compared
when it is used up.

The race: two workers that use one grant at the same moment would both see its last use free. The
row of the grant closes it: it is locked before it is read, and the update that counts is guarded by
its count, its end by the database's clock, and its state. Workers lock grants in one order; should
two batches meet crosswise all the same, PostgreSQL ends one of them, and the engine repeats it.
Nobody waits for whoever answers a request for the same: then a person looks at both.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db.models import F

from apps.accounts.models import User
from apps.accounts.services import hold_scopes
from apps.audit import services as audit
from apps.audit.domain.actors import GATE
from apps.kernel.statements import database_now, fetch
from apps.kernel.transactions import participant
from apps.oversight.adapters import KeyFileError
from apps.oversight.domain import rules
from apps.oversight.domain.grants import CoverableCall, misses
from apps.oversight.models import Approval, Grant, GrantUse
from apps.oversight.registry import why_never_granted
from apps.oversight.selectors import past
from apps.oversight.selectors.cooling import rejected_lately
from apps.oversight.selectors.grants import COUNTS, usable
from apps.oversight.services.deciding import GRACE
from apps.oversight.services.grant_seals import bounds_of, sign_use, why_not_granted
from apps.oversight.services.parties import parties_for
from apps.oversight.services.rows import ClockTimestamp, State, fact
from apps.oversight.services.scopes import outside_as_read

# As ``second_look.TAKE_TURNS``, which whoever answers holds; here nobody waits.
TRY_TURNS = (
    "SELECT bool_and(pg_try_advisory_xact_lock(hashtextextended(key, 60)))"
    " FROM (SELECT key FROM unnest(%s::text[]) AS key ORDER BY 1) AS keys"
)
ALL_USED = "It was used as often as it could be."
COUNT_ALTERED = "Its count is not that of its uses."


@participant
def cover(opened: Mapping[UUID, str]) -> None:
    """Answer those of these questions (id → tool) that a grant covers. They were opened in this
    transaction. Where no grant is active, this is one query."""
    grants = usable({*opened.values()}) if opened else []
    if not grants:
        return
    rows = Approval.objects.filter(pk__in=opened).order_by("pk")
    fits = [(row, found) for row in rows if (found := [g for g in grants if _fits(g, row)])]
    fits = [(row, found) for row, found in fits if _is_first_of_its_kind(row)]
    if not fits:
        return
    locked = _locked({grant.pk for _, found in fits for grant in found})
    hold_teams(locked.values())
    for row, found in fits:
        next((g for g in found if g.pk in locked and _use(row, locked[g.pk])), None)


def _fits(grant: Grant, row: Approval) -> bool:
    """Whether the question is within the bounds as they are stored. Whether these were signed is
    looked at before they are used."""
    try:
        return not misses(bounds_of(grant), CoverableCall.of(row))
    except ValueError:
        return False


def _is_first_of_its_kind(row: Approval) -> bool:
    """Whether nothing of the same is waiting, was answered before, or is being answered: what needs
    a second look needs a person."""
    keys = past.effect_of(row).keys
    if not keys or not fetch(TRY_TURNS, [keys])[0][0]:
        return False
    return not past.repeats_of(row).rows and not rejected_lately([row.pk])


def _locked(ids: Collection[UUID]) -> dict[UUID, Grant]:
    """The grants that two people signed as they stand, their rows held. Any other is refused."""
    rows = Grant.objects.select_for_update(of=("self",)).filter(pk__in=ids, state="active")
    found = {}
    for grant in rows.select_related("proposed_by", "confirmed_by").order_by("pk"):
        try:
            why = why_not_granted(grant) or _why_miscounted(grant)
        except KeyFileError:  # nobody is accused where nobody can tell; people are asked
            continue
        if why:
            refuse(grant, why)
        else:
            found[grant.pk] = grant
    return found


def _why_miscounted(grant: Grant) -> str:
    return "" if grant.uses.count() == grant.used else COUNT_ALTERED


@participant
def refuse(grant: Grant, why: str) -> None:
    """End a grant that nobody signed as it stands, and say so where people look."""
    Grant.objects.filter(pk=grant.pk).update(
        state=Grant.State.REFUSED, ended_at=ClockTimestamp(), ended_why=why
    )
    audit.record_many([grant_fact("refused", grant, why=why)])


def _use(row: Approval, grant: Grant) -> bool:
    """Count one use and answer the question with it; whether it was. The teams of who gave the
    grant have to be held."""
    number = grant.used + 1
    if number > grant.most_uses or why_not_theirs(row, grant):
        return False
    now = database_now()
    try:
        signature, key_id = sign_use(row, grant, number=number, at=now)
    except KeyFileError:
        return False
    counted = Grant.objects.filter(
        pk=grant.pk,
        state=Grant.State.ACTIVE,
        used=grant.used,
        used__lt=F("most_uses"),
        ends_at__gt=ClockTimestamp(),
    ).update(used=number)
    if counted != 1:
        return False
    grant.used = number
    GrantUse.objects.create(grant=grant, approval=row, number=number, at=now)
    _answer(row, grant, now=now, signature=signature, key_id=key_id)
    if number == grant.most_uses:
        end(grant, Grant.State.USED, ALL_USED)
    return True


def _answer(row: Approval, grant: Grant, *, now: datetime, signature: str, key_id: str) -> None:
    state = State.GRANTED if row.undo_s else State.APPROVED
    Approval.objects.filter(pk=row.pk, state=State.PENDING).update(
        state=state,
        decided_at=now,
        reason=f"Covered by a grant of {people_of(grant)}: {grant.reason}",
        signature=signature,
        key_id=key_id,
        expires_at=max(row.expires_at, now + GRACE) if not row.undo_s else row.expires_at,
        not_before=now + timedelta(seconds=row.undo_s) if row.undo_s else None,
    )
    told = {"grant": str(grant.pk), "number": grant.used, "of": grant.most_uses}
    audit.record_many(
        [
            grant_fact("used", grant, number=grant.used, approval=str(row.pk)),
            fact(state.value, row, GATE, **told, approve=True),
        ]
    )


def people_of(grant: Grant) -> str:
    """Who gave it, for a sentence."""
    second = grant.confirmed_by.display_name if grant.confirmed_by else "nobody else"
    return f"{grant.proposed_by.display_name} and {second}"


def why_not_theirs(row: Approval, grant: Grant) -> str:
    """Why this request is not one that these two may decide, or that a grant may; nothing if it
    is."""
    if why := why_never_granted(row):
        return why
    people = [grant.proposed_by, grant.confirmed_by]
    return next((why for one in people if (why := why_not_ones(row, one))), "")


def why_not_ones(row: Approval, user: User | None) -> str:
    """Why this person could not approve the request; nothing if they could."""
    if user is None:
        return "Nobody confirmed it."
    if why := user.hindrance:
        return str(why)
    if not user.may("approvals.decide") or not rules.may_decide(user.role, row.asked_roles):
        return f"Only {' or '.join(row.asked_roles) or 'operator'} may decide it."
    if why := outside_as_read(row, user):
        return why
    had = parties_for(row, user, ()).get(user.pk, "")
    return rules.party_words(had) if had else ""


def uses_that_count(rows: Sequence[Approval]) -> dict[UUID, list[str]]:
    """Of answers that grants gave, and that were proved, those that still hold now that they are
    to be used: the roles of who gave the grant. The grant was not revoked since, nor is it over.
    Its row is not locked: whoever revokes it holds this answer first, or comes after its use."""
    if not rows:
        return {}
    uses = GrantUse.objects.filter(approval__in=rows, grant__ends_at__gt=ClockTimestamp())
    uses = uses.filter(grant__state__in=COUNTS)
    by_id = {row.pk: row for row in rows}
    found = {}
    uses = uses.select_related("grant__proposed_by", "grant__confirmed_by")
    hold_teams([use.grant for use in uses])
    for use in uses:
        row, grant = by_id[use.approval_id], use.grant
        if _fits(grant, row) and not why_not_theirs(row, grant):
            people = (grant.proposed_by, grant.confirmed_by)
            found[row.pk] = sorted({one.role for one in people if one})
    return found


@participant
def hold_teams(given: Collection[Grant]) -> None:
    """Have the teams of who gave these grants stay as they are until the transaction ends."""
    people = [pk for one in given for pk in (one.proposed_by_id, one.confirmed_by_id) if pk]
    hold_scopes(people)


@participant
def end(grant: Grant, state: str, why: str) -> None:
    """End a grant that no person ends."""
    Grant.objects.filter(pk=grant.pk).update(state=state, ended_at=ClockTimestamp(), ended_why=why)
    audit.record_many([grant_fact("ended", grant, state=str(state), why=why)])


def grant_fact(kind: str, grant: Grant, by: Any = GATE, **payload: Any) -> audit.Fact:
    """An event about a grant."""
    return audit.Fact(
        kind=f"grant.{kind}",
        actor=by,
        subject_type="grant",
        subject_id=str(grant.pk),
        run_id=None,
        payload={"tool": grant.tool_name, "job": grant.job_slug, **payload},
    )
