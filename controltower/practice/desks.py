"""Desks: whether new cases arrive by themselves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection
from django.db.models import DurationField, ExpressionWrapper, F
from django.db.models.functions import Now

from apps.audit.domain.actors import Actor
from apps.audit.services import record
from apps.catalog import selectors as catalog
from apps.kernel.errors import NotFoundError
from apps.kernel.transactions import command
from controltower.practice.models import Desk


@command
def set_desk(domain_slug: str, is_open: bool, actor: Actor) -> None:
    """Open or close the desk: whether new cases arrive by themselves."""
    changed = Desk.objects.filter(domain_slug=domain_slug).update(
        is_open=is_open, changed_by=actor.text, changed_at=Now(), next_case_at=Now()
    )
    if not changed:
        raise NotFoundError(f"There is no desk “{domain_slug}”.")
    record(
        kind="desk.opened" if is_open else "desk.closed",
        actor=actor,
        subject_type="desk",
        subject_id=domain_slug,
    )


@command
def take_case(domain_slug: str, *, at_once: bool = False) -> int | None:
    """The index of the next case if one is due at an open desk, else ``None``. The row is updated
    under its own guard, so that two desk processes never take the same case."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE runs_desk SET next_index = next_index + 1, next_case_at ="
            " clock_timestamp() + make_interval(secs => 60.0 / greatest(per_minute, 0.01))"
            " WHERE domain_slug = %s AND (%s OR (is_open AND next_case_at <= clock_timestamp()))"
            " RETURNING next_index - 1",
            [domain_slug, at_once],
        )
        row = cursor.fetchone()
    return row[0] if row else None


def ensure_desks(domain_slugs: Sequence[str]) -> None:
    """A desk for each domain, open with its usual pace; existing ones are left as they are."""
    Desk.objects.bulk_create([Desk(domain_slug=s) for s in domain_slugs], ignore_conflicts=True)


@dataclass(frozen=True, slots=True)
class DeskRow:
    """One desk, and what its switch shows."""

    domain: str
    name: str
    is_open: bool
    per_minute: float
    next_in_s: float
    changed_by: str
    changed_at: datetime | None


def desks(names: dict[str, str]) -> list[DeskRow]:
    """Every desk, by the names of their domains; the next case is due by the database's clock."""
    left = ExpressionWrapper(F("next_case_at") - Now(), output_field=DurationField())
    rows = (
        Desk.objects.annotate(left=left)
        .values_list("domain_slug", "is_open", "per_minute", "left", "changed_by", "changed_at")
        .order_by("domain_slug")
    )
    return [
        DeskRow(slug, names.get(slug, slug), is_open, rate, max(left.total_seconds(), 0), by, at)
        for slug, is_open, rate, left, by, at in rows
    ]


def panel() -> dict[str, Any]:
    """What the home page's panel of the desks shows."""
    names = catalog.domain_names()
    jobless = catalog.domains_without_jobs()
    return {
        "desks": desks(names),
        "domains_without_jobs": jobless,
        "has_any_job": len(jobless) < len(names),
    }
