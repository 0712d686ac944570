"""Steps that end their workers are found out, whatever they do; those beside them go on."""

from __future__ import annotations

import json
import os
from typing import Any

import pytest

from apps.runs.models import Run, Step
from tests.engine.conftest import Tower
from tests.engine.deadly_tools import ENDS
from tests.engine.shop import address, busy_script, call

MOVE = "modify_user_address"


def deadly(how: str, when: str) -> list[dict[str, Any]]:
    arguments = {**address(1), "address1": how, "address2": when}
    return [{"hear": "Please."}, call(MOVE, 0, **arguments), {"done": "moved"}]


@pytest.fixture
def workers(tower: Tower) -> Tower:
    """Two workers and a sweeper, with tools that live in the workers' own processes."""
    tower.env["TOWER_TOOL_SERVERS"] = json.dumps({"retail": "python:tests.engine.deadly_tools"})
    tower.env["TOWER_STUCK_SECONDS"] = "3"
    tower.env["TOWER_LEASE_SECONDS"] = "10"
    tower.spawn("sweep")
    for _ in range(2):
        tower.worker()
    return tower


KINDS = os.environ.get("TOWER_TEST_ENDS", "segfault,kill,match").split(",")  # or "all"


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_steps_that_end_their_workers_are_poison_and_nothing_beside_them_is(workers: Tower) -> None:
    kinds = list(ENDS) if KINDS == ["all"] else KINDS
    bad = workers.start([deadly(how, when) for how in kinds for when in ("quick", "")])
    beside = workers.start([busy_script(3)] * 20)

    workers.wait([*bad, *beside], seconds=800)
    more = workers.start([busy_script(1)] * 5)
    workers.wait(more, seconds=60)

    good = Run.objects.filter(id__in=[*beside, *more])
    assert set(good.values_list("state", flat=True)) == {"succeeded"}
    for step in Step.objects.filter(run_id__in=bad):
        assert (step.state, step.error_class) == ("confirmation_unknown", "poison"), step.arguments
        assert "Each worker that carried out this step ended with it" in step.error
        assert step.lease_losses <= 14, step.arguments


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_step_whose_judging_hangs_is_ended_with_the_reason(tower: Tower) -> None:
    tower.env |= {"TOWER_STUCK_SECONDS": "3", "TOWER_LEASE_SECONDS": "10"}
    tower.spawn("sweep")
    for _ in range(2):
        tower.spawn("worker", "--lane", "normal", program=("-m", "tests.engine.hanging"))
    judged = tower.start([deadly("hang in schema_error", "")])
    recorded = tower.start([deadly("hang in settled", "")])
    beside = tower.start([busy_script(3)] * 20)

    tower.wait([*judged, *recorded, *beside], seconds=300)

    good = Run.objects.filter(id__in=beside)
    assert set(good.values_list("state", flat=True)) == {"succeeded"}
    [step] = Step.objects.filter(run_id__in=judged)
    assert (step.state, step.error_class) == ("failed", "poison")
    assert "the last one hung with nothing else to blame" in step.error
    assert Run.objects.get(id__in=judged).summary.startswith("Step 1, modify_user_address: Each")
    [step] = Step.objects.filter(run_id__in=recorded)
    assert (step.state, step.error_class) == ("confirmation_unknown", "poison")
