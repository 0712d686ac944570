"""Branches of a run: what a fork takes over, and whose change meets whose.

A fork goes on from a step of its parent. Everything up to that step is the branch's own past as
well; everything after it belongs to one branch, and the others must not cross it unseen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from uuid import UUID

from apps.runs.domain.results import Disposition
from apps.runs.domain.rows import Owner
from apps.runs.domain.states import State

INHERITABLE = frozenset(
    {State.SUCCEEDED, State.FAILED}
)  # how a step must have ended to be taken over
ENDED_WITHOUT_EFFECT = frozenset({State.FAILED, State.CANCELLED})
UNDONE = frozenset({State.COMPENSATING, State.COMPENSATED})


# --- the script -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ScriptPosition:
    """A step of the parent as a place in its script: ``said`` counts what agent and customer had
    said when it was proposed."""

    seq: int
    kind: str  # tool | agent
    state: str
    said: int


@dataclass(frozen=True, slots=True)
class Cut:
    """The branch's script and where it goes on."""

    items: tuple[Mapping[str, Any], ...]
    cursor: int

    @property
    def calls(self) -> list[Mapping[str, Any]]:
        """The calls that the branch will propose, as far as its script already says."""
        return [item["call"] for item in self.items[self.cursor :] if "call" in item]


def cut(
    items: Sequence[Mapping[str, Any]],
    marks: Sequence[ScriptPosition],
    after_seq: int,
    *,
    live: bool,
) -> Cut:
    """The script of a branch that goes on after step ``after_seq`` (0: from the beginning).

    A scripted agent goes on with the rest of its script. A live one (``live``) is asked anew: what
    it thought later in the parent is left out; only a turn that is itself taken over keeps what it
    proposed."""
    taken = [m for m in marks if m.seq <= after_seq]
    cursor = _position(items, taken, taken[-1] if taken else None)
    if not live:
        return Cut(tuple(items), cursor)
    end = cursor
    if not taken or taken[-1].kind == "agent":
        later = next((m for m in marks if m.seq > after_seq and m.kind == "agent"), None)
        end = _position(items, [m for m in marks if later and m.seq <= later.seq], later)
        end = end if later else len(items)
    return Cut(tuple(items[: max(end, cursor)]), cursor)


def _position(
    items: Sequence[Mapping[str, Any]], taken: Sequence[ScriptPosition], last: ScriptPosition | None
) -> int:
    """Where the script stood when ``last``, the last of ``taken``, had been proposed: behind its
    call, or, for a turn of an agent, behind everything that was said before it."""
    if last is None:
        return 0
    calls, said = sum(m.kind == "tool" for m in taken), last.said
    for position, item in enumerate(items):
        if calls <= 0 and (last.kind == "tool" or said <= 0):
            return position
        calls -= "call" in item
        said -= "say" in item or "hear" in item
    return len(items)


def obstacle(marks: Sequence[ScriptPosition], after_seq: int) -> str:
    """Why nobody can fork after this step; empty when one can. Only what has ended for good can be
    taken over: a step that is under way, unknown or undone would be one thing here and another
    there."""
    if after_seq < 0 or (after_seq and all(m.seq != after_seq for m in marks)):
        return "This run has no such step."
    for mark in marks:
        if mark.seq > after_seq or mark.state in INHERITABLE:
            continue
        if mark.state in UNDONE:
            return f"Step {mark.seq} has been undone: fork from a step before it."
        words = mark.state.replace("_", " ")
        return f"Step {mark.seq} is {words}: only a step that has ended can be taken over."
    return ""


def taken_over(disposition: str) -> str:
    """What a branch calls a step that it took over. What was done is inherited; what was refused,
    denied, repeated or failed keeps its word, so that nothing counts as done that wasn't."""
    return Disposition.INHERITED if disposition == Disposition.EXECUTED else disposition


# --- owners of a mutation -------------------------------------------------------------------------


class Repeat(StrEnum):
    """What becomes of a change of which it is looked up who owns it."""

    OURS = "ours"  # nobody else does
    AWAITED = "awaited"  # another branch is carrying it out: wait for how it ends
    TAKEN_OVER = "taken_over"  # another branch failed to, and it can't happen twice
    CONFLICT = "conflict"  # it may not be made again, and has no receipt to answer with
    DEDUPLICATED = "deduplicated"  # answered with the receipt of this run's own step
    INHERITED = "inherited"  # answered with that of another branch


def repeat(owner: Owner | None, *, step_id: UUID, run_id: UUID) -> Repeat:
    """What becomes of this step's change. A branch may own what another one failed to do: it
    certainly did not happen, or the tool takes the key, so that asking again can't make it happen
    twice."""
    if owner is None or owner.step_id == step_id:
        return Repeat.OURS
    if owner.run_id == run_id:
        executed = owner.disposition == Disposition.EXECUTED
        return Repeat.DEDUPLICATED if executed else Repeat.CONFLICT
    if owner.state == State.SUCCEEDED:
        return Repeat.INHERITED
    if owner.state in UNDONE:
        return Repeat.CONFLICT
    if owner.state not in ENDED_WITHOUT_EFFECT:
        return Repeat.AWAITED
    harmless = owner.idempotency == "keyed" or not owner.attempts
    return Repeat.TAKEN_OVER if harmless else Repeat.CONFLICT
