"""Undoing what a run did: which effects, in which order, with which arguments, and what comes next.

Pure. The plan is read off the run's steps each time: a step that undoes names the one it undoes,
so progress needs no record of its own and nothing can fall out of it. Effects are undone from the
last to the first, one at a time (a saga's backward recovery: Garcia-Molina and Salem, "Sagas",
1987); one that can't be undone is passed over and said, one whose undoing failed stops the rest.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any
from uuid import UUID

from apps.catalog.domain.contract import Compensation
from apps.catalog.domain.undoing import MissingError, read
from apps.kernel.canonical import digest
from apps.kernel.exactjson import loads
from apps.policy.domain.effects import MUTATING
from apps.runs.domain.finding import FindingVerdict
from apps.runs.domain.results import MADE, Disposition, RunOutcome
from apps.runs.domain.states import UNDOABLE, UNSETTLED, State

PLAN_PURPOSE = "tower.undoing.v1"
# Why a run in confirmation_unknown waits for a person: an undoing, not a step of its own.
FAILED, UNKNOWN = "compensation_failed", "compensation_unknown"


@dataclass(frozen=True, slots=True)
class Past:
    """A step of the run, as much of it as undoing needs. ``word`` is what a person said last of
    an undoing that failed: ``happened`` (undone by hand), ``give_up`` (left as it is), or nothing.
    """

    id: UUID
    seq: int
    tool: str
    effect: str
    state: str
    disposition: str
    undoes: UUID | None = None
    arguments: Mapping[str, Any] = field(default_factory=dict)
    result: Mapping[str, Any] | None = None
    preview: Mapping[str, Any] | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    word: str = ""


class Stage(StrEnum):
    """How far one effect's undoing is."""

    TO_DO = "to_do"
    UNDER_WAY = "under_way"
    DONE = "done"
    FAILED = "failed"
    UNKNOWN = "unknown"
    LEFT = "left"
    IMPOSSIBLE = "impossible"


@dataclass(frozen=True, slots=True)
class Item:
    """One effect of the run. ``why_not`` says why it can't be undone; ``by`` is the last step that
    tried to undo it."""

    step: Past
    stage: Stage
    tool: str = ""
    arguments: Mapping[str, Any] = field(default_factory=dict)
    why_not: str = ""
    by: Past | None = None

    @property
    def is_over(self) -> bool:
        return self.stage in {Stage.DONE, Stage.LEFT, Stage.IMPOSSIBLE}


@dataclass(frozen=True, slots=True)
class UndoPlan:
    """All effects of a run, the last first. ``unsettled`` are the numbers of steps of which it is
    not known yet whether they are effects: while there are any, nothing can be undone."""

    items: tuple[Item, ...]
    unsettled: tuple[int, ...] = ()

    @property
    def open(self) -> tuple[Item, ...]:
        """What is still to be undone, in order."""
        return tuple(i for i in self.items if not i.is_over)

    @property
    def kept(self) -> tuple[Item, ...]:
        """What stays as it is."""
        return tuple(i for i in self.items if i.stage in {Stage.LEFT, Stage.IMPOSSIBLE})

    @property
    def next(self) -> Item | None:
        """The effect whose turn it is, however far its undoing is; ``None`` when all is over."""
        return next(iter(self.open), None)

    @property
    def is_under_way(self) -> bool:
        return any(i.by is not None for i in self.items)

    @property
    def digest(self) -> str:
        """What a person agrees to: each effect, what undoes it with which arguments, what stays."""
        lines = [
            [str(i.step.id), i.stage.value, i.tool, i.arguments, i.why_not] for i in self.items
        ]
        return digest([lines, list(self.unsettled)], purpose=PLAN_PURPOSE)


def plan(steps: Iterable[Past], compensations: Mapping[str, Compensation]) -> UndoPlan:
    """What undoing a run comes to. ``compensations``: by tool name, as the run's contract declares
    them. An effect is a change that was really carried out, once: repeats that were answered with
    its receipt are none, nor is what a fork inherited, nor an undoing."""
    steps = sorted(steps, key=lambda s: s.seq)
    tries: defaultdict[UUID, list[Past]] = defaultdict(list)
    for step in steps:
        if step.undoes:
            tries[step.undoes].append(step)
    own = [s for s in steps if not s.undoes and s.effect in MUTATING]
    items = [
        _item(s, tries[s.id], compensations.get(s.tool))
        for s in reversed(own)
        if s.disposition in MADE
    ]
    unsettled = [s.seq for s in own if s.state in UNSETTLED]
    return UndoPlan(tuple(items), tuple(unsettled))


