from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from apps.evidence.domain.crossing import Mutation, conflicts, question


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
