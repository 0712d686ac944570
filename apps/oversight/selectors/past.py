"""What was decided before: the same request, and those most like it. Each look is bounded and goes
by an index, however many were decided."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db.models import Case, F, Func, IntegerField, Q, QuerySet, When
from django.db.models.functions import Coalesce

from apps.kernel.models import JSONField
from apps.oversight.domain import repeats, similarity
from apps.oversight.domain.binding import Grounds
from apps.oversight.domain.showing import places
from apps.oversight.domain.similarity import PastTraits, Traits
from apps.oversight.models import CALL, CHANGES, Approval
from apps.oversight.registry import outcomes_of
from apps.oversight.selectors import SETTLED

MOST_REPEATS = 20
MOST_SIMILAR = 5
LATEST = 200  # decisions about the same tool that are compared
OF_CUSTOMER = 50  # and about the same customer
COMPARED_BYTES = 8_192  # of arguments, as they are stored
COMPARED_VALUES = 200
TOLD = (Approval.State.PENDING, Approval.State.GRANTED, *SETTLED)
SHOWN = (
    "run_id",
    "step_id",
    "state",
    "sentence",
    "amount_cents",
    "agent_label",
    "created_at",
    "decided_at",
    "decided_by",
    "reason",
    "consumed_at",
    "not_before",
)


@dataclass(frozen=True, slots=True)
class Repeats:
    """Other requests for the same, the latest first: all of them, unless there are ``more``."""

    rows: Sequence[Approval]
    more: bool

    @property
    def marks(self) -> frozenset[str]:
        """Which they are and how each stands."""
        return frozenset(repeats.mark(row.pk, row.state) for row in self.rows)

    @property
    def told(self) -> str:
        """What became of them, as the end of a sentence."""
        return repeats.told([row.state for row in self.rows])


@dataclass(frozen=True, slots=True)
class FoundBy:
    """What a request is found again by: its call, and what its preview changes, digested."""

    call: str | None
    changes: str | None

    @property
    def keys(self) -> list[str]:
        return sorted(key for key in (self.call, self.changes) if key)


def effect_of(approval: Approval) -> FoundBy:
    """Digested by the database, which compares them."""
    call, changes = Approval.objects.values_list(CALL, CHANGES).get(pk=approval.pk)
    return FoundBy(call, changes if repeats.tells_changes(approval.preview) else None)


def repeats_of(approval: Approval, effect: FoundBy | None = None) -> Repeats:
    """Other requests for the same effect on the same object that wait or were decided, of whichever
    run. Earlier questions about the same step are none: their rule says why it is asked again."""
    effect = effect or effect_of(approval)
    if not effect.keys:
        return Repeats((), more=False)
    rows = Approval.objects.alias(call=CALL, changed=CHANGES).filter(_same(approval, effect))
    rows = rows.filter(state__in=TOLD).exclude(step_id=approval.step_id)
    rows = rows.order_by(Coalesce("decided_at", "created_at").desc(), "pk")
    found = list(_shown(rows)[: MOST_REPEATS + 1])
    return Repeats(_with_outcomes(found[:MOST_REPEATS]), more=len(found) > MOST_REPEATS)


def _same(approval: Approval, effect: FoundBy) -> Q:
    """Each side goes by its own index. That two different calls share a digest can only add one to
    what a person looks at."""
    same = Q()
    if effect.call:
        same |= Q(call=effect.call)
    if effect.changes:
        told = approval.bound_to.get("context")
        where = Q(binding__context=told) if told else ~Q(binding__has_key="context")
        is_whole = ~Q(preview__has_any_keys=["notes", "said"])
        same |= Q(changed=effect.changes, domain_slug=approval.domain_slug) & where & is_whole
    return same


def similar_to(approval: Approval, *, but: Collection[UUID] = ()) -> Sequence[Approval]:
    """The past decisions that are most like this one (``domain.similarity``), of the latest about
    its tool and about its customer; ``but`` are shown elsewhere."""
    # Of people: what a grant answered nobody looked at.
    rows = Approval.objects.filter(
        tool_name=approval.tool_name,
        domain_slug=approval.domain_slug,
        state__in=SETTLED,
        decided_by__isnull=False,
    )
    latest = _traits(rows, LATEST)
    if approval.customer:
        latest |= _traits(rows.filter(customer=approval.customer), OF_CUSTOMER)
    for pk in (approval.pk, *but):
        latest.pop(pk, None)
    wanted = _traits_of(approval.rules, approval.amount_cents, approval.arguments)
    chosen = [p.key for p in similarity.most_like(wanted, latest.values(), most=MOST_SIMILAR)]
    found = {row.pk: row for row in _shown(Approval.objects.filter(pk__in=chosen))}
    return _with_outcomes([found[key] for key in chosen if key in found])


def _traits(rows: QuerySet[Approval], most: int) -> dict[UUID, PastTraits]:
    """Arguments that are long are not even read."""
    size = Func(F("arguments"), function="pg_column_size", output_field=IntegerField())
    short = Case(When(_size__lte=COMPARED_BYTES, then=F("arguments")), output_field=JSONField())
    found = rows.alias(_size=size).annotate(short=short).order_by("-decided_at")
    columns = ("pk", "rules", "amount_cents", "short", "decided_at")
    return {
        pk: PastTraits(pk, _traits_of(rules, cents, arguments), at)
        for pk, rules, cents, arguments, at in found.values_list(*columns)[:most]
    }


def _traits_of(rules: Any, cents: int | None, arguments: Any) -> Traits:
    found = None if arguments is None else places(arguments, most=COMPARED_VALUES)
    return Traits(Grounds.of(rules, {}).rules, cents, found)


def _shown(rows: QuerySet[Approval]) -> QuerySet[Approval]:
    """With what a list shows of them and no more: what was asked may be long."""
    return rows.select_related("decided_by").only(*SHOWN)


def _with_outcomes(rows: Sequence[Approval]) -> Sequence[Approval]:
    """``row.outcome``: what became of the step, as far as some app knows."""
    outcomes = outcomes_of([row.step_id for row in rows])
    for row in rows:
        row.outcome = outcomes.get(row.step_id, "")  # type: ignore[attr-defined]  # for the page
    return rows
