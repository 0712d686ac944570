"""What lies hidden of a run; never a value."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from apps.redaction.domain.tokens import label_in
from apps.redaction.models import HiddenValue

MOST = 500


@dataclass(frozen=True, slots=True)
class HiddenRow:
    token: str
    label: str
    since: datetime


def of_run(root_id: UUID) -> list[HiddenRow]:
    """The first ``MOST`` tokens of a run and its branches, by name and age."""
    found = HiddenValue.objects.filter(root_id=root_id).order_by("pk")[:MOST]
    rows = [HiddenRow(row.token, label_in(row.token), row.created_at) for row in found]
    return sorted(rows, key=lambda row: row.label)
