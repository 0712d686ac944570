"""Edits, answers and a cancellation at once on a real database: one of them happens."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from apps.accounts.models import User
from apps.audit.models import Event
from apps.oversight import services
from apps.oversight.models import Approval, Edit, Vote
from apps.runs.models import Step
from apps.runs.services import cancel_run
from tests.factories.accounts import UserFactory
from tests.ops.test_editing import ARGUMENTS, held_refund
from tests.oversight.test_races import together

pytestmark = pytest.mark.django_db(transaction=True)


def edit(approval: Approval, user: User, cents: int) -> str:
    services.edit(
        approval_id=approval.pk,
        user=user,
        arguments={**ARGUMENTS, "cents": cents},
        reason="half of it was used",
        digest=approval.digest,
    )
    return f"edited to {cents}"


def approve(approval: Approval, user: User) -> str:
    services.decide(
        approval_id=approval.pk,
        user=user,
        approve=True,
        reason="looked it up",
        digest=approval.digest,
        nonce="n-race-1",
    )
    return "approved"


def cancel(approval: Approval, user: User) -> str:
    cancel_run(approval.run_id, actor=user.actor, reason="not wanted")
    return "cancelled"


@pytest.fixture
def held(transactional_db: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Approval:
    return held_refund(tmp_path, monkeypatch)


def test_of_many_who_edit_at_once_one_does(held: Approval) -> None:
    people = [UserFactory.create() for _ in range(8)]
    calls: list[Callable[[], str]] = [
        partial(edit, held, user, number) for number, user in enumerate(people, start=1)
    ]

    said = together(calls)

    [won] = [words for words in said if words.startswith("edited to")]
    assert said.count("edited") == 7, "everybody else is told"
    step, kept = Step.objects.get(), Edit.objects.get()
    assert step.arguments == kept.after
    assert won == f"edited to {kept.after['cents']}"
    assert (step.state, Approval.objects.get().state) == ("queued", "void")
    assert Event.objects.filter(kind="approval.edited").count() == 1


@pytest.mark.parametrize("other", [approve, cancel])
def test_of_an_edit_and_what_would_end_it_one_happens(
    held: Approval, other: Callable[[Approval, User], str]
) -> None:
    one, two = UserFactory.create(), UserFactory.create()

    said = together([partial(edit, held, one, 5), partial(other, held, two)])

    step, approval = Step.objects.get(), Approval.objects.get()
    if "edited to 5" in said:
        assert step.arguments["cents"] == 5
        assert approval.state == "void"
        assert not Vote.objects.exists()
    else:
        assert step.arguments == ARGUMENTS
        assert not Edit.objects.exists()
    if other is cancel:
        assert "cancelled" in said
        assert step.state == "cancelled"
