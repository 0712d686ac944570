"""Photograph the running product for the README: ``make screenshots`` while ``make up`` runs.

Logs in with the log-ins of ``var/logins.txt``, opens each page as the person whose page it is, and
writes PNGs to ``docs/figures/`` (or another folder given as the first argument).
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

from tests import browser

ROOT = Path(__file__).resolve().parents[1]
VAR = ROOT / "var"
TOUR = ROOT / "docs" / "figures"
DESKTOP, PHONE = (1360, 850), (375, 760)


@dataclass(frozen=True)
class Shot:
    """One picture: who looks at which page. ``follow`` clicks the first match after loading."""

    name: str
    role: str
    path: str
    size: tuple[int, int] = DESKTOP
    scheme: str = "light"
    follow: str = ""


SHOTS = (
    Shot("home", "operator", "/"),
    Shot("approvals", "operator", "/approvals/"),
    Shot("approvals-dark", "operator", "/approvals/", scheme="dark"),
    Shot("approvals-phone", "operator", "/approvals/", size=PHONE),
    Shot("runs", "operator", "/runs/"),
    Shot("run", "operator", "/runs/?state=succeeded", follow="table.runs tbody th a"),
    Shot("outcomes", "product_manager", "/outcomes/?range=1h"),
    Shot("catalog", "admin", "/catalog/"),
    Shot("policies", "admin", "/policies/airline/"),
    Shot("contract-editor", "admin", "/catalog/jobs/airline-cancel-reservation/draft/"),
    Shot("audit", "auditor", "/audit/"),
)


def logins() -> dict[str, tuple[str, str]]:
    """The first log-in of each role."""
    found: dict[str, tuple[str, str]] = {}
    for line in (VAR / "logins.txt").read_text().splitlines():
        parts = line.split()
        if len(parts) == 3 and not line.startswith("#"):
            found.setdefault(parts[0], (parts[1], parts[2]))
    return found


@contextmanager
def page_as(browser: Browser, url: str, login: tuple[str, str], shot: Shot) -> Iterator[Page]:
    """A page in a fresh session of this person."""
    context = browser.new_context(
        viewport={"width": shot.size[0], "height": shot.size[1]},
        color_scheme="dark" if shot.scheme == "dark" else "light",
        reduced_motion="reduce",
        base_url=url,
    )
    page = context.new_page()
    page.goto("/accounts/login/")
    page.fill("input[name=username]", login[0])
    page.fill("input[name=password]", login[1])
    page.press("input[name=password]", "Enter")
    page.wait_for_load_state("networkidle")
    yield page
    context.close()


def take(browser: Browser, url: str, people: Mapping[str, tuple[str, str]], shot: Shot) -> Path:
    """Take one picture and return its file."""
    target = (Path(sys.argv[1]) if len(sys.argv) > 1 else TOUR) / f"{shot.name}.png"
    target.parent.mkdir(parents=True, exist_ok=True)
    with page_as(browser, url, people[shot.role], shot) as page:
        page.goto(shot.path)
        page.wait_for_timeout(1500)
        if shot.follow and page.locator(shot.follow).count():
            page.locator(shot.follow).first.click()
            page.wait_for_timeout(1500)
        page.screenshot(path=str(target))
    return target


def main() -> None:
    """Take all pictures of the tower that runs now."""
    state = VAR / "run" / "state.json"
    if not state.exists():
        sys.exit("The tower doesn't run: start it with `make up` first.")
    url, people = json.loads(state.read_text())["url"], logins()
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=browser.executable(),
            args=["--no-sandbox", "--disable-quic", "--disable-background-networking"],
        )
        for shot in SHOTS:
            sys.stdout.write(f"{take(chromium, url, people, shot)}\n")
        chromium.close()


if __name__ == "__main__":
    main()
