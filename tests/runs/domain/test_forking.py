from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.calls.domain.script import follow
from apps.runs.domain import forking
from apps.runs.domain.forking import Mutation, ScriptPosition, conflicts, cut, obstacle, question

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


def owner(**changes: Any) -> dict[str, Any]:
    return {"run_id": "b", "state": "failed", "idempotency": "none", "attempts": 1, **changes}


def test_what_failed_elsewhere_is_taken_over_only_if_that_cannot_do_it_twice() -> None:
    assert forking.may_take_over(owner(attempts=0), "a")
    assert forking.may_take_over(owner(idempotency="keyed"), "a")
    assert not forking.may_take_over(owner(), "a")
    assert not forking.may_take_over(owner(idempotency="keyed", run_id="a"), "a")
    assert not forking.may_take_over(owner(idempotency="keyed", state="succeeded"), "a")


@pytest.mark.parametrize("state", ["queued", "running", "waiting_approval", "confirmation_unknown"])
def test_what_is_under_way_elsewhere_is_waited_for(state: str) -> None:
    assert forking.is_under_way(owner(state=state), "a")
    assert not forking.is_under_way(owner(state=state), "b")
    assert not forking.is_under_way(owner(state="compensated"), "a")


def change(run: str, key: str, user: str = "u1", tool: str = "move", **more: Any) -> Mutation:
    arguments = {"user_id": user, "street": key, **more}
    return Mutation(f"{run}-{key}", run, 4, tool, key, arguments, "succeeded")


def met(*done: Mutation, mine: Mutation, inherited: frozenset[str] = frozenset()) -> list[str]:
    found = conflicts(
        done,
        run_id=mine.run_id,
        inherited=inherited,
        tool=mine.tool,
        key=mine.key,
        arguments=mine.arguments,
    )
    return [m.key for m in found]


def test_another_branchs_change_of_the_same_thing_is_a_conflict() -> None:
    assert met(change("b", "k1"), mine=change("a", "k2")) == ["k1"]
    assert met(change("b", "k1", tool="rename"), mine=change("a", "k2")) == ["k1"]
    assert met(change("b", "k1", user="u2"), mine=change("a", "k2")) == []


def test_a_change_that_was_inherited_is_known() -> None:
    assert met(change("b", "k1"), mine=change("a", "k2"), inherited=frozenset({"k1"})) == []
    later = change("b", "k3")
    found = met(change("b", "k1"), later, mine=change("a", "k2"), inherited=frozenset({"k1"}))
    assert found == ["k3"]


def test_what_came_before_ones_own_change_has_been_settled() -> None:
    settled = (change("b", "k1"), change("a", "k2"))
    assert met(*settled, mine=change("a", "k3")) == []
    assert met(*settled, change("b", "k4"), mine=change("a", "k3")) == ["k4"]


def test_the_same_change_is_no_conflict_but_inherited() -> None:
    assert met(change("b", "k1"), mine=change("a", "k1")) == []


def test_without_a_thing_that_is_named_the_tool_is_what_two_changes_share() -> None:
    plain = Mutation("s", "b", 1, "announce", "k1", {"text": "a"}, "succeeded")
    other = Mutation("t", "a", 1, "announce", "k2", {"text": "b"}, "succeeded")
    assert met(plain, mine=other) == ["k1"]
    assert "what “announce” changes" in question([plain], tool="announce", arguments={"text": "b"})


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 5)), max_size=8))
def test_a_run_never_conflicts_with_itself(done: list[tuple[str, int]]) -> None:
    taken = [change(run, f"{run}{n}") for run, n in done]
    found = met(*taken, mine=change("a", "new"))
    assert all(key.startswith("b") for key in found)
    last = max((i for i, (run, _) in enumerate(done) if run == "a"), default=-1)
    assert found == [f"b{n}" for run, n in done[last + 1 :]]


def test_the_question_says_what_the_other_did_and_what_this_one_wants() -> None:
    found = [change("0000-old", "k0"), change("1111-other", "k1\u202e")]
    words = question(found, tool="move", arguments={"user_id": "u1", "street": "k2"})

    assert "has changed user “u1”" in words
    assert "step 4 of run 11-other (1 more before it)" in words
    assert 'street "k1\\u202e" there, “k2” here' in words
    assert "by “rename”" in question(
        [change("b", "k1", tool="rename")], tool="move", arguments={"user_id": "u1"}
    )
