"""What a run gives back, and whether it is what its contract promises.

An agent gives a result by a script's entry ``{"result": value}``; the last one before the end
counts, and none at all is the empty object. A run that would have succeeded does so only if that
fits the contract's ``output``. What fits is kept as the agent's claim: its shape was checked,
nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from apps.kernel.exactjson import NotCarriedError, check, dumps
from apps.kernel.schemas import Schema, shown
from apps.redaction.domain.hidden import Hidden
from apps.runs.domain.outcome import RunEnd
from apps.runs.domain.results import RunOutcome
from apps.runs.domain.states import State

MOST_RESULT = 100_000  # characters of a result as JSON
_NONE: Mapping[str, Any] = {}


@dataclass(frozen=True, slots=True)
class Given:
    """A result as an agent gave it: nothing has been checked."""

    value: Any


def last_given(items: Sequence[Mapping[str, Any]]) -> Given | None:
    """The last result among the entries of a script; ``None`` when none was given."""
    return next((Given(item["result"]) for item in reversed(items) if "result" in item), None)


def problem(
    output: Schema, given: Given | None, *, end: RunEnd, hidden: Hidden | None = None
) -> str:
    """Why a run may not end like this: in what its result differs from the contract's ``output``,
    with the field's name. Empty when it fits, or when the run has not succeeded anyway; one that
    was handed over to a person owes no result. Never raises and takes bounded time."""
    handed_over = end.outcome == RunOutcome.HANDED_OVER
    if end.state is not State.SUCCEEDED or (given is None and handed_over):
        return ""
    if given is None:
        wrong = misfit(output, _NONE)
        return f"no result was given, and an empty one doesn't fit: {wrong}" if wrong else ""
    if hidden is None:
        return misfit(output, given.value)
    hidden.learn(given.value)
    return hidden.message(misfit(output, hidden.meant(given.value)))


def misfit(output: Schema, value: Any) -> str:
    """In what a value differs from the schema, as a sentence with the field; empty if it fits."""
    try:
        kept = check(value)
    except NotCarriedError as error:
        return shown(f"the result can't be kept: {error}")
    size = len(dumps(kept))
    if size > MOST_RESULT:
        return f"the result has {size:,} characters; {MOST_RESULT:,} are the most"
    if not output.misfit(kept):
        return ""
    errors = output.misfits(kept, most=1)
    path = [*errors[0].absolute_path] if errors else []
    words = errors[0].message if errors else "it does not fit"
    return shown(f"{'.'.join(['result', *map(str, path)])}: {words}")
