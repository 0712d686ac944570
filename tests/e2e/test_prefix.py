"""The whole site below a path of its host, behind a proxy that strips the path or leaves it; and
addresses at which the server takes no live connection."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from django.conf import settings
from playwright.sync_api import Browser, Page, expect

from apps.accounts.models import User
from tests.conftest import ROLES
from tests.e2e import proxy
from tests.e2e.conftest import DESK, PATIENCE_MS, site
from tests.factories.accounts import UserFactory

pytestmark = pytest.mark.browser
PREFIX = "/tower"
PAGES = (
    "", "approvals/", "runs/", "catalog/", "policies/", "outcomes/", "stops/", "system/", "load/",
    "audit/", "accounts/users/", "accounts/settings/",
)  # fmt: skip
LINKS = """() => [...document.querySelectorAll("[href],[src],[action],[hx-get],[hx-post]")]
  .flatMap((el) => ["href", "src", "action", "hx-get", "hx-post"].map((a) => el.getAttribute(a)))
  .filter((v) => v)"""


@pytest.fixture
def people(transactional_db: None) -> dict[str, User]:
    return {name: UserFactory.create(username=name, role=role) for name, role in ROLES.items()}


@pytest.fixture(scope="module", params=["stripped", "kept"])
def below(
    request: pytest.FixtureRequest,
    django_db_setup: None,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[str]:
    """The address of a site below a path, as browsers see it."""
    folder: Path = tmp_path_factory.mktemp("below")
    with ExitStack() as stack:
        # The proxy's port has to be known to the site, and the site's to the proxy.
        behind: list[int] = []
        at = stack.enter_context(proxy.before(behind, PREFIX, strips=request.param == "stripped"))
        origin = f"http://127.0.0.1:{at}"
        url = stack.enter_context(site(folder, TOWER_PREFIX=PREFIX, TOWER_ORIGIN=origin))
        behind.append(urlsplit(url).port or 0)
        yield origin


def page_of(chromium: Browser, origin: str, failed: list[str]) -> Page:
    context = chromium.new_context(base_url=origin, viewport=DESK)  # type: ignore[arg-type]
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    page.on("pageerror", lambda error: failed.append(str(error)))
    page.on("response", lambda r: failed.append(f"{r.status} {r.url}") if r.status > 399 else None)
    page.on("requestfailed", lambda r: _note_failure(r, failed))
    return page


def _note_failure(request: Any, failed: list[str]) -> None:
    # A page that is left gives up what it was loading.
    if "ERR_ABORTED" not in str(request.failure):
        failed.append(f"{request.failure} {request.url}")


def log_in(page: Page, address: str) -> None:
    page.goto(address)
    page.get_by_label("User").fill("admin")
    page.get_by_label("Password").fill("correct horse battery")
    page.get_by_role("button", name="Log in", exact=True).click()


def test_the_whole_site_lies_below_its_path(
    below: str, chromium: Browser, people: dict[str, User]
) -> None:
    people["admin"].set_password("correct horse battery")
    people["admin"].save()
    failed: list[str] = []
    page = page_of(chromium, below, failed)
    log_in(page, f"{PREFIX}/runs/?state=failed")
    # Back on the page that was asked for, inside the path.
    expect(page).to_have_url(f"{below}{PREFIX}/runs/?state=failed")
    expect(page.locator("body")).to_have_attribute("data-conn", "live")
    for name in PAGES:
        page.goto(f"{PREFIX}/{name}")
        expect(page.locator("main h1").first).to_be_visible()
        outside = [
            link
            for link in page.evaluate(LINKS)
            if link.startswith("/") and not link.startswith(f"{PREFIX}/")
        ]
        assert outside == [], name
    page.keyboard.press("g")
    page.keyboard.press("h")
    expect(page).to_have_url(f"{below}{PREFIX}/")
    page.get_by_role("button", name=re.compile("^Theme")).click()
    cookies = {c["name"]: c for c in page.context.cookies(f"{below}{PREFIX}/")}
    for name in (settings.SESSION_COOKIE_NAME, "csrftoken", "theme"):
        assert cookies[name]["path"] == PREFIX, name
    page.get_by_role("button", name="You:").click()
    page.get_by_role("button", name="Log out").click()
    expect(page).to_have_url(re.compile(rf"^{below}{PREFIX}/accounts/"))
    assert failed == []
    page.context.close()


def test_programs_find_everything_below_the_path(below: str) -> None:
    with httpx.Client(base_url=below) as client:
        assert client.get(f"{PREFIX}/healthz").text == "ok\n"
        described = client.get(f"{PREFIX}/api/v1/openapi.json").json()
        assert all(path.startswith(f"{PREFIX}/api/v1/") for path in described["paths"])
        assert client.get(f"{PREFIX}/api/v1/nothing").headers["content-type"].endswith("+json")
        assert client.get(PREFIX).headers["location"].startswith(f"{PREFIX}/accounts/")
        for outside in ("/", "/healthz", f"{PREFIX}s/healthz"):
            assert client.get(outside).status_code == 404


def test_the_other_name_of_this_machine_is_live_too(
    live_site: str, chromium: Browser, people: dict[str, User]
) -> None:
    people["admin"].set_password("correct horse battery")
    people["admin"].save()
    failed: list[str] = []
    page = page_of(chromium, live_site.replace("127.0.0.1", "localhost"), failed)
    log_in(page, "/")
    expect(page.locator("body")).to_have_attribute("data-conn", "live")
    expect(page.locator("#origin-note")).to_be_hidden()
    assert failed == []
    page.context.close()


def test_an_address_without_live_connections_says_so_and_where_they_are(
    django_db_setup: None, tmp_path: Path, chromium: Browser, people: dict[str, User]
) -> None:
    people["admin"].set_password("correct horse battery")
    people["admin"].save()
    failed: list[str] = []
    with site(tmp_path, TOWER_ORIGIN="http://tower.example.com") as url:
        page = page_of(chromium, url, failed)
        log_in(page, "/")
        note = page.locator("#origin-note")
        expect(note).to_contain_text("takes live connections at http://tower.example.com/")
        expect(page.locator("#conn-text")).to_have_text("Live, every 5 s")
        page.context.close()
    assert failed == []
