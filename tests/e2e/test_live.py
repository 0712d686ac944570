"""Live updates in a browser: ticks, gaps, the stale banner, and life without a socket."""

from __future__ import annotations

import pytest
from django.db import transaction
from playwright.sync_api import Page, Route, WebSocketRoute, expect

from apps.audit.domain.actors import ENGINE
from apps.audit.services import record
from apps.runs.models import Run, Step
from tests.e2e.conftest import PageAs
from tests.factories.runs import RunFactory, StepFactory

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def finish(run: Run) -> None:
    """What the engine does at a run's end: the row, the event, and the tick after commit."""
    with transaction.atomic():
        Run.objects.filter(pk=run.pk).update(state="succeeded", outcome="resolved")
        record(
            kind="run.finished", actor=ENGINE, subject_type="run", subject_id=run.pk,
            run_id=run.pk,
        )  # fmt: skip


def conn(page: Page, state: str, timeout: float = 20_000) -> None:
    expect(page.locator("body")).to_have_attribute("data-conn", state, timeout=timeout)


def test_a_tick_refreshes_the_page_of_the_run(page_as: PageAs) -> None:
    run = RunFactory.create()
    page = page_as("operator")
    page.goto(f"/runs/{run.id}/")
    conn(page, "live")

    finish(run)

    expect(page.locator("#run-head")).to_contain_text("Resolved", timeout=10_000)


def test_the_list_changes_rows_in_place_and_holds_new_ones_back(page_as: PageAs) -> None:
    run = RunFactory.create()
    page = page_as("operator")
    page.goto("/runs/")
    conn(page, "live")

    RunFactory.create()
    finish(run)

    expect(page.locator(f"#run-{run.id}")).to_contain_text("Resolved", timeout=10_000)
    expect(page.locator("tr[data-run]")).to_have_count(1)
    expect(page.locator("#fresh")).to_contain_text("1 new run: show")
    page.keyboard.press(".")
    expect(page.locator("tr[data-run]")).to_have_count(2)


def test_what_a_queued_step_waits_for_is_seen_without_an_event(page_as: PageAs) -> None:
    run = RunFactory.create(state="queued")
    step = StepFactory.create(run=run, seq=1, state="queued")
    page = page_as("operator")
    page.goto(f"/runs/{run.id}/")
    conn(page, "live")

    Step.objects.filter(pk=step.pk).update(waits_for="breaker of airline/look is open")

    expect(page.locator("#run-head")).to_contain_text("breaker of airline/look is open")


def test_the_last_of_many_events_is_seen(page_as: PageAs) -> None:
    """Parts ask at most once in two seconds: what comes in between isn't lost."""
    run = RunFactory.create()
    page = page_as("operator")
    page.goto(f"/runs/{run.id}/")
    conn(page, "live")
    for seq in (1, 2):
        with page.expect_response(f"**/runs/{run.id}/state/"), transaction.atomic():
            StepFactory.create(run=run, seq=seq, state="queued")
            record(
                kind="step.queued", actor=ENGINE, subject_type="step", subject_id=seq,
                run_id=run.pk,
            )  # fmt: skip

    expect(page.locator(".tl-row[data-seq='2']")).to_be_visible()


def test_a_stream_that_never_rests_is_told_of(page_as: PageAs) -> None:
    page = page_as("operator")
    page.add_init_script("""
      window.sockets = [];
      window.WebSocket = class extends WebSocket {
        constructor(...given) { super(...given); window.sockets.push(this); }
      };
    """)
    page.goto("/runs/")
    conn(page, "live")
    told = page.evaluate(
        """() => new Promise((done) => {
          let told = 0, sent = 0;
          document.body.addEventListener("tick:tower", () => { told += 1; });
          const wire = window.sockets.at(-1);
          const timer = setInterval(() => {
            const data = JSON.stringify({ stream: "tower", seq: 1e9 + sent, kind: "x", id: "" });
            wire.dispatchEvent(new MessageEvent("message", { data }));
            if (++sent === 30) { clearInterval(timer); done(told); }
          }, 50);
        })"""
    )
    assert told > 0


def test_paused_pages_wait_and_catch_up(page_as: PageAs) -> None:
    run = RunFactory.create()
    page = page_as("operator")
    page.goto(f"/runs/{run.id}/")
    conn(page, "live")

    page.keyboard.press("l")
    conn(page, "paused")
    finish(run)
    expect(page.locator("#conn-text")).to_contain_text("new", timeout=10_000)
    expect(page.locator("#run-head")).not_to_contain_text("Resolved")
    page.keyboard.press("l")

    expect(page.locator("#run-head")).to_contain_text("Resolved", timeout=10_000)


def test_without_a_socket_the_page_asks_every_five_seconds(page_as: PageAs) -> None:
    run = RunFactory.create()
    page = page_as("operator")
    page.route_web_socket("**/ws/live/**", lambda ws: ws.close())
    page.goto(f"/runs/{run.id}/")
    conn(page, "polling")

    finish(run)

    expect(page.locator("#run-head")).to_contain_text("Resolved", timeout=15_000)


def test_a_dead_line_is_shown_as_stale_and_mends(page_as: PageAs) -> None:
    run = RunFactory.create()
    page = page_as("operator")
    cut = {"is": False}
    sockets: list[WebSocketRoute] = []

    def wire(ws: WebSocketRoute) -> None:
        if cut["is"]:
            ws.close()
            return
        sockets.append(ws)
        ws.connect_to_server()

    def ask(route: Route) -> None:
        if cut["is"]:
            route.abort()
        else:
            route.continue_()

    page.route_web_socket("**/ws/live/**", wire)
    page.route("**/events/head/**", ask)
    # The question that a page asks when its socket opens has to be answered before the cut.
    with page.expect_response("**/events/head/**"):
        page.goto(f"/runs/{run.id}/")
    conn(page, "live")

    cut["is"] = True
    for ws in sockets:
        ws.close()
    expect(page.locator("body")).not_to_have_attribute("data-conn", "live", timeout=10_000)
    finish(run)

    conn(page, "stale", 30_000)
    banner = page.locator("#conn-banner")
    expect(banner).to_be_visible()
    expect(banner).to_contain_text("stale since")
    expect(page.locator("#run-head")).not_to_contain_text("Resolved")

    cut["is"] = False

    expect(page.locator("#run-head")).to_contain_text("Resolved", timeout=10_000)
    expect(banner).to_be_hidden()
    conn(page, "live", 35_000)
