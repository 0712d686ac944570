"""Something is stopped, let go on in stages and lifted; a breaker is opened by hand."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect

from apps.catalog.models import ToolVersion
from apps.runs import journal
from apps.runs.domain.barrier import StopScope
from apps.runs.models import Breaker, Run, Step, Stop
from apps.runs.services.stops import open_breaker, place_stop
from tests.e2e.conftest import PageAs
from tests.factories.accounts import UserFactory
from tests.runs.conftest import Scene
from tests.runs.conftest import make_scene as make_scene  # a fixture of its name
from tests.runs.test_journal import step_row

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
Check = Callable[[Page], None]


@pytest.fixture
def scene(live_site: str, make_scene: Callable[[], Scene]) -> Scene:
    made = make_scene()
    document = {"name": "refund", "title": "Refund", "input_schema": {"type": "object"}}
    ToolVersion.objects.update(document=document)
    return made


def queue(scene: Scene, count: int) -> list[Run]:
    runs = [scene.run() for _ in range(count)]
    for run in runs:
        insert = journal.add_steps.__wrapped__  # type: ignore[attr-defined]  # no transaction here
        insert([step_row(run)], owner="", lease_s=None)
    return runs


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("phone", [False, True], ids=["desk", "phone"])
def test_the_pages_are_accessible_and_fit(
    page_as: PageAs, scene: Scene, no_serious_violations: Check, phone: bool, theme: str
) -> None:
    [run] = queue(scene, 1)
    person = UserFactory.create(role="operator", username="ida")
    stop_id = place_stop(StopScope.TOOL, "shop/refund", reason="Sums are wrong", person=person)
    Stop.objects.filter(pk=stop_id).update(percent=10, stage_at=timezone.now())
    open_breaker("shop/refund", "", reason="Moving house", person=person)
    page = page_as("admin", phone=phone, theme=theme)

    for url in (
        "/stops/?what=everything",
        f"/runs/{run.id}/?step=1",
        "/catalog/tools/shop/refund/",
    ):
        page.goto(url, timeout=30_000)  # the first page of a process that has just started
        while not page.locator(".stop-banner").count():
            page.reload()  # the site looks for stops every two seconds only
        expect(page.locator(".stop-banner")).to_contain_text("Tool shop/refund")
        if "tools" in url:
            expect(page.get_by_text("held open by ida")).to_be_visible()
        no_serious_violations(page)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), url


def test_a_tool_is_stopped_let_go_on_and_lifted(page_as: PageAs, scene: Scene) -> None:
    queue(scene, 3)
    page = page_as("operator")
    page.goto("/stops/")
    page.get_by_label("What to stop").fill("tool shop/refund")
    page.get_by_role("button", name="Show what it would do").click()
    expect(page.locator("#preview")).to_contain_text("3 queued steps will wait")

    page.get_by_label("Why").fill("Sums are wrong")
    page.get_by_role("button", name="Stop it").click()

    card = page.locator("article.stop")
    expect(card).to_contain_text("Sums are wrong")
    expect(card.locator(".stop-figures")).to_contain_text("3 steps")
    assert Step.objects.filter(waits_for="tool shop/refund is stopped").count() == 3
    card.get_by_role("button", name="Let 10 % of the runs go on").click()
    expect(card.locator("[aria-current=step]")).to_have_text("10 % go on")
    card.get_by_role("button", name="Lift for all…").click()
    page.get_by_label("Why it can go on").fill("Sums are right")
    page.get_by_role("button", name="Lift it for all").click()

    expect(page.get_by_text("Nothing is stopped")).to_be_visible()
    expect(page.locator(".stop-banner")).to_have_count(0)
    assert Step.objects.filter(waits_for="").count() == 3


def test_a_breaker_is_opened_by_hand_and_tried(page_as: PageAs, scene: Scene) -> None:
    page = page_as("operator")
    page.goto("/catalog/tools/shop/refund/")
    page.get_by_text("Open it by hand…").click()
    page.get_by_label("Why").fill("Moving house")
    page.get_by_role("button", name="Open the breaker").click()

    expect(page.locator("#breaker-states")).to_contain_text("held open by operator")
    assert Breaker.objects.get().manual
    page.get_by_text("Let it be tried now…").click()
    page.get_by_label("Why").fill("Moved")
    page.get_by_role("button", name="Let it be tried").click()

    expect(page.locator("#breaker-states")).to_contain_text("2 more probes must succeed")
    assert Breaker.objects.get().state == "half_open"
