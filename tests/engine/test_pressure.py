"""Caps and rates at the claim, and overload of a real tower."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from apps.runs import journal
from apps.runs.journal import claiming, pressure
from apps.runs.models import Cap, Rate, Step
from apps.runs.work import Claimed
from tests.runs.conftest import Scene
from tests.runs.conftest import make_scene as make_scene  # a fixture of its name
from tests.runs.conftest import scene as scene  # a fixture of its name
from tests.runs.test_journal import step_row


@pytest.fixture(autouse=True)
def fresh_caps() -> Iterator[None]:
    pressure.forget_caps()
    yield
    pressure.forget_caps()


def due(limit: int = 100) -> list[Claimed]:
    return claiming.due("normal", limit=limit, engine_version=1)


def queue_steps(scene: Scene, count: int, **changes: str) -> None:
    run = scene.run(**changes)
    rows = [step_row(run, seq) for seq in range(1, count + 1)]
    journal.add_steps(rows, owner="", lease_s=None)


@pytest.mark.django_db
def test_without_caps_nothing_is_parked_and_nothing_counted(
    scene: Scene, django_assert_num_queries: pytest.FixtureRequest
) -> None:
    queue_steps(scene, 5)
    works = due()
    pressure.part(works)  # reads the caps
    with django_assert_num_queries(0):  # type: ignore[operator]  # a callable fixture
        assert pressure.part(works) == (works, [])


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("scope", "key"),
    [
        ("tool", "shop/refund"),
        ("job", "shop-refund"),
        ("agent", "shop-reference"),
        ("tenant", "acme"),
    ],
)
def test_a_cap_counts_what_runs_already(scene: Scene, scope: str, key: str) -> None:
    Cap.objects.create(scope=scope, key=key, max_in_flight=3)
    queue_steps(scene, 6, tenant="acme")
    claiming.lease(due(2), owner="other", lease_s=30)

    kept, parked = pressure.part(due())

    assert (len(kept), len(parked)) == (1, 3)
    assert parked[0].waits_for == f"cap of 3 at once for {scope} {key}"


@pytest.mark.django_db
def test_a_rate_is_charged_with_the_claim_and_kept_for_all(scene: Scene) -> None:
    Cap.objects.create(scope="job", key="shop-refund", per_minute=12)  # bucket of two
    queue_steps(scene, 6)
    kept, parked = pressure.part(due())
    assert (len(kept), len(parked)) == (2, 4)
    assert Rate.objects.get().key == "cap:job:shop-refund"

    kept, parked = pressure.part(due())

    assert (len(kept), len(parked)) == (0, 6)
    assert 3 < (parked[0].retry_in_s or 0) <= 5


@pytest.mark.django_db
def test_what_this_worker_holds_already_goes_back_with_the_reason(scene: Scene) -> None:
    Cap.objects.create(scope="tool", key="shop/refund", max_in_flight=1)
    queue_steps(scene, 3)
    works = claiming.lease(due(), owner="w", lease_s=30)

    assert pressure.keep(works) == works[:1]

    back = Step.objects.filter(state="queued")
    assert [s.waits_for for s in back] == ["cap of 1 at once for tool shop/refund"] * 2
    assert all(s.lease_token is None for s in back)
    assert due() == []
