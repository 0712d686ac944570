from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from apps.dashboards.selectors import human
from apps.ops import figures
from apps.ops.selectors import detail, health, runs, troubles
from apps.outcomes.selectors.outcomes import RunsInScope
from tests.factories.approvals import ApprovalFactory
from tests.factories.runs import RunFactory, StepFactory, eventful_run, step_done

pytestmark = pytest.mark.django_db


def queries(call) -> int:
    with CaptureQueriesContext(connection) as found:
        call()
    return len(found)


def test_page_costs_the_same_for_one_and_three_rows():
    wanted = runs.RunFilter()
    eventful_run()
    one = queries(lambda: runs.page(wanted))
    eventful_run()
    eventful_run()

    assert queries(lambda: runs.page(wanted)) == one == 2


def test_detail_costs_the_same_for_one_and_three_steps():
    run = RunFactory.create()
    step_done(run, 1, at=timezone.now())
    one = queries(lambda: detail.run_detail(run.id))
    step_done(run, 2, at=timezone.now())
    step_done(run, 3, at=timezone.now())

    assert queries(lambda: detail.run_detail(run.id)) == one


def test_pages_by_key_show_every_run_once():
    now = timezone.now()
    made = [RunFactory.create(created_at=now) for _ in range(3)]
    made += [RunFactory.create(created_at=now - timedelta(minutes=n)) for n in (1, 2, 3, 4)]

    seen, cursor = [], None
    while True:
        page = runs.page(runs.RunFilter(), before=cursor, size=2)
        seen += [row.run.id for row in page.rows]
        if not page.older:
            break
        cursor = runs.Cursor.parse(page.older)

    assert len(seen) == 7
    assert set(seen) == {run.id for run in made}


@pytest.mark.parametrize(
    ("wanted", "count"),
    [
        (runs.RunFilter(states=("failed",)), 1),
        (runs.RunFilter(states=("failed",), needs_me=True), 0),
        (runs.RunFilter(needs_me=True), 1),
        (runs.RunFilter(problems=True), 1),
        (runs.RunFilter(violation=True), 1),
        (runs.RunFilter(tool="send_certificate"), 1),
        (runs.RunFilter(rule="refund-above-limit"), 1),
        (runs.RunFilter(rule="nothing"), 0),
        (runs.RunFilter(text="SOFIA"), 3),
        (runs.RunFilter(outcome="resolved"), 1),
        (runs.RunFilter(until=timezone.now() - timedelta(days=1)), 0),
    ],
)
def test_filters(wanted, count):
    eventful_run()
    RunFactory.create(done=True)
    RunFactory.create(state="failed", outcome="denied")

    assert runs.count(wanted) == count


def test_run_is_found_by_the_end_of_its_id():
    run = RunFactory.create()
    RunFactory.create()

    found = runs.page(runs.RunFilter(text=str(run.id)[-8:]))

    assert [row.run.id for row in found.rows] == [run.id]


def test_export_goes_beyond_one_chunk(monkeypatch):
    monkeypatch.setattr(runs, "EXPORT_CHUNK", 2)
    made = [RunFactory.create() for _ in range(5)]

    assert [run.id for run in runs.export(runs.RunFilter())] == [r.id for r in reversed(made)]


def test_histogram_counts_every_run_once():
    now = timezone.now()
    for minutes in (0, 1, 30, 60):
        RunFactory.create(created_at=now - timedelta(minutes=minutes), done=True)
    RunFactory.create(created_at=now - timedelta(minutes=30), state="failed")

    buckets = runs.histogram(runs.RunFilter(), now=now + timedelta(seconds=1))
    picture = figures.histogram(buckets, now=now)

    assert sum(b.total for b in buckets) == 5
    assert len(buckets) <= runs.BUCKETS + 1
    assert picture.states == ["failed", "succeeded"]


def test_histogram_of_nothing_is_empty():
    assert runs.histogram(runs.RunFilter(), now=timezone.now()) == []


def test_conversation_and_steps_interleave():
    run = eventful_run()

    lines = detail.conversation_until(run.id, None)

    order = [line.message.seq if line.message else f"s{line.step.seq}" for line in lines]
    assert order == [1, "s1", "s2", 2, 3, "s3", "s4", "s5", "s6", "s7"]


def test_timeline_lies_within_its_axis_and_keeps_the_order():
    run = eventful_run()

    for true_scale in (False, True):
        picture = figures.timeline(detail.run_detail(run.id), true_scale=true_scale)
        bars = [bar for lane in picture.lanes for bar in lane.bars]
        assert all(0 <= b.left <= 100 and b.left + b.width <= 100.01 for b in bars)
        placed = sorted(bars, key=lambda b: b.start)
        assert [b.left for b in placed] == sorted(b.left for b in placed)


def test_timeline_gives_short_calls_room_beside_a_long_wait():
    run = eventful_run()
    seen = {}
    for true_scale in (False, True):
        picture = figures.timeline(detail.run_detail(run.id), true_scale=true_scale)
        bars = [b for lane in picture.lanes for b in lane.bars if b.kind == "attempt"]
        seen[true_scale] = sum(b.width for b in bars)

    assert seen[False] > 20 * seen[True]


def test_timeline_shows_at_most_a_page_of_steps():
    run = RunFactory.create()
    for seq in range(1, figures.PAGE_LANES + 3):
        StepFactory.create(run=run, seq=seq)

    picture = figures.timeline(detail.run_detail(run.id), offset=figures.PAGE_LANES)

    assert [picture.first, picture.last, picture.total] == [201, 202, 202]


def test_overview_of_an_empty_tower_names_its_problems():
    found = health.overview()

    assert found.redis_error == ""
    assert {t.kind for t in troubles.troubles(found)} == {"sweeper", "worker"}
    assert [lane.lane for lane in found.lanes] == ["urgent", "normal"]


def test_overview_costs_the_same_for_one_and_three_steps():
    StepFactory.create()
    one = queries(health.overview)
    StepFactory.create()
    StepFactory.create()

    assert queries(health.overview) == one
    assert health.overview().queue_depth == 3


def test_the_approval_filter_finds_the_runs_that_asked(db: None) -> None:
    asked, other = RunFactory.create(), RunFactory.create()
    ApprovalFactory.create(run_id=asked.id, state="rejected")

    assert set(runs.RunFilter(approval="any").rows()) == {asked}
    assert set(runs.RunFilter(approval="rejected").rows()) == {asked}
    assert set(runs.RunFilter(approval="approved").rows()) == set()
    assert set(runs.RunFilter().rows()) == {asked, other}


def test_an_approval_is_found_while_it_can_be_taken_back_as_it_is_counted(db: None) -> None:
    run = RunFactory.create(created_at=timezone.now() - timedelta(minutes=1))
    ApprovalFactory.create(run_id=run.id, state="granted", not_before=timezone.now())
    scope = RunsInScope(timezone.now() - timedelta(hours=1), timezone.now())

    assert human(scope).approved == 1
    assert set(runs.RunFilter(approval="approved").rows()) == {run}
