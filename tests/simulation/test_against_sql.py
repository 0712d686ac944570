"""What the simulation models because the product decides it in SQL or beside its models: the
model and the product say the same."""

from __future__ import annotations

from datetime import timedelta
from itertools import product
from uuid import UUID

import pytest
from django.utils import timezone

from apps.kernel.statements import fetch
from apps.kernel.transactions import command
from apps.runs import course
from apps.runs.domain.admission import Class
from apps.runs.domain.suspicion import MOST_LOSSES
from apps.runs.engine import patience
from apps.runs.journal import forking, lost, unknown, unsent
from apps.runs.models import Step
from apps.runs.selectors import compensating as undoing
from apps.runs.work import Carried
from tests.factories.runs import AttemptFactory, RunFactory, StepFactory
from tests.runs.conftest import Scene
from tests.simulation import engine, rows, store, worker
from tests.simulation import lost as model
from tests.simulation.engine import key_of
from tests.simulation.world import World

pytestmark = pytest.mark.django_db

LOSSES = range(MOST_LOSSES + 1)
OUTCOMES = {
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
        told = model.after_loss(
            idempotency=idempotency,
            intent_open=intent_open,
            losses=losses + 1,
            blame=0,
            most_losses=MOST_LOSSES,
        )
        assert (step.state, step.disposition, step.error_class) == told, steps[step.pk]
        assert (step.lease_token, step.lease_losses) == (None, losses + 1)
        assert step.intent_open is intent_open


def test_the_numbers_are_the_products() -> None:
    assert store.LOOK_AGAIN_S == unknown.LOOK_AGAIN_S
    assert worker.KEEP_RECEIPTS_S == patience.KEEP_RECEIPTS_S
    assert engine.BRANCH_WAIT_S == forking.WAIT_S
    assert engine.KEY_PURPOSE == course.KEY_PURPOSE
    assert {engine.UNDOING_FAILED, engine.UNDOING_UNKNOWN} == {undoing.FAILED, undoing.UNKNOWN}


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
            modelled, number, 1, "retryable", did_nothing=name != "perhaps"
        )

    sql = f"SELECT {unsent.MAY_HAVE_HAPPENED} FROM runs_step s WHERE s.id = %s"
    [(may_have_happened,)] = fetch(sql, [step.pk])

    assert may_have_happened is not world.store.is_unsent(modelled)


def test_a_key_is_made_as_the_product_makes_it(scene: Scene) -> None:
    arguments = {"n": 1, "why": "änderung"}
    run = scene.run([{"call": {"tool": "refund", "args": arguments}}])
    [made] = course.advance_runs(
        [Carried(run, [{"call": {"tool": "refund", "args": arguments}}])], notes={}
    ).steps

    terms = rows.ToolUse("refund")
    named = rows.Tool("refund", "write", "keyed", "permit", 1, 1, False, terms)
    mine = rows.Run(run.pk, "r", "j0", "a0", Class.C2, [], 1.0, 1.0, run.root_id or run.pk)

    assert key_of(UUID(int=0), mine, named, arguments) == made.idempotency_key
