from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.calls.domain.script import follow
from apps.runs.domain import forking
from apps.runs.domain.forking import ScriptPosition, cut, obstacle, repeat
from apps.runs.domain.rows import Owner

A, B, MINE, THEIRS = (UUID(int=n) for n in range(1, 5))
WORDS = st.sampled_from([{"say": "a"}, {"hear": "b"}])
CALL = {"call": {"tool": "move", "args": {}}}
TURNS = st.lists(
    st.lists(WORDS, max_size=2).flatmap(
        lambda said: st.integers(0, 2).map(lambda calls: [*said, *[CALL] * calls])
    ),
    max_size=4,
)


def walk(items: list[dict[str, Any]]) -> list[tuple[ScriptPosition, int]]:
    """The steps that a scripted run takes, each with where its script stood afterwards."""
    steps, cursor, said = [], 0, 0
    while True:
        turn = follow(items, cursor)
        said += len(turn.messages)
        if turn.call is None:
            return steps
        cursor = turn.cursor
        steps.append((ScriptPosition(len(steps) + 1, "tool", "succeeded", said), cursor))


@given(st.lists(st.one_of(WORDS, st.just(CALL)), max_size=12), st.data())
def test_a_scripted_branch_goes_on_where_its_parent_stood(
    items: list[dict[str, Any]], data: st.DataObject
) -> None:
    steps = walk(items)
    after = data.draw(st.integers(0, len(steps)))

    found = cut(items, [mark for mark, _ in steps], after, live=False)

    assert list(found.items) == items
    assert found.cursor == (steps[after - 1][1] if after else 0)
    assert len(found.calls) == len(steps) - after


def live_walk(
    turns: list[list[dict[str, Any]]],
) -> tuple[list[dict[str, Any]], list[ScriptPosition]]:
    """A live run that was asked for each of these turns in order, with its items and steps."""
    items: list[dict[str, Any]] = [{"hear": "hello"}]
    marks, said = [], 1
    for turn in turns:
        marks.append(ScriptPosition(len(marks) + 1, "agent", "succeeded", said))
        for item in turn:
            said += "call" not in item
            if "call" in item:
                marks.append(ScriptPosition(len(marks) + 1, "tool", "succeeded", said))
        items += turn
    return items, marks


@given(TURNS, st.data())
def test_a_live_branch_is_asked_anew_for_what_came_later(
    turns: list[list[dict[str, Any]]], data: st.DataObject
) -> None:
    items, marks = live_walk(turns)
    after = data.draw(st.integers(0, len(marks)))

    found = cut(items, marks, after, live=True)

    kept = list(found.items)
    assert kept == items[: len(kept)]
    taken = [m for m in marks if m.seq <= after]
    tools = sum(m.kind == "tool" for m in taken)
    assert sum("call" in i for i in kept[: found.cursor]) == tools
    if taken and taken[-1].kind == "tool":
        assert found.cursor == len(kept)  # nothing is left: the agent is asked
    if taken and taken[-1].kind == "agent":
        later = [m for m in marks if m.seq > after]
        until = next((i for i, m in enumerate(later) if m.kind == "agent"), len(later))
        assert len(found.calls) == until  # exactly what this turn proposed
    if not taken:
        assert kept[:1] == [{"hear": "hello"}]
        assert found.calls == []


def mark(seq: int, state: str) -> ScriptPosition:
    return ScriptPosition(seq, "tool", state, 0)


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ("succeeded", ""),
        ("failed", ""),
        ("running", "is running"),
        ("confirmation_unknown", "is confirmation unknown"),
        ("cancelled", "is cancelled"),
        ("compensated", "has been undone"),
    ],
)
def test_only_what_has_ended_for_good_can_be_taken_over(state: str, words: str) -> None:
    marks = [mark(1, "succeeded"), mark(2, state), mark(3, "queued")]

    found = obstacle(marks, 2)

    assert (words in found) if words else found == ""
    assert obstacle(marks, 1) == ""
    assert obstacle(marks, 0) == ""


@pytest.mark.parametrize("after", [-1, 4, 10**9])
def test_there_is_no_such_step(after: int) -> None:
    assert obstacle([mark(1, "succeeded")], after) == "This run has no such step."


def test_only_what_was_done_is_called_inherited() -> None:
    assert forking.taken_over("executed") == "inherited"
    assert forking.taken_over("inherited") == "inherited"
    assert forking.taken_over("denied") == "denied"
    assert forking.taken_over("deduplicated") == "deduplicated"


def owner(**changes: Any) -> Owner:
    told = {"step_id": THEIRS, "run_id": B, "seq": 3, "state": "failed", "disposition": "failed"}
    told |= {"result": None, "idempotency": "none", "attempts": 1}
    return Owner(**{**told, **changes})


def met(found: Owner | None) -> str:
    return repeat(found, step_id=MINE, run_id=A)


def test_what_failed_elsewhere_is_taken_over_only_if_that_cannot_do_it_twice() -> None:
    assert met(owner(attempts=0)) == "taken_over"
    assert met(owner(idempotency="keyed")) == "taken_over"
    assert met(owner(state="cancelled", attempts=0)) == "taken_over"
    assert met(owner()) == "conflict"
    assert met(owner(idempotency="lookup")) == "conflict"


@pytest.mark.parametrize("state", ["queued", "running", "waiting_approval", "confirmation_unknown"])
def test_what_is_under_way_elsewhere_is_waited_for(state: str) -> None:
    assert met(owner(state=state, idempotency="keyed")) == "awaited"


@pytest.mark.parametrize("state", ["compensating", "compensated"])
def test_what_is_being_undone_elsewhere_is_neither_waited_for_nor_inherited(state: str) -> None:
    assert met(owner(state=state, disposition="executed", idempotency="keyed")) == "conflict"


def test_what_was_done_elsewhere_is_inherited_and_what_was_done_here_deduplicated() -> None:
    assert met(owner(state="succeeded", disposition="executed")) == "inherited"
    assert met(owner(run_id=A, state="succeeded", disposition="executed")) == "deduplicated"
    assert met(owner(run_id=A, idempotency="keyed", attempts=0)) == "conflict"


def test_what_nobody_else_owns_is_ours() -> None:
    assert met(None) == met(owner(step_id=MINE, run_id=A)) == "ours"
