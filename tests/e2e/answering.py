"""How an operator reads a question to its end and approves it, by keys."""

from __future__ import annotations

from playwright.sync_api import Page, expect


def show_all(page: Page) -> None:
    """Read on until nothing of the question is left that was not on the screen."""
    show = page.locator("#show-unseen")
    for _ in range(400):
        if show.is_hidden():
            return
        show.evaluate("button => button.click()")  # it may go while it is clicked
        page.wait_for_timeout(60)
    raise AssertionError("something can't be brought to the screen")


def approve_by_key(page: Page) -> None:
    """Ctrl+Enter leads to what was not shown yet, then to the button; Enter presses it."""
    approve = page.locator("[data-answer=approve]")
    show_all(page)
    expect(approve).to_have_attribute("aria-disabled", "false", timeout=10_000)
    page.locator("#reason").focus()
    page.keyboard.press("Control+Enter")
    expect(approve).to_be_focused()
    expect(page.locator("#decide-hint")).to_have_text("Enter approves, Esc goes back")
    page.keyboard.press("Control+Enter")
    expect(page.locator("#refusal")).to_contain_text("Enter alone approves")
    page.keyboard.press("Enter")
