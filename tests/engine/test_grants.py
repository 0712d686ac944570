"""Grants through the engine: workers in processes of their own use one up at the same time."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import transaction

from apps.oversight import services
from apps.oversight.models import Approval, Grant
from apps.runs.models import Run, Step
from apps.runs.services.waking import queue_decided
from tests.engine import shop
from tests.engine.conftest import ENDED, Tower
from tests.engine.shop import call
from tests.engine.test_drain import RETURN, drain, held, ledger
from tests.engine.watching import until
from tests.factories.accounts import UserFactory
from tests.factories.approvals import decide
from tests.factories.grants import given

TOOL = "return_delivered_order_items"
ANY_WORLD = {"context.world": ("any", "")}


@pytest.fixture(autouse=True)
def with_amounts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Returns are previewed, and how much goes back is known."""
    usual = shop._tool

    def tool(name: str, effect: str, *, unkeyed: bool) -> dict[str, Any]:
        entry = usual(name, effect, unkeyed=unkeyed)
        if name == TOOL:
            entry |= {
                "preview": "tower_preview",
                "amount": "facts.amount_cents",
                "facts": {"amount_cents": "long"},
            }
        return entry

    monkeypatch.setattr(shop, "_tool", tool)


@pytest.fixture
def late(monkeypatch: pytest.MonkeyPatch) -> None:
    """Approvals can be taken back for a minute."""
    monkeypatch.setitem(shop.CONTRACT["decisions"], "undo_s", 60)


def test_five_at_once_of_which_a_grant_covers_three(tower: Tower) -> None:
    source = held(tower)
    first, second = UserFactory.create_batch(2, role="operator")
    cents = source.amount_cents or 0
    grant = given(source, first, second, opened=ANY_WORLD, count=3, most_cents=cents)
    assert cents > 0
    decide(source, first, approve=False)
    drain()

    runs = tower.start([[call(TOOL, 0, **RETURN), {"done": "x"}]] * 5)
    for _ in range(3):
        tower.worker()
    tower.spawn("sweep")
    tower.wait(runs, states={*ENDED, "waiting_approval"}, seconds=90)
    _until_quiet(runs)

    grant.refresh_from_db()
    assert (grant.used, grant.state) == (3, "used")
    made = [run for run in Run.objects.filter(pk__in=runs) if ledger(tower, run)]
    assert len(made) == 3
    assert all(len(ledger(tower, run)) == 1 for run in made)
    asked = Approval.objects.filter(run_id__in=runs, state="pending")
    assert asked.count() == 2
    assert not asked.filter(run_id__in=[run.pk for run in made]).exists()
    assert {
        services.is_signed(row)
        for row in Approval.objects.filter(run_id__in=runs, state="approved", decided_by=None)
    } == {True}
    assert Step.objects.filter(run_id__in=runs, disposition="executed").count() == 3


def _until_quiet(runs: Any) -> None:
    """Until those that were covered were carried out."""
    done = Approval.objects.filter(run_id__in=runs, state="approved", consumed_at__isnull=False)
    until(lambda: done.count() == 3, "three are carried out")
    finished = Run.objects.filter(pk__in=runs, state__in=ENDED)
    until(lambda: finished.count() == 3, "three runs end")


def test_what_is_revoked_before_it_was_carried_out_is_asked_of_a_person(
    late: None, tower: Tower
) -> None:
    source = held(tower)
    first, second = UserFactory.create_batch(2, role="operator")
    given(source, first, second, opened=ANY_WORLD, most_cents=source.amount_cents or 0)
    tower.start([[call(TOOL, 0, **RETURN), {"done": "x"}]])
    drain()
    covered = Approval.objects.get(decided_by=None, state="granted")
    assert covered.run_id != source.run_id

    assert ledger(tower, Run.objects.get(pk=covered.run_id)) == []

    services.revoke_grant(grant_id=Grant.objects.get().pk, user=second, reason="it is over")
    with transaction.atomic():
        queue_decided([covered.pk])
    drain()

    assert ledger(tower, Run.objects.get(pk=covered.run_id)) == []
    again = Approval.objects.get(run_id=covered.run_id, state="pending")
    assert again.pk != covered.pk
