"""Whether a run gives back what its contract promises: one that would have succeeded does so only
if its result fits ``output``; none at all is the empty object. What fits is kept as the agent's
claim: its shape was checked, nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from apps.calls.domain.given import Given, misfit
from apps.kernel.schemas import Schema
from apps.redaction.domain.hidden import Hidden
from apps.runs.domain.outcome import RunEnd
from apps.runs.domain.results import RunOutcome
from apps.runs.domain.states import State

_NONE: Mapping[str, Any] = {}


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
    meant, quoted = hidden.meant(given.value), hidden.mask(given.value)
    return hidden.message(misfit(output, meant, quoted=quoted))
