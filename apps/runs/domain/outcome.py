"""How a run ended, judged by its contract and by what its steps really did."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from apps.policy.domain.effects import MUTATING, Effect
from apps.runs.domain.results import DONE, UNDONE, Disposition, RunOutcome
from apps.runs.domain.states import State


@dataclass(frozen=True, slots=True)
class StepEnd:
    tool: str
    effect: str
    disposition: str
    error_class: str = ""


@dataclass(frozen=True, slots=True)
class RunEnd:
    state: State
    outcome: str
    error_class: str


_OUTCOME_OF = {
    Disposition.UNKNOWN: RunOutcome.UNKNOWN,
    Disposition.DENIED: RunOutcome.DENIED,
    Disposition.REJECTED: RunOutcome.REJECTED,
    Disposition.EXPIRED: RunOutcome.APPROVAL_EXPIRED,
    Disposition.REFUSED_BY_TOOL: RunOutcome.TOOL_REFUSED,
    Disposition.FAILED: RunOutcome.ERROR,
}


def judge(
    steps: Sequence[StepEnd],
    *,
    wanted_tools: Sequence[str],
    answered: bool,
    hand_over: Sequence[str] = (),
) -> RunEnd:
    """``resolved`` when a wanted tool was really carried out (or, for a job that wants none, when
    the customer was answered). Otherwise the gravest thing that kept it from that; where nothing
    did, and a tool by which the contract lets the agent give the case to a person was really
    carried out, ``handed_over``."""
    done = {s.tool for s in steps if s.disposition in DONE}
    if wanted_tools and done & set(wanted_tools):
        return RunEnd(State.SUCCEEDED, RunOutcome.RESOLVED, "")
    for disposition in UNDONE:
        if any(s.disposition == disposition and s.effect != Effect.READ for s in steps):
            outcome = _OUTCOME_OF[disposition]
            return RunEnd(State.FAILED, outcome, outcome)
    if done & set(hand_over):
        return RunEnd(State.SUCCEEDED, RunOutcome.HANDED_OVER, "")
    if not wanted_tools and answered:
        return RunEnd(State.SUCCEEDED, RunOutcome.RESOLVED, "")
    return RunEnd(State.FAILED, RunOutcome.NOT_RESOLVED, RunOutcome.NOT_RESOLVED)


MOST_SAID = 300
_WHY: dict[str, str] = {
    RunOutcome.UNKNOWN: "Nobody knows whether a change was carried out",
    RunOutcome.DENIED: "A change was denied by policy",
    RunOutcome.REJECTED: "A change was rejected by a person",
    RunOutcome.APPROVAL_EXPIRED: "Nobody decided about a change in time",
    RunOutcome.TOOL_REFUSED: "A tool refused a change",
    RunOutcome.ERROR: "A change failed",
    RunOutcome.NOT_RESOLVED: "The agent ended without doing what the job is for",
}


def summary(
    end: RunEnd,
    steps: Sequence[StepEnd],
    said: str,
    *,
    hand_over: Sequence[str] = (),
    why: str = "",
) -> str:
    """What a run's end is told as. The agent's last words are its claim: where the run did not
    reach what its job is for, the reason (``why``, or the usual one) and the changes that really
    were carried out come first, and the words are quoted as unconfirmed."""
    if end.outcome == RunOutcome.HANDED_OVER:
        told = _handed_over(steps, hand_over)
    elif end.state is State.SUCCEEDED:
        return said
    else:
        done = _changed(steps)
        facts = f"Carried out: {done}." if done else "Nothing was changed."
        told = f"{why or _WHY.get(end.outcome, 'The run failed')}. {facts}"
    claim = f" The agent's own words, unconfirmed: “{_short(said)}”" if said.strip() else ""
    return told + claim


def _handed_over(steps: Sequence[StepEnd], hand_over: Sequence[str]) -> str:
    """By which tool a case was given to a person, and what was changed besides. Whether somebody
    has taken it up is not known here, so it isn't said."""
    ways = [s.tool for s in steps if s.disposition in DONE and s.tool in hand_over]
    others = _changed([s for s in steps if s.tool not in hand_over])
    facts = f"Carried out besides: {others}." if others else "Nothing else was changed."
    return f"Handed over to a person by {', '.join(dict.fromkeys(ways))}. {facts}"


def _changed(steps: Sequence[StepEnd]) -> str:
    """The tools whose changes really were carried out, each once."""
    changed = [s.tool for s in steps if s.disposition in DONE and s.effect in MUTATING]
    return ", ".join(dict.fromkeys(changed))


def _short(said: str) -> str:
    words = " ".join(said.split())
    return words if len(words) <= MOST_SAID else f"{words[:MOST_SAID]}…"
