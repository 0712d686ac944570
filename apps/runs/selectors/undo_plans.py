"""What undoing a run comes to, read off its steps."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from uuid import UUID

from apps.catalog.selectors import pinned as catalog
from apps.runs.domain import undo
from apps.runs.domain.results import Disposition
from apps.runs.models import Finding, Run, Step


def plan_of(run: Run, *, assume_happened: UUID | None = None) -> undo.UndoPlan:
    """The plan as it stands now; ``assume_happened``: as if this unknown step were an effect."""
    rows = Step.objects.filter(run_id=run.pk, kind="tool").order_by("seq")
    return plan_from(run, rows, _words(run.pk), assume_happened=assume_happened)


def plan_from(
    run: Run,
    rows: Iterable[Step],
    words: Mapping[UUID, str],
    *,
    assume_happened: UUID | None = None,
) -> undo.UndoPlan:
    """As ``plan_of``, from rows that are at hand; ``words``: what people settled about undoings."""
    past = [_past(row, words.get(row.pk, "")) for row in rows if row.kind == "tool"]
    if assume_happened:
        past = [_happened(p) if p.id == assume_happened else p for p in past]
    return undo.plan(past, catalog.undone_by(run.contract_version_id))


def can_begin(run: Run, plan: undo.UndoPlan) -> bool:
    """Whether the undoing of this run can be begun now."""
    return undo.can_begin(plan, run.state, run.error_class)


def is_undoing(run: Run) -> bool:
    """Whether the run's undoing has begun and isn't over, under way or waiting for a person."""
    return undo.is_undoing(run.state, run.error_class)


def tool_of(run: Run, name: str) -> Any:
    """The version of a tool that the run's contract pins; ``None`` for one that nobody knows."""
    return catalog.tool_versions(run.contract_version_id).get(name)


def title_of(run: Run, name: str) -> str:
    """What a tool does, in a few words."""
    version = tool_of(run, name)
    return str((version.document.get("title") if version else "") or name)


def _words(run_id: UUID) -> dict[UUID, str]:
    """What a person settled last about each undoing of the run."""
    rows = Finding.objects.filter(run_id=run_id, settled=True, step__compensates_id__isnull=False)
    return dict(rows.order_by("at", "id").values_list("step_id", "word"))


def _past(row: Step, word: str) -> undo.Past:
    return undo.Past(
        id=row.pk,
        seq=row.seq,
        tool=row.tool_name,
        effect=row.effect,
        state=row.state,
        disposition=row.disposition,
        undoes=row.compensates_id,
        arguments=row.arguments,
        result=row.result,
        preview=row.preview,
        facts=row.facts,
        word=word,
    )


def _happened(past: undo.Past) -> undo.Past:
    return undo.Past(
        id=past.id,
        seq=past.seq,
        tool=past.tool,
        effect=past.effect,
        state="succeeded",
        disposition=Disposition.EXECUTED,
        arguments=past.arguments,
        preview=past.preview,
        facts=past.facts,
    )
