"""Turns of live agents, by the model of the catalog that answered them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from apps.runs.course import TURN
from apps.runs.models import Step

LOOKED_AT = 500
SHOWN = 5


@dataclass(frozen=True, slots=True)
class ModelTurn:
    """``number`` is of the model's version, ``answered_as`` what the provider called itself."""

    run_id: UUID
    seq: int
    at: datetime
    number: str
    answered_as: str


def of_model(slug: str) -> list[ModelTurn]:
    """The latest turns that this model answered, of the last that any did."""
    rows = Step.objects.filter(tool_name=TURN, kind="agent").order_by("-created_at")
    found = []
    for step in rows.only("run_id", "seq", "created_at", "result")[:LOOKED_AT]:
        data = (step.result or {}).get("data") or {}
        named, _, number = str(data.get("catalog_model", "")).rpartition(" v")
        if named == slug:
            answered_as = str(data.get("model", ""))
            found.append(ModelTurn(step.run_id, step.seq, step.created_at, number, answered_as))
    return found[:SHOWN]
