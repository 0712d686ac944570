"""A form that is refused says so beside what was typed, and one that is sent twice counts once."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect

from apps.audit.domain.actors import Actor
from apps.runs import services
from apps.runs.models import Cap, Run
from tests.e2e.conftest import PageAs
from tests.factories.runs import JOB, RunFactory, StepFactory, contract_version
from tests.runs.test_forking import parent_run

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
Check = Callable[[Page], None]


@pytest.mark.parametrize(("phone", "theme"), [(False, "light"), (True, "dark")])
def test_a_cap_is_mended_where_it_was_typed(
    page_as: PageAs, no_serious_violations: Check, phone: bool, theme: str
) -> None:
    contract_version(JOB)
    page = page_as("admin", phone=phone, theme=theme)
    page.goto("/load/")
    page.get_by_label("What is capped").select_option("job")
    page.get_by_label("Its name").fill("no-such-job")
    page.get_by_label("Why").fill("a slow week")
    page.get_by_role("button", name="Set the cap").click()

    expect(page.get_by_text("There is no job “no-such-job”")).to_be_visible()
    expect(page.get_by_text("Say how many at once, how many a minute, or both.")).to_be_visible()
    assert page.url.endswith("/load/")
    no_serious_violations(page)
    expect(page.get_by_label("Why")).to_have_value("a slow week")
    page.get_by_label("Its name").fill(JOB)
    page.get_by_label("Steps at once").fill("2")
    page.get_by_role("button", name="Set the cap").click()

    expect(page.locator("#toasts")).to_contain_text(f"Capped: job {JOB}")
    assert Cap.objects.get().reason == "a slow week"


def test_a_conflict_is_told_in_the_dialog_and_keeps_the_reason(page_as: PageAs) -> None:
    run = RunFactory.create()
    page = page_as("operator")
    page.goto(f"/runs/{run.id}/")
    page.get_by_role("button", name="Pause…").click()
    services.pause_run(run.id, actor=Actor.user("ida"), reason="the warehouse is being counted")
    page.get_by_label("Reason, shown on the page").fill("A recall")
    page.get_by_role("button", name="Pause the run").click()

    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("alert")).to_contain_text("ida paused the run already")
    expect(dialog.get_by_label("Reason, shown on the page")).to_have_value("A recall")


def test_a_double_click_and_a_form_sent_again_make_one_branch(page_as: PageAs) -> None:
    parent = parent_run()
    page = page_as("operator")
    page.goto(f"/runs/{parent.id}/fork/?after=2")
    page.get_by_label("Reason, for the audit log").fill("to see")
    # As impatient as can be: both clicks are on their way before the first is answered.
    page.evaluate("""() => {
      const form = document.querySelector("form.fork"), data = new FormData(form);
      window.answers = Promise.all([1, 2].map(() =>
        fetch(form.action, { method: "POST", body: new URLSearchParams(data) })));
    }""")
    urls = page.evaluate("async () => (await window.answers).map((a) => a.url)")
    page.get_by_role("button", name="Fork the run").dblclick()
    expect(page.locator("#run-head")).to_contain_text("forked after")

    branch = Run.objects.get(parent_id=parent.id)
    assert {*urls, page.url} == {page.url}
    assert str(branch.id) in page.url


def test_what_can_be_done_follows_the_run(page_as: PageAs) -> None:
    run = RunFactory.create()
    step = StepFactory.create(run=run, seq=1, state="running")
    page = page_as("operator")
    page.goto(f"/runs/{run.id}/")
    expect(page.get_by_role("button", name="Pause…")).to_be_visible()
    cancel = page.get_by_role("button", name="Cancel the run…")
    cancel.click()
    now = timezone.now()
    type(step).objects.filter(pk=step.pk).update(state="succeeded", finished_at=now)
    Run.objects.filter(pk=run.pk).update(state="succeeded", outcome="resolved", finished_at=now)

    tick = f"document.body.dispatchEvent(new CustomEvent('tick:run:{run.id}'))"
    page.evaluate(tick)
    expect(page.locator("#run-head")).to_contain_text("Succeeded")
    expect(page.get_by_role("dialog")).to_be_visible()  # not taken from somebody's hands
    page.get_by_role("button", name="Keep it running").click()
    page.locator("h1").click()
    page.wait_for_timeout(1100)  # the head asks at most once a second
    page.evaluate(tick)

    expect(cancel).to_have_count(0)
    expect(page.get_by_role("button", name="Pause…")).to_have_count(0)
