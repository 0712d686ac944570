"""Grants: those that count, those that people see, and what one would have covered."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from django.db.models import Exists, F, OuterRef, Q, QuerySet
from django.db.models.functions import Now

from apps.oversight.domain.grants import CoverableCall, GrantBounds, misses
from apps.oversight.models import Approval, Grant, GrantUse

State = Grant.State
COUNTS = (State.ACTIVE, State.USED)  # whose uses may still be carried out
PEOPLE = ("proposed_by", "confirmed_by", "ended_by")
PAGE = 50
LOOKED_AT = 500  # requests of the last days that a proposal is tried on
LATELY = timedelta(days=7)
SHOWN = 20


def usable(tools: Collection[str]) -> list[Grant]:
    """Grants that may cover a call of one of these tools now, the oldest first. One query by a
    partial index, which is empty where no grant is active."""
    rows = Grant.objects.filter(state=State.ACTIVE, tool_name__in=tools, ends_at__gt=Now())
    return list(rows.filter(used__lt=F("most_uses")).order_by("proposed_at", "pk"))


def use_of(approval: Approval) -> GrantUse | None:
    """The use of a grant that answered it, if one did; with the grant and its people."""
    rows = GrantUse.objects.filter(approval=approval)
    return rows.select_related(*(f"grant__{name}" for name in PEOPLE)).first()


def uses_of(approval_ids: Collection[UUID]) -> dict[UUID, GrantUse]:
    """Which of these answers are uses of a grant; likewise."""
    rows = GrantUse.objects.filter(approval__in=approval_ids)
    found = rows.select_related("grant__proposed_by", "grant__confirmed_by")
    return {use.approval_id: use for use in found}


def asked_of_people() -> QuerySet[Approval]:
    """Questions but those that a grant answered: nobody looked at these, so they are none of
    people's decisions."""
    is_used = Exists(GrantUse.objects.filter(approval=OuterRef("pk")))
    answered = ("granted", "approved", "void")  # not one that was taken back, and waits again
    return Approval.objects.exclude(is_used, decided_by=None, state__in=answered)


def one(grant_id: UUID) -> Grant | None:
    """A grant with its people."""
    return Grant.objects.select_related(*PEOPLE, "source").filter(pk=grant_id).first()


def waiting() -> QuerySet[Grant]:
    """Proposals that a second person can still confirm, the oldest first."""
    rows = Grant.objects.filter(state=State.PROPOSED, lapses_at__gt=Now())
    return rows.select_related(*PEOPLE).order_by("proposed_at")


def active() -> QuerySet[Grant]:
    """Grants that can be used now, the one that ends first before others."""
    rows = Grant.objects.filter(state=State.ACTIVE, ends_at__gt=Now())
    return rows.select_related(*PEOPLE).order_by("ends_at")


def ended() -> list[Grant]:
    """The others, the latest first."""
    is_open = Q(state=State.PROPOSED, lapses_at__gt=Now()) | Q(
        state=State.ACTIVE, ends_at__gt=Now()
    )
    rows = Grant.objects.exclude(is_open).select_related(*PEOPLE)
    return list(rows.order_by("-proposed_at")[:PAGE])


def last_uses(grant: Grant) -> list[GrantUse]:
    """Its uses with what was asked, the latest first."""
    rows = grant.uses.select_related("approval").order_by("-number")
    return list(rows)


def refused_lately(within: timedelta = timedelta(days=1)) -> list[Grant]:
    """Grants that were refused since nobody had signed them as they stood, the latest first."""
    rows = Grant.objects.filter(state=State.REFUSED, ended_at__gte=Now() - within)
    return list(rows.order_by("-ended_at")[:SHOWN])


@dataclass(frozen=True, slots=True)
class Tried:
    """What a grant would make of requests: those it would cover, and those that it misses by one
    thing, each with which. ``more``: not all were looked at."""

    covered: Sequence[Approval]
    nearly: Sequence[tuple[Approval, str]]
    looked_at: int
    more: bool


def try_on_waiting(bounds: GrantBounds, source: Approval) -> Tried:
    """Of the requests that wait with the same tool."""
    rows = Approval.objects.filter(state=Approval.State.PENDING, tool_name=source.tool_name)
    return _tried(bounds, source, rows.order_by("-created_at"), with_pins=True)


def try_on_past(bounds: GrantBounds, source: Approval) -> Tried:
    """Of those that people answered in the last days, had versions and agent been the same."""
    rows = Approval.objects.filter(
        tool_name=source.tool_name,
        state__in=[Approval.State.APPROVED, Approval.State.REJECTED],
        decided_at__gt=Now() - LATELY,
    )
    return _tried(bounds, source, rows.order_by("-decided_at"), with_pins=False)


def _tried(
    bounds: GrantBounds, source: Approval, rows: QuerySet[Approval], *, with_pins: bool
) -> Tried:
    rows = rows.filter(domain_slug=source.domain_slug).exclude(pk=source.pk)
    found = list(rows[: LOOKED_AT + 1])
    covered: list[Approval] = []
    nearly: list[tuple[Approval, str]] = []
    for row in found[:LOOKED_AT]:
        missed = misses(bounds, CoverableCall.of(row), with_pins=with_pins)
        if not missed:
            covered.append(row)
        elif len(missed) == 1 and missed[0].what != "never":
            nearly.append((row, missed[0].words))
    return Tried(covered, nearly, min(len(found), LOOKED_AT), len(found) > LOOKED_AT)
