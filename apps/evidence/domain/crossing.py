"""Changes of other branches of a run that cross one of this branch.

A fork goes on from a step of its parent. What either does from there on belongs to one branch, and
the others must not cross it unseen.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any

from apps.evidence.domain.evidence import resource_of
from apps.kernel.exactjson import Number, dumps, same

RULE = "branch-conflict"


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
