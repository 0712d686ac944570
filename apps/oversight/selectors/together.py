"""Requests that can be decided in one table, and the tables that people were given."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db.models import Q, QuerySet
from django.db.models.fields.json import KeyTransform
from django.db.models.functions import JSONObject, Now

from apps.accounts.models import User
from apps.oversight.domain.reading import MEDIUM
from apps.oversight.domain.together import BOUND, MOST, kind_of
from apps.oversight.models import Approval, Reading, Table, TableRow, Vote

TABLE_NONCE = re.compile(r"[0-9a-f]{32}")  # of a vote from a table: its id
# Results of rows whose answer counted, be it that it was taken back, or too late for that.
ANSWERED = ("granted", "approved", "rejected", "pending", "undone", "late")
LOOKED_AT = 200  # requests about the same tool that are compared with one
BOUND_TO = JSONObject(**{name: KeyTransform(name, "binding") for name in BOUND})


def alike(approval: Approval) -> list[Approval]:
    """The request, and those that wait with the same tool, contract, policy, rules and people, the
    one that is due first before others; at most as many as a table holds. None where it can't be
    decided in one."""
    if approval.state != Approval.State.PENDING or approval.risk > MEDIUM:
        return []
    wanted = _kind(approval.bound_to, approval)
    rows = _candidates(approval).order_by("expires_at", "pk").annotate(bound=BOUND_TO)
    # Whole ones are read of those that stand in the table: what was asked may be long.
    looked_at = rows.only("rules", "roles")[:LOOKED_AT]
    alike = [row.pk for row in looked_at if _kind(row.bound, row) == wanted][: MOST - 1]
    found = Approval.objects.select_related("claimed_by").in_bulk(alike)
    return [approval, *(found[pk] for pk in alike if pk in found)]


def has_alike(approval: Approval) -> bool:
    """Whether others wait that may be decided with it, as far as one look tells."""
    return approval.risk <= MEDIUM and _candidates(approval).exists()


def _candidates(approval: Approval) -> QuerySet[Approval]:
    in_time = Q(expires_at__gt=Now()) | Q(ends_at__gt=Now())
    return Approval.objects.filter(
        in_time,
        state=Approval.State.PENDING,
        risk__lte=MEDIUM,
        domain_slug=approval.domain_slug,
        job_slug=approval.job_slug,
        contract_number=approval.contract_number,
        tool_name=approval.tool_name,
        votes_required=approval.votes_required,
    ).exclude(pk=approval.pk)


def _kind(bound: Mapping[str, Any], row: Approval) -> tuple[object, ...]:
    known = {name: value for name, value in bound.items() if value is not None}
    return (*kind_of(known, row.rules), frozenset(row.asked_roles))


@dataclass(frozen=True, slots=True)
class TableLine:
    """One row of a table: what was asked, how it stands now, and which parts of it were seen."""

    row: TableRow
    approval: Approval
    seen: Reading | None

    @property
    def is_open(self) -> bool:
        """Whether it can still be chosen here."""
        return not self.row.singly and self.approval.state == Approval.State.PENDING


def answered_with(votes: Iterable[Vote]) -> int:
    """How many requests were answered in the table that the last of these votes from one comes
    from, this one among them; 0 where each was given on a sheet. No query then."""
    ids = [UUID(vote.nonce) for vote in votes if TABLE_NONCE.fullmatch(vote.nonce)]
    rows = TableRow.objects.filter(table__in=ids[-1:], result__in=ANSWERED)
    return rows.count() if ids else 0


def table_of(table_id: UUID, user: User) -> Table | None:
    """A table that this person was given; nothing for anybody else's."""
    return Table.objects.select_related("user").filter(pk=table_id, user=user).first()


def lines_of(table: Table) -> list[TableLine]:
    """The rows of a table in its order. Two queries."""
    rows = table.rows.select_related("approval__claimed_by", "approval__decided_by")
    found = Reading.objects.filter(user=table.user, approval__in=rows.values("approval"))
    seen = {(reading.approval_id, reading.digest): reading for reading in found}
    return [TableLine(row, row.approval, seen.get((row.approval_id, row.digest))) for row in rows]
