from __future__ import annotations

from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from apps.audit.domain.actors import Actor
from apps.ops.selectors import attention
from apps.ops.selectors.attention import AttentionCount
from apps.runs import services
from tests.factories.runs import RunFactory

pytestmark = pytest.mark.django_db


def needs(client: Client) -> str:
    return client.get("/home/needs/").content.decode()


def test_nothing_paused_and_no_poison_is_no_news() -> None:
    RunFactory.create(done=True)

    assert attention.paused() == attention.poisoned() == AttentionCount(0)


def test_a_paused_run_is_not_forgotten(client_as) -> None:
    first, second = RunFactory.create(), RunFactory.create()
    for run in (first, second):
        services.pause_run(run.id, actor=Actor.user("ida"), reason="x")

    assert "2 runs are paused" in needs(client_as("operator"))
    assert attention.paused().run_id == first.id
    assert "Paused by ida" in client_as("operator").get("/runs/").content.decode()
    services.resume_run(first.id, actor=Actor.user("ida"))
    services.cancel_run(second.id, actor=Actor.user("ida"), reason="x")
    assert attention.paused() == AttentionCount(0)


@pytest.mark.parametrize("role", ["operator", "admin"])
def test_poison_is_told_to_whoever_can_do_something(client_as, role: str) -> None:
    run = RunFactory.create(state="failed", error_class="poison", finished_at=timezone.now())
    RunFactory.create(
        state="failed", error_class="poison", created_at=timezone.now() - timedelta(days=2)
    )

    page = needs(client_as(role))

    assert "Poison: 1 run crashed every worker that tried it" in page
    assert str(run.id) in page
