"""Branches: which runs are kin, and what a fork would take over."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db.models import Q

from apps.audit import selectors as log
from apps.calls.domain.script import items_of
from apps.kernel.errors import NotFoundError
from apps.runs.domain.forking import Cut, ScriptPosition, cut, obstacle
from apps.runs.models import Message, Run, RunScript, Step


def members(run: Run) -> list[UUID]:
    """The ids of all runs of a lineage."""
    root = run.root_id or run.id
    return list(Run.objects.filter(Q(pk=root) | Q(root_id=root)).values_list("pk", flat=True))


# --- what a fork would do -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ForkPlan:
    """What a fork after step ``after_seq`` takes over and where it goes on. ``upto``: the last
    message that is taken over; ``obstacle``: why it can't be done, if it can't."""

    run: Run
    after_seq: int
    steps: Sequence[Step]
    upto: int
    script: Cut
    obstacle: str

    @property
    def taken(self) -> list[Step]:
        return [s for s in self.steps if s.seq <= self.after_seq]

    @property
    def is_live(self) -> bool:
        return self.run.agent_kind == "model"


def plan(run_id: UUID, after_seq: int) -> ForkPlan:
    """What a fork of this run after this step would be. Raises ``NotFoundError`` for no run."""
    run = Run.objects.select_related("contract_version__job").filter(pk=run_id).first()
    if run is None:
        raise NotFoundError("There is no such run.")
    script = RunScript.objects.filter(pk=run_id).first()
    if script is None:
        raise NotFoundError("The script of this run is gone, so it can't be forked.")
    # What undid a step is no part of the course that an agent took.
    course = Step.objects.filter(run_id=run_id, compensates_id__isnull=True)
    steps = list(course.order_by("seq"))
    said = list(Message.objects.filter(run_id=run_id).order_by("seq").values_list("seq", "role"))
    spoken = [seq for seq, role in said if role != Message.Role.TOWER]
    undone = undone_keys(run)
    marks = [
        ScriptPosition(
            s.seq,
            s.kind,
            "compensated" if s.idempotency_key in undone else s.state,
            sum(seq <= s.after_message for seq in spoken),
        )
        for s in steps
    ]
    return ForkPlan(
        run=run,
        after_seq=after_seq,
        steps=steps,
        upto=_upto(said, next((s for s in steps if s.seq == after_seq), None)),
        script=cut(items_of(script.items), marks, after_seq, live=run.agent_kind == "model"),
        obstacle=obstacle(marks, after_seq),
    )


def undone_keys(run: Run) -> set[str]:
    """The changes of the run's lineage that were undone, or whose undoing has begun, by key: a
    branch that inherited one has a receipt of what is no longer so."""
    undoings = Step.objects.filter(run_id__in=members(run), compensates_id__isnull=False)
    undone = Step.objects.filter(pk__in=undoings.values("compensates_id"))
    return set(undone.exclude(idempotency_key="").values_list("idempotency_key", flat=True))


def _upto(said: Sequence[tuple[int, str]], last: Step | None) -> int:
    """The last message before the branch parts: what was said before the step, and what the tower
    said about it."""
    if last is None:
        return 0
    upto = last.after_message
    for seq, role in said:
        if seq == upto + 1 and role == Message.Role.TOWER:
            upto = seq
    return upto


# What a person had in a run by which events came about; what is undone is asked for last.
_ASKED_FOR = {"run.accepted": "asked for this run", "run.compensating": "asked for this undo"}


def requesters(approval: Any) -> dict[str, str]:
    """People who began the run that an approval is about (a branch of another one, say), or asked
    for what it did to be undone, as parties to the approval."""
    found = log.people_of_run(approval.run_id, tuple(_ASKED_FOR))
    return {name: _ASKED_FOR[kind] for name, kind in found.items()}
