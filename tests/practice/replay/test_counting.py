"""Shares with each change counted once."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from controltower.practice.replay.counting import Proposal, distinct, distinct_shares, shares

A, B = ("e1", "a"), ("e1", "b")


def test_a_deduplicated_repeat_is_no_change_of_its_own() -> None:
    proposals = [
        Proposal(A, "extra", held=True, stopped=True),
        Proposal(B, "match"),
        Proposal(B, "extra", deduplicated=True),
    ]

    assert shares(proposals)["wrong_stopped"] == 0.5
    assert distinct_shares(proposals) == {
        "mutations": 2, "wrong_stopped": 1.0, "right_held": 0.0, "right_denied": 0.0,
        "precision": 1.0,
    }  # fmt: skip


def test_a_wrong_change_that_got_through_at_the_second_attempt_was_not_stopped() -> None:
    proposals = [Proposal(A, "extra", held=True, stopped=True), Proposal(A, "extra")]

    assert distinct_shares(proposals)["wrong_stopped"] == 0.0


def test_a_right_change_that_was_held_once_was_held() -> None:
    held = Proposal(A, "match", held=True, stopped=True)
    proposals = [Proposal(A, "match"), held, Proposal(B, "match", denied=True, stopped=True)]

    card = distinct_shares(proposals)

    assert (card["mutations"], card["right_held"], card["right_denied"]) == (2, 0.5, 0.5)


def test_what_was_not_reached_counts_only_as_a_mutation() -> None:
    missed = Proposal(A, "extra", reached=False)

    assert distinct_shares([missed])["mutations"] == 1
    assert distinct([missed, Proposal(A, "extra")]) == [Proposal(A, "extra")]


PROPOSALS = st.builds(
    Proposal,
    st.sampled_from([A, B, ("e2", "a")]),
    st.sampled_from(["extra", "match", "no_effect"]),
    *[st.booleans()] * 5,
)


@given(st.lists(PROPOSALS, max_size=12))
def test_counting_again_changes_nothing(proposals: list[Proposal]) -> None:
    once = distinct(proposals)

    assert distinct(once) == once
    assert len({(p.change, p.label) for p in once}) == len(once) <= len(proposals)
    assert all(0 <= value <= 1 for name, value in shares(once).items() if name != "mutations")
