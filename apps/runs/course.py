"""What a run does once a step has ended: speak, propose the next step, think again, or finish."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any
from uuid import UUID

from django.db import Error as DatabaseError

from apps.calls.domain import keys, limits
from apps.calls.domain.given import last_given
from apps.calls.domain.reply import BAD_RESULT
from apps.calls.domain.script import Move, ToolCall, follow, next_move
from apps.calls.services import hiding
from apps.catalog.domain.contract import Contract
from apps.catalog.selectors import contract as contract_of
from apps.catalog.selectors import pinned as catalog
from apps.evidence.domain.evidence import MAX_ANSWER, PastStep
from apps.kernel import trouble
from apps.kernel.exactjson import check, loads
from apps.kernel.ids import new_id
from apps.kernel.schemas import Schema, compiled
from apps.kernel.statements import fetch, from_json
from apps.policy.domain.effects import MUTATING, Effect
from apps.redaction.domain.hidden import Hidden
from apps.runs.domain.outcome import RunEnd, StepEnd, judge, summary
from apps.runs.domain.result import problem
from apps.runs.domain.rows import GivenResult, MovedRun, NewMessage, NewStep
from apps.runs.domain.states import State
from apps.runs.journal.claiming import UNREADABLE
from apps.runs.models import Run
from apps.runs.work import Carried

logger = logging.getLogger(__name__)
STUCK = "stuck"  # error class of a run that could not go on
TURN = "agent turn"  # what a turn of a live agent has instead of a tool's name


@dataclass(slots=True)
class Course:
    """The rows that carry some runs on."""

    messages: list[NewMessage] = field(default_factory=list)
    steps: list[NewStep] = field(default_factory=list)
    results: list[GivenResult] = field(default_factory=list)  # of runs that end
    runs: dict[UUID, MovedRun] = field(default_factory=dict)


class RunCache:
    """The runs that a worker carries, kept between its commits, so that going on reads nothing.

    Filled when a step is claimed; whoever loses or gives up a run's step drops the run. After a
    failed transaction everything is dropped: what was kept may be ahead of the database."""

    def __init__(self) -> None:
        self._runs: dict[UUID, Carried] = {}
        self.tokens: list[int] = []  # fencing tokens fetched ahead

    def fill(self, run_ids: Iterable[UUID], *, anew: bool = False) -> None:
        """Read the runs that aren't carried yet; all of them when ``anew``. To be called before
        anything of theirs is written in this transaction."""
        wanted = [i for i in set(run_ids) if anew or i not in self._runs]
        if wanted:
            self._runs |= load(wanted)

    def __getitem__(self, run_id: UUID) -> Carried:
        return self._runs[run_id]

    def drop(self, run_ids: Iterable[UUID]) -> None:
        for run_id in run_ids:
            self._runs.pop(run_id, None)

    def clear(self) -> None:
        self._runs.clear()


def load(run_ids: Sequence[UUID]) -> dict[UUID, Carried]:
    """Runs with their script, conversation and past steps, as they stand in the database."""
    ids = list(run_ids)
    scripts = {
        run_id: from_json(items)
        for run_id, items in fetch(
            "SELECT run_id, items FROM runs_runscript WHERE run_id = ANY(%s)", [ids]
        )
    }
    found = {r.id: Carried(r, scripts[r.id]) for r in Run.objects.filter(id__in=ids)}
    for run_id, *message in fetch(
        "SELECT run_id, seq, role, content FROM runs_message WHERE run_id = ANY(%s)"
        " ORDER BY run_id, seq",
        [ids],
    ):
        found[run_id].messages.append(tuple(message))
    for run_id, *step, arguments, answer in fetch(_PAST, [MAX_ANSWER, ids]):
        found[run_id].steps.append(PastStep(*step, from_json(arguments), answer))
    for run_id, hidden in hiding.of_runs(c.run for c in found.values()).items():
        found[run_id].hidden = hidden
    return found


_PAST = """
    SELECT run_id, seq, tool_name, effect, disposition, arguments,
        CASE WHEN length(result->>'content') <= %s THEN result->>'content' END
    FROM runs_step WHERE run_id = ANY(%s) AND kind = 'tool' AND disposition <> ''
    ORDER BY run_id, seq
