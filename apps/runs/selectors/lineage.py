"""Branches: where a run comes from, what came of it, and what a fork would take over."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Q

from apps.kernel.errors import NotFoundError
from apps.policy.domain.effects import MUTATING, Effect
from apps.runs.domain.forking import ENDED_WITHOUT_EFFECT, Cut, Mark, cut, obstacle
from apps.runs.domain.results import Disposition
from apps.runs.domain.script import items_of
from apps.runs.models import Message, Run, RunScript, Step

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


def members(run: Run) -> list[UUID]:
    """The ids of all runs of a lineage."""
    root = run.root_id or run.id
    return list(Run.objects.filter(Q(pk=root) | Q(root_id=root)).values_list("pk", flat=True))


@dataclass(frozen=True, slots=True)
class Origin:
    """The step of another run that an inherited step stands for."""

    run_id: UUID
    seq: int


def origins(steps: Iterable[Step]) -> dict[UUID, Origin]:
    """Where inherited steps come from: id of the original → its run and number."""
    wanted = [s.inherited_from for s in steps if s.inherited_from]
    if not wanted:
        return {}
    rows = Step.objects.filter(pk__in=wanted).values_list("id", "run_id", "seq")
    return {step_id: Origin(run_id, seq) for step_id, run_id, seq in rows}


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


# --- what a fork would do -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Proposal:
    """A call that a branch is going to propose. ``done_in``: the run of the lineage that has done
    it already, so that the branch inherits it by receipt; ``was_undone``: it was undone since, so
    that the branch neither inherits nor repeats it."""

    tool: str
    arguments: Mapping[str, Any]
    done_in: UUID | None
    was_undone: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
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


def plan(run_id: UUID, after_seq: int) -> Plan:
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
        Mark(
            s.seq,
            s.kind,
            "compensated" if s.idempotency_key in undone else s.state,
            sum(seq <= s.after_message for seq in spoken),
        )
        for s in steps
    ]
    return Plan(
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


def proposals(found: Plan, *, limit: int = 20) -> list[Proposal]:
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
