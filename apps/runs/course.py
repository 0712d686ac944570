"""What a run does once a step has ended: speak, propose the next step, think again, or finish."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from django.db.models import Max

from apps.catalog.domain.contract import Contract
from apps.catalog.selectors import contract as contract_of
from apps.catalog.selectors import pinned as catalog
from apps.kernel.canonical import digest
from apps.kernel.ids import new_id
from apps.runs.domain.outcome import RunEnd, StepEnd, judge
from apps.runs.domain.script import Call, Turn, follow
from apps.runs.domain.states import State
from apps.runs.models import Message, Run, RunScript, Step

KEY_PURPOSE = "tower.key.v1"
LIMIT_WORDS = {
    "step_limit": "the contract allows no more steps",
    "token_limit": "the contract allows no more tokens",
    "cost_limit": "the contract allows no more cost",
}
ARGUMENTS_PURPOSE = "tower.arguments.v1"


@dataclass(slots=True)
class Course:
    """The rows that carry some runs on."""

    messages: list[dict[str, Any]] = field(default_factory=list)
    scripts: list[dict[str, Any]] = field(default_factory=list)
    steps: list[dict[str, Any]] = field(default_factory=list)
    runs: dict[UUID, dict[str, Any]] = field(default_factory=dict)


def plot(runs: Sequence[Run], *, notes: dict[UUID, list[str]]) -> Course:
    """The next stretch of each run. ``notes`` are remarks of the tower that go into the
    conversation first, such as a rejection that a recorded agent can't react to."""
    ids = [r.id for r in runs]
    scripts = {s.run_id: s for s in RunScript.objects.filter(run_id__in=ids)}
    tops = dict(
        Message.objects.filter(run_id__in=ids)
        .values_list("run_id")
        .annotate(top=Max("seq"))
        .values_list("run_id", "top")
    )
    ends = _step_ends(ids)
    course = Course()
    for run in runs:
        _plot_one(course, run, scripts[run.id], tops.get(run.id, 0), notes, ends[run.id])
    return course


def _plot_one(
    course: Course,
    run: Run,
    script: RunScript,
    top: int,
    notes: dict[UUID, list[str]],
    ends: list[StepEnd],
) -> None:
    contract = contract_of(run.contract_version_id)
    turn = follow(script.items, script.cursor)
    said = [("tower", note) for note in notes.get(run.id, ())] + list(turn.messages)
    for seq, (role, content) in enumerate(said, start=top + 1):
        course.messages.append({"run_id": run.id, "seq": seq, "role": role, "content": content})
    top += len(said)
    course.scripts.append({"run_id": run.id, "cursor": turn.cursor, "more": []})
    reached = _limit_reached(run, contract)
    if reached and (turn.call or _thinks(run, turn)):
        end = RunEnd(State.FAILED, "limit_reached", reached)
        course.runs[run.id] = _moved(run, end, f"Stopped: {LIMIT_WORDS[reached]}.")
    elif turn.call:
        course.steps.append(_tool_step(run, turn.call, top, contract))
        course.runs[run.id] = _going(run)
    elif _thinks(run, turn):
        course.steps.append(_agent_step(run, top))
        course.runs[run.id] = _going(run)
    else:
        answered = any(role == "agent" for role, _ in said) or top > 0
        end = judge(ends, wanted_tools=contract.outcome.when_any_of, answered=answered)
        course.runs[run.id] = _moved(run, end, turn.summary)


def _limit_reached(run: Run, contract: Contract) -> str:
    """The contract's limit that stops this run, if one does. Tokens and cost bound a live model;
    what a recording says about them is history."""
    limits = contract.limits
    if run.steps_total >= limits.steps:
        return "step_limit"
    if run.agent_kind != "model":
        return ""
    if run.tokens_in + run.tokens_out >= limits.tokens:
        return "token_limit"
    return "cost_limit" if (run.cost_microusd or 0) >= limits.cost_usd * 1_000_000 else ""


def _thinks(run: Run, turn: Turn) -> bool:
    return run.agent_kind == "model" and not turn.done and turn.call is None


def _step_ends(ids: Sequence[UUID]) -> dict[UUID, list[StepEnd]]:
    found: dict[UUID, list[StepEnd]] = defaultdict(list)
    rows = Step.objects.filter(run_id__in=ids, kind="tool").exclude(disposition="")
    columns = ("run_id", "tool_name", "effect", "disposition", "error_class")
    for run_id, *rest in rows.order_by("seq").values_list(*columns):
        found[run_id].append(StepEnd(*rest))
    return found


def _tool_step(run: Run, call: Call, top: int, contract: Contract) -> dict[str, Any]:
    version = catalog.tool_versions(run.contract_version_id).get(call.tool)
    arguments = dict(call.arguments)
    arguments_digest = digest(arguments, purpose=ARGUMENTS_PURPOSE)
    effect = version.effect if version else "write"  # a tool that nobody knows is not harmless
    mutates = effect in {"write", "irreversible"}
    step_id = new_id()
    bound = {"run": str(run.root_id or run.id), "tool": call.tool, "arguments": arguments_digest}
    listed = contract.tool(call.tool)
    if listed is not None and listed.repeatable:
        bound["step"] = str(step_id)
    return {
        "id": step_id,
        "run_id": run.id,
        "seq": run.steps_total + 1,
        "after_message": top,
        "kind": "tool",
        "tool_version_id": version.pk if version else None,
        "tool_name": call.tool[:80],
        "effect": effect,
        "idempotency": version.idempotency if version else "none",
        "arguments": arguments,
        "arguments_digest": arguments_digest,
        "idempotency_key": digest(bound, purpose=KEY_PURPOSE) if mutates else "",
        "script_ref": call.ref,
        "lane": run.lane,
        "priority": run.priority,
    }


def _agent_step(run: Run, top: int) -> dict[str, Any]:
    return {
        "id": new_id(),
        "run_id": run.id,
        "seq": run.steps_total + 1,
        "after_message": top,
        "kind": "agent",
        "tool_version_id": None,
        "tool_name": "agent turn",
        "effect": "read",
        "idempotency": "keyed",
        "arguments": {},
        "arguments_digest": digest({}, purpose=ARGUMENTS_PURPOSE),
        "idempotency_key": "",
        "script_ref": "",
        "lane": run.lane,
        "priority": run.priority,
    }


def _going(run: Run) -> dict[str, Any]:
    state = "queued" if run.state == State.ACCEPTED else run.state
    return run_row(run, state=state, steps_total=run.steps_total + 1)


def _moved(run: Run, end: RunEnd, summary: str) -> dict[str, Any]:
    return run_row(
        run,
        state=end.state.value,
        outcome=end.outcome,
        error_class=end.error_class,
        summary=summary,
    )


def run_row(run: Run, **changes: Any) -> dict[str, Any]:
    """A row for ``journal.update_runs``: the run as it is, with ``changes``."""
    row: dict[str, Any] = {
        "run_id": run.id,
        "state": run.state,
        "outcome": run.outcome,
        "error_class": run.error_class,
        "summary": run.summary,
        "steps_total": run.steps_total,
        "has_violation": False,
        "degraded": False,
        "tokens_in": 0,
        "tokens_out": 0,
        "cost_microusd": None,
    }
    return row | changes
