"""What the simulation models because the product decides it in SQL or beside its models: the
model and the product say the same."""

from __future__ import annotations

from dataclasses import astuple
from datetime import timedelta
from itertools import product
from typing import Any
from uuid import UUID

import pytest
from django.utils import timezone

from apps.calls.domain.admission import Class
from apps.kernel import patience
from apps.kernel.statements import fetch
from apps.kernel.transactions import command
from apps.runs import course
from apps.runs.domain.suspicion import MOST_LOSSES, fate, is_poison
from apps.runs.journal import forking, lost, undoing, unsent
from apps.runs.models import Step
from apps.runs.work import Carried
from tests.factories.runs import AttemptFactory, RunFactory, StepFactory
from tests.runs.conftest import Scene
from tests.simulation import engine, rows, worker
from tests.simulation.world import World

pytestmark = pytest.mark.django_db

LOSSES = range(MOST_LOSSES + 1)
OUTCOMES: dict[str, Any] = {
    "nothing": {"outcome": "retryable", "http_status": 429, "error_class": "http_429"},
    "unreached": {"outcome": "retryable", "error_class": "not_connected", "http_status": None},
    "perhaps": {"outcome": "retryable", "error_class": "http_503", "http_status": 503},
}


def test_a_lost_lease_ends_as_the_model_says() -> None:
    run = RunFactory.create(state="running")
    cases = list(product(("keyed", "lookup", "none"), (True, False), LOSSES))
    dead = timezone.now() - timedelta(seconds=1)
    steps = {}
    for seq, (idempotency, intent_open, losses) in enumerate(cases, start=1):
        step = StepFactory.create(
            run=run, seq=seq, state="running", idempotency=idempotency, intent_open=intent_open,
            lease_losses=losses, lease_token=seq, lease_until=dead, lease_owner="w",
        )  # fmt: skip
        steps[step.pk] = (idempotency, intent_open, losses)
    command(lost.expire_leases)(most_losses=MOST_LOSSES)

    for step in Step.objects.filter(run=run):
        idempotency, intent_open, losses = steps[step.pk]
        poison = is_poison(losses=losses + 1, blame=0, most_losses=MOST_LOSSES)
        told = fate(poison=poison, intent_open=intent_open, keyed=idempotency == "keyed")
        assert (step.state, step.disposition, step.error_class) == astuple(told), steps[step.pk]
        assert (step.lease_token, step.lease_losses) == (None, losses + 1)
        assert step.intent_open is intent_open


def test_the_numbers_are_the_products() -> None:
    assert worker.KEEP_RECEIPTS_S == patience.KEEP_RECEIPTS_S
    assert engine.BRANCH_WAIT_S == forking.WAIT_S
    assert engine.URGENT == undoing.URGENT


@pytest.mark.parametrize("idempotency", ["keyed", "lookup", "none"])
@pytest.mark.parametrize("attempts", [(), *product(OUTCOMES), *product(OUTCOMES, OUTCOMES)])
def test_what_may_have_happened_is_what_the_model_says(
    idempotency: str, attempts: tuple[str, ...]
) -> None:
    """``unsent.MAY_HAVE_HAPPENED``, over every pair of endings."""
    step = StepFactory.create(
        state="queued", intent_open=True, idempotency=idempotency, attempts_made=len(attempts)
    )
    for number, name in enumerate(attempts, start=1):
        AttemptFactory.create(step=step, number=number, **OUTCOMES[name])
    world = World(0)
    tool = next(t for t in world.engine.tools.values() if t.idempotency == idempotency)
    run = rows.Run(UUID(int=1), "r", "j0", "a0", Class.C2, [], 1.0, 1.0, UUID(int=1))
    modelled = rows.Step(UUID(int=2), "s", run, 1, tool, {}, "k", 50, attempts_made=len(attempts))
    for number, name in enumerate(attempts, start=1):
        world.store.attempts[modelled.id, number] = rows.Attempt(
            modelled, number, 1, **OUTCOMES[name]
        )

    sql = f"SELECT {unsent.MAY_HAVE_HAPPENED} FROM runs_step s WHERE s.id = %s"
    [(may_have_happened,)] = fetch(sql, [step.pk])

    assert may_have_happened is not world.store.is_unsent(modelled)


def test_what_a_run_goes_on_with_is_what_the_model_says(scene: Scene) -> None:
    """``course.advance_runs`` and ``Engine.plot`` ask the same functions in the same way."""
    arguments = {"n": 1, "why": "änderung"}
    items = [{"call": {"tool": "refund", "args": arguments}}]
    run = scene.run(items)
    [made] = course.advance_runs([Carried(run, list(items))], notes={}).steps

    world = World(0)
    world.engine.tools["refund"] = rows.Tool(
        "refund", "write", "keyed", "permit", 1, 1, False, rows.ToolUse("refund")
    )
    root = run.root_id or run.pk
    mine = rows.Run(run.pk, "r", "j0", "a0", Class.C2, items, 1.0, 1.0, root)
    step = world.engine.plot(mine)

    assert step is not None
    assert (step.key, step.seq) == (made.idempotency_key, made.seq)
