"""The reviewers that a replay plays."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

import pytest
from django.db import connection

from apps.oversight.models import Approval
from apps.runs.models import Run
from controltower.practice.cases.scripts import Case
from controltower.practice.replay import running
from controltower.practice.replay.running import Replay
from tests.factories.approvals import ApprovalFactory
from tests.factories.runs import RunFactory, StepFactory

pytestmark = pytest.mark.django_db


def episode(*labels: str) -> dict[str, Any]:
    """Recorded mutations with these labels."""
    return {
        "steps": [
            {"i": i, "role": "tool", "kind": "mutate", "gt": label}
            for i, label in enumerate(labels)
        ]
    }


def test_an_episode_that_the_tower_cannot_take_keeps_no_other_from_being_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def take(cases: Sequence[Case], **_: Any) -> list[UUID]:
        if any(case.ref == "e3" for case in cases):
            raise ValueError("no such number")
        return [RunFactory.create(state="succeeded", case_ref=case.ref).pk for case in cases]

    monkeypatch.setattr(running, "start_cases", take)
    head = {"domain": "retail", "model": "m", "steps": []}
    replay = Replay([{**head, "episode_id": f"e{n}"} for n in range(25)])

    replay.play(progress=lambda begun, settled: None)

    assert len(replay.runs) == 24
    assert [str(bad) for bad in replay.refused] == [
        "episode e3: the tower can't take it: ValueError: no such number"
    ]


def question(run: Run, index: int) -> Approval:
    """A step of the recording that waits for a person."""
    step = StepFactory.create(run=run, seq=index + 1, ref=str(index), state="waiting_approval")
    return ApprovalFactory.create(run_id=run.pk, step_id=step.pk)


def states(*asked: Approval) -> list[str]:
    return [Approval.objects.get(pk=approval.pk).state for approval in asked]


@pytest.mark.parametrize(
    ("reviewer", "expected"),
    [
        ("none", ["pending"] * 3),
        ("approve", ["approved"] * 3),
        ("reject", ["rejected"] * 3),
        ("oracle", ["approved", "rejected", "rejected"]),
    ],
)
def test_each_reviewer_answers_as_it_should(reviewer: str, expected: list[str]) -> None:
    run = RunFactory.create(state="waiting_approval")
    asked = [question(run, index) for index in range(3)]
    replay = Replay([], reviewer, runs={run.pk: episode("match", "extra", "no_effect")})

    replay._review()

    assert states(*asked) == expected


def test_a_question_that_comes_up_meanwhile_is_answered_by_its_own_label() -> None:
    runs = [RunFactory.create(state="waiting_approval") for _ in range(2)]
    late: list[Approval] = []
    early = question(runs[0], 0)
    replay = Replay([], "oracle", runs={run.pk: episode("match") for run in runs})

    def meanwhile(execute: Callable[..., Any], sql: str, *rest: Any) -> Any:
        found = execute(sql, *rest)
        if not late and sql.startswith("SELECT") and '"runs_step"' in sql:
            late.append(Approval())  # this happens once
            late[0] = question(runs[1], 0)
        return found

    with connection.execute_wrapper(meanwhile):
        replay._review()
    replay._review()

    assert states(early, *late) == ["approved", "approved"]
