"""One step's trouble stays one step's trouble: ordinary runs beside it never notice."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

import pytest
from django.db import DataError, connection

from apps.calls.executor import ToolClient
from apps.runs.engine import asking, batch, commit, ending
from apps.runs.engine.drain import Drain
from apps.runs.journal import barriers, breakers
from apps.runs.models import Receipt, Run, RunScript, Step
from tests.engine.conftest import Tower
from tests.engine.odd_tools import ODD, RAISED, Panic, nested
from tests.engine.shop import address, busy_script, call

MOVE, LOOK = "modify_user_address", "get_user_details"
USER = "ada_byron_1"
ENDED = {"succeeded", "failed", "confirmation_unknown"}
Company = Callable[[Sequence[UUID]], None]


def drain(**changes: Any) -> Any:
    values = {"lane": "normal", "seconds": 120, "lease_s": 120, "in_flight": 50, "linger_s": 2}
    return asyncio.run(Drain(**{**values, **changes}).run())


def script(*items: Any) -> list[Any]:
    return [{"hear": "Please."}, *items, {"done": "done"}]


def move(mark: str, how: str = "") -> dict[str, Any]:
    return call(MOVE, 0, **{**address(1), "address1": mark, "address2": how})


@pytest.fixture
def company(tower: Tower) -> Company:
    """Ordinary runs that are accepted with the odd ones: drains once and looks at all of them."""
    beside = tower.start([busy_script(2)] * 12)

    def check(odd: Sequence[UUID]) -> None:
        drain()
        ordinary = Run.objects.filter(id__in=beside)
        assert set(ordinary.values_list("state", "outcome")) == {("succeeded", "resolved")}
        assert set(Run.objects.filter(id__in=odd).values_list("state", flat=True)) <= ENDED
        assert not Step.objects.exclude(lease_token=None).exists()
        bad = Step.objects.filter(run_id__in=odd).exclude(state="succeeded")
        for state, error_class, words in bad.values_list("state", "error_class", "error"):
            assert len(words) > 10, (state, error_class, words)
        for run in Run.objects.filter(id__in=odd, state="failed"):
            assert run.summary or run.outcome in {"denied", "tool_refused", "error"}, run.outcome

    return check


# --- what breaks in our own hands -----------------------------------------------------------------

PLACES = (
    (ending, "overdue"),  # preparing
    (asking, "schema_error"),
    (asking, "tool_document"),
    (asking, "_ask"),  # judging
    (asking, "tool_terms"),  # recording too
    (batch, "_action"),
    (ending, "settled"),  # recording
    (ending, "attempt_row"),
    (ending, "step_fact"),
    (ending, "past"),
)
ERRORS: tuple[BaseException, ...] = (
    KeyError("x"),
    RecursionError("maximum recursion depth exceeded"),
    Panic("called `Option::unwrap()` on a `None` value"),
    DataError("invalid input syntax"),
    MemoryError(),
)


def breaks(where: Any, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a function fail for the work of runs that are marked with its name and an error's."""
    whole = getattr(where, name)
    marks = {f"<{name} {type(error).__name__}>": error for error in ERRORS}

    def broken(*values: Any, **named: Any) -> Any:
        shown = repr(values)
        for mark, error in marks.items():
            if mark in shown:
                raise error
        return whole(*values, **named)

    monkeypatch.setattr(where, name, broken)