def _item(step: Past, tries: Sequence[Past], declared: Compensation | None) -> Item:
    last = tries[-1] if tries else None
    if last is not None:
        return Item(step, _stage(last), last.tool, last.arguments, by=last)
    if step.disposition == Disposition.INHERITED:
        return Item(
            step, Stage.IMPOSSIBLE, why_not="The run it was forked from did this: undo it there."
        )
    if declared is None:
        return Item(step, Stage.IMPOSSIBLE, why_not="The contract names nothing that undoes it.")
    try:
        arguments = undoing_arguments(step, declared)
    except MissingError as missing:
        why = f"What is needed to undo it isn't known: {missing}."
        return Item(step, Stage.IMPOSSIBLE, declared.tool, why_not=why)
    return Item(step, Stage.TO_DO, declared.tool, arguments)


def _stage(last: Past) -> Stage:
    if last.state == State.SUCCEEDED:
        return Stage.DONE
    if last.state == State.CONFIRMATION_UNKNOWN:
        return Stage.UNKNOWN
    if last.state not in {State.FAILED, State.CANCELLED}:
        return Stage.UNDER_WAY
    by_person = {
        FindingVerdict.HAPPENED.value: Stage.DONE,
        FindingVerdict.GIVE_UP.value: Stage.LEFT,
    }
    return by_person.get(last.word, Stage.FAILED)


def undoing_arguments(step: Past, declared: Compensation) -> dict[str, Any]:
    """The arguments of the call that undoes ``step``, or ``MissingError``."""
    if not declared.arguments:
        if not isinstance(step.arguments, Mapping):
            raise MissingError("its own arguments are no object")
        return dict(step.arguments)
    scope = {
        "arguments": step.arguments,
        "result": answer(step.result),
        "preview": step.preview or {},
        "facts": step.facts,
    }
    return {name: read(scope, path) for name, path in declared.arguments.items()}


def answer(result: Mapping[str, Any] | None) -> Any:
    """What a tool answered, as a value: its structured answer, or its text where that is JSON.
    What is kept in another form is taken as it is."""
    if not result:
        return {}
    if not isinstance(result, Mapping):
        return result
    if result.get("data") is not None:
        return result["data"]
    try:
        return loads(str(result.get("content", "")))
    except ValueError:
        return result.get("content")


def is_undoing(state: str, error_class: str) -> bool:
    """Whether a run's undoing has begun and isn't over, under way or waiting for a person."""
    waits = state == State.CONFIRMATION_UNKNOWN and error_class in {FAILED, UNKNOWN}
    return state == State.COMPENSATING or waits


def can_begin(found: UndoPlan, state: str, error_class: str) -> bool:
    """Whether the undoing of a run in this state can be begun now."""
    free = state in UNDOABLE and not is_undoing(state, error_class) and not found.unsettled
    return free and any(i.stage is Stage.TO_DO for i in found.items)


@dataclass(frozen=True, slots=True)
class UndoEnd:
    """How a run stands whose undoing doesn't go on by itself: over, or waiting for a person."""

    state: State
    outcome: str = ""
    summary: str = ""
    error_class: str = ""


def rest(found: UndoPlan) -> UndoEnd | None:
    """Where the undoing rests; ``None`` while the next effect is to be undone or being undone."""
    if found.next is None:
        return end(found)
    waits = {Stage.FAILED: FAILED, Stage.UNKNOWN: UNKNOWN}.get(found.next.stage)
    return UndoEnd(State.CONFIRMATION_UNKNOWN, error_class=waits) if waits else None


def end(found: UndoPlan) -> UndoEnd:
    """The run's end once nothing is open: ``compensated`` when every effect is undone, else
    ``partly_compensated`` with what stayed."""
    undone, total = sum(i.stage is Stage.DONE for i in found.items), len(found.items)
    said = f"Undone: {undone} of {total} {'effect' if total == 1 else 'effects'}."
    kept = sorted(i.step.seq for i in found.kept)
    if not kept:
        return UndoEnd(State.COMPENSATED, RunOutcome.COMPENSATED, said)
    numbers = ", ".join(str(n) for n in kept)
    word = "step" if len(kept) == 1 else "steps"
    stays = f"{said} Still in place: {word} {numbers}."
    return UndoEnd(State.COMPENSATED, RunOutcome.PARTLY_COMPENSATED, stays)
