"""Branches as pages show them: where a run comes from, what came of it, and what a branch is
going to propose."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from apps.policy.domain.effects import MUTATING, Effect
from apps.runs.domain.forking import ENDED_WITHOUT_EFFECT
from apps.runs.domain.results import Disposition
from apps.runs.models import Run, Step
from apps.runs.selectors.lineage import ForkPlan, members, undone_keys

BRANCHES_SHOWN = 50


@dataclass(frozen=True, slots=True)
class Lineage:
    """A run among its branches."""

    run: Run
    parent: Run | None
    root: Run | None  # only where it isn't the parent
    branches: Sequence[Run]  # forked from this run, oldest first

    def __bool__(self) -> bool:
        return self.parent is not None or bool(self.branches)


def lineage_of(run: Run) -> Lineage:
    """Parent, root and branches of a run; no query for one that was never forked."""
    if run.root_id is None:
        return Lineage(run, None, None, ())
    family = {r.id: r for r in Run.objects.filter(pk__in={run.parent_id, run.root_id} - {None})}
    parent = family.get(run.parent_id) if run.parent_id else None
    root = family.get(run.root_id) if run.root_id not in {run.id, run.parent_id} else None
    branches = Run.objects.filter(root_id=run.root_id, parent_id=run.id).order_by("created_at")
    return Lineage(run, parent, root, list(branches[:BRANCHES_SHOWN]))


@dataclass(frozen=True, slots=True)
class SourceStep:
    """The step of another run that an inherited step stands for."""

    run_id: UUID
    seq: int


def origins(steps: Iterable[Step]) -> dict[UUID, SourceStep]:
    """Where inherited steps come from: id of the original → its run and number."""
    wanted = [s.inherited_from for s in steps if s.inherited_from]
    if not wanted:
        return {}
    rows = Step.objects.filter(pk__in=wanted).values_list("id", "run_id", "seq")
    return {step_id: SourceStep(run_id, seq) for step_id, run_id, seq in rows}


@dataclass(frozen=True, slots=True)
class Undoing:
    """A step of another branch that undid, or is undoing, what this one inherited."""

    run_id: UUID
    seq: int
    state: str
    at: datetime | None

    @property
    def words(self) -> str:
        """How far it is, as a sentence's part."""
        if self.state == "succeeded":
            return "was undone since"
        unknown = self.state == "confirmation_unknown"
        return "may have been undone since" if unknown else "is being undone"


def undone_since(run: Run, steps: Iterable[Step]) -> dict[UUID, Undoing]:
    """Which of a branch's inherited changes are no longer so: id of its step → what undid it in
    another run of the lineage. No query where nothing was inherited."""
    mine = [s for s in steps if s.inherited_from and s.effect != Effect.READ and s.idempotency_key]
    if not mine:
        return {}
    undoings = Step.objects.filter(run_id__in=members(run), compensates_id__isnull=False)
    found = undoings.exclude(run_id=run.pk).exclude(state__in=ENDED_WITHOUT_EFFECT)
    by_effect = {s.compensates_id: s for s in found.order_by("created_at")}
    effects = Step.objects.filter(pk__in=by_effect).values_list("idempotency_key", "pk")
    by_key = {key: by_effect[pk] for key, pk in effects if key}
    return {
        s.id: Undoing(u.run_id, u.seq, u.state, u.finished_at)
        for s in mine
        if (u := by_key.get(s.idempotency_key))
    }


@dataclass(frozen=True, slots=True)
class Proposal:
    """A call that a branch is going to propose. ``done_in``: the run of the lineage that has done
    it already, so that the branch inherits it by receipt; ``was_undone``: it was undone since, so
    that the branch neither inherits nor repeats it."""

    tool: str
    arguments: Mapping[str, Any]
    done_in: UUID | None
    was_undone: bool = False


def proposals(found: ForkPlan, *, limit: int = 20) -> list[Proposal]:
    """What the branch is going to propose, as far as its script already says."""
    done = list(
        Step.objects.filter(run_id__in=members(found.run), disposition=Disposition.EXECUTED)
        .filter(effect__in=MUTATING, compensates_id__isnull=True)
        .only("tool_name", "arguments", "run_id", "idempotency_key")
    )
    undone = undone_keys(found.run)
    return [_proposal(call, done, undone) for call in found.script.calls[:limit]]


def _proposal(call: Mapping[str, Any], done: Sequence[Step], undone: AbstractSet[str]) -> Proposal:
    tool, arguments = call["tool"], call.get("args") or {}
    for step in done:
        if (step.tool_name, step.arguments) == (tool, arguments):
            return Proposal(tool, arguments, step.run_id, step.idempotency_key in undone)
    return Proposal(tool, arguments, None)


def versions_of(run: Run) -> list[Any]:
    """The published versions of the run's contract, newest first."""
    return list(run.contract_version.job.versions.order_by("-number"))
