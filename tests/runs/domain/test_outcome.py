from __future__ import annotations

import pytest

from apps.runs.domain.outcome import RunEnd, StepEnd, judge, summary
from apps.runs.domain.states import State

WANTED = ("cancel_order",)


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
            (State.FAILED, "escalated"),
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
