"""An operator's shift by the keyboard alone, on each kind of screen that people bring: a laptop, a
phone, a laptop zoomed to 400 % (WCAG 2.2, 1.4.10) and one with the system's own colours."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect

from apps.oversight.models import Approval, Escalation, Snooze
from apps.runs.domain.barrier import StopScope
from apps.runs.models import Stop
from tests.e2e.conftest import PageAs
from tests.e2e.test_stops import scene as scene  # a fixture of its name
from tests.factories.approvals import USUAL_LADDER, ApprovalFactory
from tests.runs.conftest import Scene
from tests.runs.conftest import make_scene as make_scene  # a fixture of its name

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
SCREENS: dict[str, dict[str, Any]] = {
    "laptop": {"width": 1280, "height": 720},
    "phone": {"width": 375, "height": 700},
    "zoomed": {"width": 320, "height": 180},  # 1280 by 720 at 400 %
    "forced": {"width": 1280, "height": 720},
}
NARROW = {"phone", "zoomed"}


@pytest.fixture(params=SCREENS)
def screen(request: pytest.FixtureRequest) -> str:
    return str(request.param)


class Shift:
    """One operator at one screen, with a keyboard."""

    def __init__(self, page: Page, screen: str, check: Callable[[Page], None]) -> None:
        self.page, self.screen, self._check = page, screen, check

    def looks_right(self, name: str) -> None:
        """Nothing is wider than the screen, and axe finds nothing serious."""
        if folder := os.environ.get("TOWER_SHOTS"):
            self.page.screenshot(path=f"{folder}/shift-{self.screen}-{name}.png")
        assert self.page.evaluate(TOO_WIDE) == [], f"{name} is wider than the screen"
        self._check(self.page)

    def keys(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)

    def go(self, key: str) -> None:
        """To another page, or to this one anew."""
        with self.page.expect_navigation():
            self.keys("g", key)

    def tab_to(self, selector: str, *, most: int = 120) -> None:
        """Go there as a person without a mouse does, and see where one is."""
        for _ in range(most):
            if self.page.evaluate("s => document.activeElement.matches(s)", selector):
                focused = self.page.locator(":focus")
                assert focused.evaluate(SEEN), f"{selector} has the focus and can't be seen"
                return
            self.keys("Tab")
        pytest.fail(f"no Tab leads to {selector}")

    def open(self, approval: Approval) -> None:
        """From the list, by Enter on its row."""
        self.go("a")
        rows = self.page.locator("#grid tbody tr")
        row = self.page.locator(f"#grid tbody tr[data-id='{approval.pk}']")
        expect(row).to_be_visible()
        if self.screen not in NARROW:  # where a keyboard is the usual way, it is there at once
            expect(rows.first).to_be_focused()
        for _ in range(rows.count() + 1):
            if row.evaluate("row => row === document.activeElement"):
                break
            self.keys("j")
        expect(row).to_be_focused()
        self.keys("Enter")
        expect(self.page.locator(f"#panel[data-id='{approval.pk}']")).to_be_visible()

    def approve(self) -> None:
        """Read to the end, wait out the time of reading, and press the button."""
        button = self.page.locator("[data-answer=approve]")
        unseen = self.page.locator("#show-unseen")
        for _ in range(60):
            if unseen.is_hidden():
                break
            self.keys("Control+Enter")
            self.page.wait_for_timeout(100)
        expect(button).to_have_attribute("aria-disabled", "false", timeout=15_000)
        self.page.locator("#reason").focus()
        self.keys("Control+Enter")
        expect(button).to_be_focused()
        self.keys("Enter")
        expect(self.page.locator("#panel")).to_contain_text("Approved by you")


TOO_WIDE = """() => {
  const right = (el) => Math.round(el.getBoundingClientRect().right);
  const { scrollWidth } = document.documentElement;
  if (scrollWidth <= innerWidth) return [];
  const wide = [...document.body.querySelectorAll("*")].filter((el) => right(el) > innerWidth + 1);
  return [`${scrollWidth} of ${innerWidth}`, ...wide.map((el) => `${el.tagName} ${right(el)}`)];
}"""
SEEN = """el => {
  const box = el.getBoundingClientRect();
  const [x, y] = [Math.min(box.width, 40) / 2, Math.min(box.height, 40) / 2];
  const at = document.elementFromPoint(box.left + x, box.top + y);
  return Boolean(at) && (el.contains(at) || at.contains(el));
}"""
# The system's colours say which page and which tab is open by a line that no other one has.
MARKED = """() => [".nav a", ".tabs a"].map((links) => {
  const shown = [...document.querySelectorAll(links)].filter((link) => link.checkVisibility());
  const line = (link) => {
    const look = getComputedStyle(link);
    return [look.borderInlineStartWidth, look.borderBlockEndColor].join();
  };
  const current = shown.find((link) => link.ariaCurrent);
  return shown.every((link) => link === current || line(link) !== line(current));
})"""


@pytest.fixture
def shift(page_as: PageAs, screen: str, no_serious_violations: Callable[[Page], None]) -> Shift:
    page = page_as("operator", phone=screen == "phone", theme="dark" if screen == "phone" else "")
    page.set_viewport_size(SCREENS[screen])  # type: ignore[arg-type]  # a ViewportSize
    if screen == "forced":
        page.emulate_media(forced_colors="active")
    return Shift(page, screen, no_serious_violations)


def test_a_whole_shift(shift: Shift, scene: Scene) -> None:
    now = timezone.now()
    medium, high, low, odd = (
        ApprovalFactory.create(
            sentence=f"Cancel reservation {code} of Aarav Garcia and refund $1,240.00",
            risk=risk,
            expires_at=now + timedelta(minutes=minutes),
            ladder=USUAL_LADDER,
            undo_s=300,
        )
        for code, risk, minutes in (
            ("Q69X3R", 2, 40),
            ("ZFA04Y", 3, 60),
            ("EHGLP3", 1, 90),
            ("ODD4ME", 2, 200),
        )
    )
    page = shift.page
    page.goto("/")
    shift.looks_right("home")

    shift.open(medium)
    shift.looks_right("sheet")
    if shift.screen == "forced":
        assert page.evaluate(MARKED) == [True, True], "no line says which page is open"
    shift.keys("a")
    expect(page.locator("#reason")).to_be_focused()
    shift.approve()
    if not shift.page.locator("#grid").count():
        expect(page.locator("#panel-title")).to_be_focused()
    else:
        expect(page.locator("#grid tbody tr").nth(1)).to_be_focused()
    shift.keys("z")
    expect(page.locator("#panel")).not_to_contain_text("Approved by you")
    assert Approval.objects.get(pk=medium.pk).state == "pending"

    shift.open(high)
    shift.keys("r")
    expect(page.locator("#reason")).to_be_focused()
    assert page.locator("#reason").evaluate(SEEN)
    page.keyboard.type("The fare can't be refunded")
    shift.looks_right("answer")
    shift.keys("Control+Enter")
    expect(page.locator("#panel")).to_contain_text("Rejected by you")

    shift.open(low)
    shift.keys("!")
    expect(page.locator("#note")).to_be_focused()
    assert page.locator("#note").evaluate(SEEN)
    page.keyboard.type("Odd fare")
    shift.keys("Control+Enter")
    expect(page.locator("#escalation")).to_contain_text("Odd fare")
    assert Escalation.objects.get(approval=low).note == "Odd fare"

    shift.open(odd)
    shift.keys("s")
    expect(page.locator("#snooze button").first).to_be_focused()
    shift.keys("Enter")
    expect(page.get_by_text("Hidden from your queue until").first).to_be_visible()
    assert Snooze.objects.filter(approval=odd).exists()

    shift.go("x")
    shift.tab_to("input[name=what], [list]")
    page.keyboard.type("tool shop/refund")
    shift.keys("Enter")
    expect(page.locator("#preview")).to_contain_text("Stop tool shop/refund?")
    shift.looks_right("stop")
    shift.tab_to("#preview textarea, #preview input[name=reason]")
    page.keyboard.type("Sums are wrong")
    shift.tab_to("#preview button:not([type=button])")
    shift.keys("Enter")
    expect(page.locator("article.stop").first).to_contain_text("shop/refund")
    assert Stop.objects.get(lifted_at=None).scope == StopScope.TOOL
    shift.looks_right("stops")

    shift.go("r")
    shift.looks_right("runs")
    shift.keys("?")
    expect(page.locator("#help")).to_be_visible()
    shift.looks_right("help")
    shift.keys("Escape")
    expect(page.locator("#help")).to_be_hidden()
    shift.go("o")
    shift.looks_right("outcomes")
