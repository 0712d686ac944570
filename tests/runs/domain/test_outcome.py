from __future__ import annotations

import pytest

from apps.runs.domain.outcome import RunEnd, StepEnd, judge
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
