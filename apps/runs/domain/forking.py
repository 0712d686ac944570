"""Branches of a run: what a fork takes over, and whose change meets whose.

A fork goes on from a step of its parent. Everything up to that step is the branch's own past as
well; everything after it belongs to one branch, and the others must not cross it unseen.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any

from apps.evidence.domain.evidence import resource_of
from apps.kernel.exactjson import Number, dumps, same
from apps.runs.domain.results import Disposition
from apps.runs.domain.states import State

INHERITABLE = frozenset(
    {State.SUCCEEDED, State.FAILED}
)  # how a step must have ended to be taken over
ENDED_WITHOUT_EFFECT = frozenset({State.FAILED, State.CANCELLED})
UNDONE = frozenset({State.COMPENSATING, State.COMPENSATED})
RULE = "branch-conflict"


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


def is_under_way(owner: Mapping[str, Any], run_id: Any) -> bool:
    """Whether another branch is carrying out this very mutation: wait for how it ends."""
    ended = {State.SUCCEEDED, *ENDED_WITHOUT_EFFECT, *UNDONE}
    return owner["run_id"] != run_id and owner["state"] not in ended


def may_take_over(owner: Mapping[str, Any], run_id: Any) -> bool:
    """Whether a branch may own what another one failed to do: it certainly did not happen, or the
    tool takes the key, so that asking again can't make it happen twice."""
    ended = owner["run_id"] != run_id and owner["state"] in ENDED_WITHOUT_EFFECT
    return ended and (owner["idempotency"] == "keyed" or not owner["attempts"])


# --- conflicts ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Mutation:
    """A change that some branch owns, in the order in which they took it."""

    step_id: Any
    run_id: Any
    seq: int
    tool: str
    key: str
    arguments: Mapping[str, Any]
    state: str


def subject_of(tool: str, arguments: Mapping[str, Any]) -> tuple[str, str | Number]:
    """What a mutation is about: the thing its arguments name, else whatever its tool changes."""
    return resource_of(arguments) or ("tool", tool)


def conflicts(
    mutations: Sequence[Mutation],
    *,
    run_id: Any,
    inherited: AbstractSet[str],
    tool: str,
    key: str,
    arguments: Mapping[str, Any],
) -> list[Mutation]:
    """Other branches' changes of the same thing that this run hasn't seen: those that came after
    its own last change of it. ``inherited``: the keys that the run took over by receipt. A run
    whose change a person let through has seen what came before it."""
    about = subject_of(tool, arguments)
    same = [m for m in mutations if subject_of(m.tool, m.arguments) == about]
    mine = [i for i, m in enumerate(same) if m.run_id == run_id or m.key in inherited]
    unseen = same[mine[-1] + 1 :] if mine else same
    return [m for m in unseen if m.key != key]


def question(found: Sequence[Mutation], *, tool: str, arguments: Mapping[str, Any]) -> str:
    """What a person is asked about a conflict: what the other branch did and what this one
    wants."""
    last = found[-1]
    name, value = subject_of(tool, arguments)
    thing = f"{name.removesuffix('_id').replace('_', ' ')} {_short(value)}"
    if name == "tool":
        thing = f"what “{value}” changes"
    what = "has changed" if last.state == "succeeded" else "is changing"
    differs = _differences(last.arguments, arguments) if last.tool == tool else f"by “{last.tool}”"
    more = f" ({len(found) - 1} more before it)" if len(found) > 1 else ""
    return (
        f"Another branch of this run {what} {thing} since the two parted: "
        f"step {last.seq} of run {str(last.run_id)[-8:]}{more}, {differs}. "
        "Approve to let this change follow it; reject to leave things as they are."
    )


def _differences(theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> str:
    """Which values differ between two calls of one tool, theirs first."""
    names = [n for n in {**theirs, **ours} if not same(theirs.get(n), ours.get(n))]
    if not names:
        return "by the very same call, which the contract lets happen again"
    shown = [f"{n} {_short(theirs.get(n))} there, {_short(ours.get(n))} here" for n in names[:3]]
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return "with " + "; ".join(shown) + more


def _short(value: Any) -> str:
    """A value of a call in a few characters; what can't be seen is spelled out."""
    text = f"“{value}”" if isinstance(value, str) else dumps(value)
    if not text.isprintable():
        text = json.dumps(value if isinstance(value, str) else text)
    return text if len(text) <= 48 else f"{text[:46]}…"
