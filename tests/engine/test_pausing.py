"""A run that is paused in the midst of work, by real processes."""

from __future__ import annotations

import time

import pytest

from apps.audit.domain.actors import Actor
from apps.runs import services
from apps.runs.domain.pausing import WAITS_FOR_RESUME
from apps.runs.models import Attempt, Run, Step
from tests.engine.conftest import Tower
from tests.engine.shop import busy_script
from tests.engine.test_kills import effects
from tests.engine.watching import MOVE, on_its_way, slow, until


@pytest.fixture
def at_work(tower: Tower) -> Run:
    """A run whose first move is on its way."""
    slow(tower, seconds=2.5, count=1)
    [run_id] = tower.start([busy_script(3)])
    tower.spawn("sweep")
    tower.worker()
    until(on_its_way, "the move is on its way")
    return Run.objects.get(id=run_id)


def test_a_call_on_its_way_is_recorded_and_nothing_further_begins(
    tower: Tower, at_work: Run
) -> None:
    services.pause_run(at_work.id, actor=Actor.user("ida"), reason="the shop moves")

    parked = Step.objects.filter(state="queued", waits_for=WAITS_FOR_RESUME)
    until(parked.exists, "the step after the move is parked")
    move = Step.objects.get(tool_name=MOVE)
    assert move.state == "succeeded"
    begun = Attempt.objects.count()
    time.sleep(1.5)  # three sweeps: time enough to begin something by mistake
    assert Attempt.objects.count() == begun
    assert set(effects(tower, [at_work.id]).values()) == {1}
    services.resume_run(at_work.id, actor=Actor.user("ida"))
    tower.wait([at_work.id], states={"succeeded"})
    witnessed = effects(tower, [at_work.id])
    assert len(witnessed) == 3
    assert set(witnessed.values()) == {1}


def test_the_deadline_of_a_paused_run_counts(tower: Tower, at_work: Run) -> None:
    services.pause_run(at_work.id, actor=Actor.user("ida"), reason="the shop moves")
    until(lambda: not on_its_way(), "the move is recorded")
    Run.objects.update(deadline_at=Run.objects.values("created_at")[:1])

    tower.wait([at_work.id], states={"failed"})

    assert Run.objects.get().outcome == "timed_out"
