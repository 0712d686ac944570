from __future__ import annotations

import pytest

from apps.runs.domain.outcome import RunEnd, StepEnd, judge, summary
from apps.runs.domain.states import State

WANTED = ("cancel_order",)
DESK = ("ring_a_person", "open_ticket")
HANDED_OVER = RunEnd(State.SUCCEEDED, "handed_over", "")


@pytest.mark.parametrize(
    ("steps", "wanted", "answered", "expected"),
    [
        ([("cancel_order", "write", "executed")], WANTED, True, (State.SUCCEEDED, "resolved")),
        ([("cancel_order", "write", "denied")], WANTED, True, (State.FAILED, "denied")),
        ([("cancel_order", "write", "rejected")], WANTED, True, (State.FAILED, "rejected")),
        ([("look", "read", "failed")], WANTED, True, (State.FAILED, "not_resolved")),
        ([("look", "read", "executed")], (), True, (State.SUCCEEDED, "resolved")),
        (
            [("transfer_to_human_agents", "draft", "executed")],
            WANTED,
            True,
            (State.FAILED, "not_resolved"),  # no name of a tool means anything by itself
        ),
        ([], (), False, (State.FAILED, "not_resolved")),
    ],
)
def test_a_run_is_judged_by_what_was_really_done(
    steps: list[tuple[str, str, str]],
    wanted: tuple[str, ...],
    answered: bool,
    expected: tuple[State, str],
) -> None:
    end = judge([StepEnd(*s) for s in steps], wanted_tools=wanted, answered=answered)

    error = "" if expected[0] is State.SUCCEEDED else expected[1]
    assert end == RunEnd(expected[0], expected[1], error)


def test_a_wanted_receipt_outweighs_a_refused_extra() -> None:
    steps = [StepEnd("refund", "write", "denied"), StepEnd("cancel_order", "write", "executed")]

    assert judge(steps, wanted_tools=WANTED, answered=True).outcome == "resolved"


@pytest.mark.parametrize("outcome", ["unknown", "denied", "rejected", "tool_refused", "error"])
def test_a_failed_runs_summary_marks_the_agents_words_as_a_claim(outcome: str) -> None:
    end = RunEnd(State.FAILED, outcome, outcome)

    told = summary(end, [StepEnd("add_data", "write", outcome)], "2 GB were added.")

    assert not told.startswith("2 GB were added.")
    assert "Nothing was changed." in told
    assert told.endswith("The agent's own words, unconfirmed: “2 GB were added.”")


def test_a_failed_runs_summary_says_what_was_really_done() -> None:
    steps = [
        StepEnd("cancel_order", "write", "executed"),
        StepEnd("cancel_order", "write", "deduplicated"),
        StepEnd("look", "read", "executed"),
        StepEnd("pay", "irreversible", "refused_by_tool"),
    ]

    told = summary(RunEnd(State.FAILED, "tool_refused", "tool_refused"), steps, "")

    assert told == "A tool refused a change. Carried out: cancel_order."


def test_a_long_claim_is_cut_and_a_successful_run_keeps_its_words() -> None:
    assert summary(RunEnd(State.SUCCEEDED, "resolved", ""), [], "Done.") == "Done."
    assert summary(RunEnd(State.FAILED, "denied", "denied"), [], "x " * 5000).endswith("…”")


@pytest.mark.parametrize("effect", ["read", "draft", "write", "irreversible"])
@pytest.mark.parametrize("disposition", ["executed", "deduplicated", "inherited"])
@pytest.mark.parametrize("wanted", [WANTED, ()])
def test_what_the_contract_hands_over_is_an_outcome_of_its_own(
    effect: str, disposition: str, wanted: tuple[str, ...]
) -> None:
    steps = [StepEnd("look", "read", "failed"), StepEnd("open_ticket", effect, disposition)]

    end = judge(steps, wanted_tools=wanted, answered=True, hand_over=DESK)

    assert end == HANDED_OVER


@pytest.mark.parametrize(
    ("disposition", "outcome"),
    [
        ("unknown", "unknown"),
        ("denied", "denied"),
        ("rejected", "rejected"),
        ("expired", "approval_expired"),
        ("refused_by_tool", "tool_refused"),
        ("failed", "error"),
    ],
)
def test_handing_over_hides_nothing_graver(disposition: str, outcome: str) -> None:
    handed, gone = StepEnd("open_ticket", "draft", "executed"), StepEnd("pay", "write", disposition)

    for steps in ([handed, gone], [gone, handed], [StepEnd("open_ticket", "draft", disposition)]):
        end = judge(steps, wanted_tools=WANTED, answered=True, hand_over=DESK)

        assert end == RunEnd(State.FAILED, outcome, outcome)


def test_a_wanted_receipt_outweighs_a_hand_over() -> None:
    steps = [
        StepEnd("cancel_order", "write", "executed"),
        StepEnd("open_ticket", "draft", "executed"),
    ]

    end = judge(steps, wanted_tools=WANTED, answered=True, hand_over=DESK)

    assert (end.state, end.outcome) == (State.SUCCEEDED, "resolved")


def test_a_hand_over_that_was_only_cancelled_or_looked_at_hands_nothing_over() -> None:
    steps = [StepEnd("open_ticket", "draft", "cancelled"), StepEnd("look", "read", "executed")]

    end = judge(steps, wanted_tools=WANTED, answered=True, hand_over=DESK)

    assert end == RunEnd(State.FAILED, "not_resolved", "not_resolved")


@pytest.mark.parametrize(
    ("steps", "told"),
    [
        (
            [("open_ticket", "write", "executed")],
            "Handed over to a person by open_ticket. Nothing else was changed.",
        ),
        (
            [
                ("look", "read", "executed"),
                ("move_order", "write", "executed"),
                ("add_note", "write", "inherited"),
                ("open_ticket", "draft", "executed"),
                ("ring_a_person", "draft", "executed"),
                ("open_ticket", "draft", "deduplicated"),
            ],
            "Handed over to a person by open_ticket, ring_a_person."
            " Carried out besides: move_order, add_note.",
        ),
    ],
)
def test_a_hand_over_is_told_by_what_was_done(steps: list[tuple[str, str, str]], told: str) -> None:
    ends = [StepEnd(*step) for step in steps]

    assert summary(HANDED_OVER, ends, " ", hand_over=DESK) == told
    claimed = summary(HANDED_OVER, ends, "I refunded $90.", hand_over=DESK)
    assert claimed == f"{told} The agent's own words, unconfirmed: “I refunded $90.”"