def test_whatever_breaks_for_one_step_ends_that_step(
    tower: Tower, company: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    marks = [f"<{name} {type(error).__name__}>" for _, name in PLACES for error in ERRORS]
    runs = tower.start([script(move(m), call(LOOK, 1, user_id=USER)) for m in marks])
    for where, name in PLACES:
        breaks(where, name, monkeypatch)

    company(runs)

    sent = Step.objects.filter(run_id__in=runs, tool_name=MOVE, attempts_made__gt=0)
    assert {s.state for s in sent} <= {"succeeded", "confirmation_unknown"}
    assert Receipt.objects.filter(step__in=sent).count() == sent.filter(state="succeeded").count()
    went_on = Step.objects.filter(run_id__in=runs, tool_name=LOOK, state="succeeded")
    assert went_on.count() >= len(runs) / 2  # a run ends with its step only where it must


def test_an_engine_fault_before_a_call_is_never_called_lost(
    tower: Tower, company: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = ToolClient.call

    async def call_or_break(
        self: ToolClient, server: str, tool: str, *rest: Any, **named: Any
    ) -> Any:
        if rest and rest[0].get("address1") == "<unsent>":
            raise LookupError("no such thing")
        return await whole(self, server, tool, *rest, **named)

    monkeypatch.setattr(ToolClient, "call", call_or_break)
    runs = tower.start([script(move("<unsent>"))] * 3)

    company(runs)

    told = Step.objects.filter(run_id__in=runs).values_list("state", "disposition", "error")
    assert set(told) == {
        ("failed", "failed", "The call could not be made: LookupError: no such thing.")
    }


def test_trouble_that_is_no_step_s_ends_no_step(
    tower: Tower, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> Any:
        raise ValueError("a stop that nobody can read")

    runs = tower.start([busy_script(1)] * 3)
    whole = barriers.read
    monkeypatch.setattr(barriers, "read", broken)
    with pytest.raises(ValueError, match="nobody can read"):
        drain()
    assert set(Step.objects.values_list("state", flat=True)) == {"queued"}

    monkeypatch.setattr(barriers, "read", whole)
    drain()
    assert set(Run.objects.filter(id__in=runs).values_list("state", flat=True)) == {"succeeded"}


# --- rows that can't be read ----------------------------------------------------------------------


def test_rows_that_can_not_be_read_end_their_step(tower: Tower, company: Company) -> None:
    runs = tower.start([script(move("x")), script(call(LOOK, 0, user_id=USER))] * 3)
    bare, deep, late = runs[:2], runs[2:4], runs[4:]
    RunScript.objects.filter(run_id__in=bare).delete()
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE runs_step SET arguments = jsonb_build_object('value', %s::jsonb)"
            " WHERE run_id = ANY(%s)",
            ["[" * 1500 + "]" * 1500, deep],
        )
        cursor.execute(
            "UPDATE runs_run SET deadline_at = '11000-01-01+00' WHERE id = ANY(%s)", [late]
        )

    drain()

    steps = Step.objects.filter(run_id__in=[*bare, *late])
    assert set(steps.values_list("state", "error_class")) == {("failed", "engine")}
    assert all("could not be prepared" in words for words in steps.values_list("error", flat=True))
    steps = Step.objects.filter(run_id__in=deep).values_list("disposition", "error_class")
    assert set(steps) == {("denied", "unreadable")}
    with connection.cursor() as cursor:
        cursor.execute("SELECT state, summary FROM runs_run WHERE id = ANY(%s)", [[*bare, *late]])
        assert all(state == "failed" and said for state, said in cursor.fetchall())
        cursor.execute("UPDATE runs_run SET deadline_at = now() WHERE id = ANY(%s)", [late])
    company([])


# --- what agents propose --------------------------------------------------------------------------


def proposal(arguments: Any) -> dict[str, Any]:
    return {"call": {"tool": MOVE, "args": arguments}}


STORED = [[1], "[1]", 5, True]
NEVER_STORED = [{"value": nested(2000)}, {"value": float("nan")}]


def test_a_proposal_that_nobody_can_keep_is_denied_and_the_run_goes_on(
    tower: Tower, company: Company
) -> None:
    look = call(LOOK, 1, user_id=USER)
    first = [script(proposal(arguments), look) for arguments in STORED]
    then = [script(look, proposal(arguments), look) for arguments in STORED]
    runs = tower.start([*first, *then])

    company(runs)

    denied = Step.objects.filter(run_id__in=runs, tool_name=MOVE)
    assert set(denied.values_list("disposition", "error_class")) == {("denied", "unreadable")}
    assert {d.error for d in denied} == {
        "The arguments can't be read: TypeError: they are not an object of names and values."
    }
    looked = Step.objects.filter(run_id__in=runs, tool_name=LOOK)
    assert looked.count() == len(first) + 2 * len(then)
    assert set(looked.values_list("state", flat=True)) == {"succeeded"}


def test_a_script_that_nobody_can_follow_ends_its_run_with_the_reason(
    tower: Tower, company: Company
) -> None:
    look = call(LOOK, 1, user_id=USER)
    odd = [5, None, "say", {"call": "x"}, {"call": {}}, {"call": None}]
    runs = tower.start([*(script(item, look) for item in odd), *(script(look, i) for i in odd)])

    company(runs)

    ended = Run.objects.filter(id__in=runs)
    assert set(ended.values_list("state", "error_class")) == {("failed", "stuck")}
    assert all(r.summary.startswith("The run could not go on: ") for r in ended)


# --- what tools answer ----------------------------------------------------------------------------


@pytest.mark.unkeyed  # one that is lost is not tried again
def test_odd_answers_and_ends_of_a_tool_end_their_step_only(
    tower: Tower, company: Company, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(breakers, "note", lambda _: [])  # a tool like this is soon shut off
    settings.TOOL_SERVERS = {"retail": "python:tests.engine.odd_tools"}
    kinds = [*ODD, *RAISED]
    odd = [script(move(k, how)) for k in kinds for how in ("", "at once", "quick")]
    runs = tower.start(odd)

    company(runs)

    done = Step.objects.filter(run_id__in=runs, state="succeeded")
    assert Receipt.objects.filter(step__in=done).count() == done.count()
    assert {s.disposition for s in Step.objects.filter(run_id__in=runs).only("disposition")} <= {
        "executed",
        "unknown",
        "failed",
        "refused_by_tool",
    }


# --- large answers --------------------------------------------------------------------------------


@pytest.mark.unkeyed
def test_large_answers_are_recorded_one_a_commit_and_small_ones_beside_them(
    tower: Tower, company: Company, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.TOOL_SERVERS = {"retail": "python:tests.engine.odd_tools"}
    runs = tower.start([script(move("megabyte"))] * 6)
    sizes: list[list[int]] = []
    whole = commit.commit

    def counted(cache: Any, finished: Any, *rest: Any, **named: Any) -> Any:
        sizes.append([len(d.result.content) for d in finished])
        return whole(cache, finished, *rest, **named)

    monkeypatch.setattr(commit, "commit", counted)

    company(runs)

    large = [sum(size > 10**6 for size in some) for some in sizes]
    assert (sum(large), max(large)) == (6, 1)
    assert len(sizes) < len(Step.objects.all())  # small ones went beside them
    kept = Step.objects.filter(run_id__in=runs, result__content__startswith="{")
    assert kept.count() == 6