"""


def advance_runs(carried: Iterable[Carried], *, notes: Mapping[UUID, Sequence[str]]) -> Course:
    """The next stretch of each run; what is carried moves with it. ``notes`` are remarks of the
    tower that go into the conversation first, such as a rejection that a recorded agent can't
    react to."""
    course = Course()
    for one in carried:
        _advance_run(course, one, notes.get(one.run.id, ()))
    return course


def _advance_run(course: Course, carried: Carried, notes: Sequence[str]) -> None:
    """The next stretch of one run. A run whose script nobody can follow, or whose contract nobody
    can read, ends with the reason; only the database's own trouble is everybody's."""
    try:
        _follow(course, carried, notes)
    except DatabaseError:
        raise
    except Exception as error:
        logger.exception("run %s can't go on", carried.run.id)
        end = RunEnd(State.FAILED, "error", STUCK)
        words = f"The run could not go on: {trouble.words(error)}."
        course.runs[carried.run.id] = moved(carried.run, end, words)


def _follow(course: Course, carried: Carried, notes: Sequence[str]) -> None:
    run = carried.run
    contract = contract_of(run.contract_version_id)
    turn = follow(carried.items, run.cursor)
    said = [*(("tower", note) for note in notes), *turn.messages]
    for seq, (role, content) in enumerate(said, start=carried.top + 1):
        course.messages.append(NewMessage(run.id, seq, role, content))
        carried.messages.append((seq, role, content))
    run.cursor = turn.cursor
    live = run.agent_kind == "model"
    reached = limits.reached(
        contract.limits,
        steps=run.steps_total,
        tokens=run.tokens_in + run.tokens_out,
        cost_microusd=run.cost_microusd,
        live=live,
    )
    move = next_move(turn, live=live, limit=reached)
    if move is Move.STOP:
        end = RunEnd(State.FAILED, "limit_reached", reached)
        course.runs[run.id] = moved(run, end, f"Stopped: {limits.LIMIT_WORDS[reached]}.")
    elif turn.call:
        course.steps.append(_tool_step(carried, turn.call, contract))
        course.runs[run.id] = _going(run)
    elif move is Move.THINK:
        course.steps.append(_agent_step(run, carried.top))
        course.runs[run.id] = _going(run)
    else:
        _end(course, carried, contract, said=turn.summary)


def _end(course: Course, carried: Carried, contract: Contract, *, said: str) -> None:
    """The agent is done: what its run has come to, and what it gives back."""
    run, hand_over = carried.run, contract.outcome.hand_over
    ends = [StepEnd(s.tool, s.effect, s.disposition) for s in carried.steps]
    end = judged(ends, contract, answered=carried.top > 0)
    output, given = output_of(run.contract_version_id), last_given(carried.items[: run.cursor])
    wrong = problem(output, given, end=end, hidden=carried.hidden) if output else ""
    if wrong:
        end = RunEnd(State.FAILED, "not_resolved", BAD_RESULT)
        wrong = f"The result doesn't fit the contract's output: {wrong}"
    elif output and given and end.state is State.SUCCEEDED:
        course.results.append(GivenResult(run.id, given.value))
    told = summary(end, ends, said, hand_over=hand_over, why=wrong)
    course.runs[run.id] = moved(run, end, told)


def judged(ends: Sequence[StepEnd], contract: Contract, *, answered: bool) -> RunEnd:
    """What a run that ends now has come to, whatever its result is."""
    outcome = contract.outcome
    return judge(
        ends,
        wanted_tools=outcome.when_any_of,
        answered=answered,
        hand_over=outcome.hand_over,
    )


@lru_cache(maxsize=1024)
def output_of(contract_version_id: int) -> Schema | None:
    """What the results of a contract's runs must fit; ``None`` when it doesn't say."""
    output = contract_of(contract_version_id).output
    return compiled(output) if output else None


def _tool_step(carried: Carried, call: ToolCall, contract: Contract) -> NewStep:
    run = carried.run
    tool = trouble.storable(call.tool)
    version = catalog.tool_versions(run.contract_version_id).get(tool)
    arguments, arguments_digest, unreadable = _proposed(call, carried.hidden)
    effect = (
        version.effect if version else Effect.WRITE.value
    )  # a tool that nobody knows is not harmless
    mutates = effect in MUTATING
    step_id = new_id()
    listed = contract.tool(tool)
    own_step = step_id if listed is not None and listed.repeatable else None
    return NewStep(
        id=step_id,
        run_id=run.id,
        seq=run.steps_total + 1,
        after_message=carried.top,
        kind="tool",
        tool_version_id=version.pk if version else None,
        tool_name=tool[:80],
        effect=effect,
        idempotency=version.idempotency if version else "none",
        arguments=arguments,
        arguments_digest=arguments_digest,
        idempotency_key=keys.change_key(
            run.root_id or run.id, tool, arguments_digest, own_step=own_step
        )
        if mutates
        else "",
        ref=trouble.storable(call.ref[:40]),
        lane=run.lane,
        priority=run.priority,
        error_class=UNREADABLE if unreadable else "",
        error=unreadable,
    )


def _proposed(call: ToolCall, hidden: Hidden | None) -> tuple[dict[str, Any], str, str]:
    """The arguments that were proposed, their digest, and why nobody can carry them out: what can't
    be kept exactly is kept as text, for people to see."""
    try:
        arguments = _object(call.arguments)
        return arguments, keys.arguments_digest(arguments, hidden), ""
    except Exception as error:  # whatever is wrong is the proposal's, and is told with it
        shown = {"unreadable": trouble.excerpt(call.arguments)}
        words = f"The arguments can't be read: {trouble.words(error)}."
        return shown, keys.arguments_digest(shown), words


def _object(arguments: Any) -> dict[str, Any]:
    if isinstance(arguments, Mapping):
        return dict(check(arguments))
    if isinstance(arguments, str):
        loads(arguments)  # a model's own text: what is wrong with it is said by name and place
    raise TypeError("they are not an object of names and values")


def _agent_step(run: Run, top: int) -> NewStep:
    return NewStep(
        id=new_id(),
        run_id=run.id,
        seq=run.steps_total + 1,
        after_message=top,
        kind="agent",
        tool_version_id=None,
        tool_name=TURN,
        effect=Effect.READ.value,
        idempotency="keyed",
        arguments={},
        arguments_digest=keys.arguments_digest({}),
        idempotency_key="",
        lane=run.lane,
        priority=run.priority,
    )


def _going(run: Run) -> MovedRun:
    state = "queued" if run.state == State.ACCEPTED else run.state
    run.steps_total += 1
    return MovedRun(
        run.id, state, run.outcome, run.error_class, run.summary, run.steps_total, run.cursor
    )


def moved(run: Run, end: RunEnd, summary: str) -> MovedRun:
    """The run as it stands now."""
    state = end.state.value
    return MovedRun(
        run.id, state, end.outcome, end.error_class, summary, run.steps_total, run.cursor
    )
