"""A real site, and a real browser before it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.conf import settings
from django.contrib.sessions.backends.db import SessionStore
from django.db import connections
from playwright.sync_api import Browser, BrowserContext, Page, Playwright, expect, sync_playwright

from apps.accounts.models import User
from tests import browser
from tests.conftest import BACKEND, ROLES
from tests.factories.accounts import UserFactory

DESK = {"width": 1360, "height": 700}
PHONE = {"width": 375, "height": 700}
SERIOUS = {"serious", "critical"}
# Nobody waits as long on a machine with nothing else to do; only a failing test takes longer.
PATIENCE_MS = 30_000
expect.set_options(timeout=PATIENCE_MS)
# Playwright's own loop runs in this thread, and Django would take that for an async context.
os.environ.setdefault("DJANGO_ALLOW_ASYNC_UNSAFE", "1")

PageAs = Callable[..., Page]


# For the package only: while it runs, no other test of this process can run an event loop.
@pytest.fixture(scope="package")
def browser_engine() -> Iterator[Playwright]:
    with sync_playwright() as engine:
        yield engine


@pytest.fixture(scope="package")
def chromium(browser_engine: Playwright) -> Iterator[Browser]:
    """Debian's Chromium, without the windows and menus that it would draw for nobody where that is
    installed. Without one the browser tests are skipped by name, or fail where
    ``TOWER_REQUIRE_BROWSER=1`` says that there has to be one."""
    executable = browser.executable()
    if executable is None:
        if os.environ.get("TOWER_REQUIRE_BROWSER") == "1":
            pytest.fail("No Chromium found, and TOWER_REQUIRE_BROWSER=1 asks for one.")
        pytest.skip("no Chromium on this machine (apt-get install chromium)")
    options = ["--no-sandbox", "--force-color-profile=srgb", "--font-render-hinting=none"]
    started = browser_engine.chromium.launch(executable_path=executable, args=options)
    yield started
    started.close()


@pytest.fixture(scope="session")
def front_door(django_db_setup: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The whole site, HTTP and WebSockets, as a process of its own on the test database."""
    with site(tmp_path_factory.mktemp("site")) as url:
        yield url


@contextmanager
def site(folder: Path, **environment: str) -> Iterator[str]:
    """A site on the test database, told what is given besides; its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    database = urlsplit(os.environ["DATABASE_URL"])
    name = connections["default"].settings_dict["NAME"]
    env = os.environ | {
        "DATABASE_URL": database._replace(path=f"/{name}").geturl(),
        "TOWER_ORIGIN": url,
        "TOWER_PROCESS": "site-under-test",
        **environment,
    }
    command = [sys.executable, "-m", "uvicorn", "controltower.asgi:application"]
    log = folder / "site.log"
    with log.open("w") as output:
        served = subprocess.Popen(
            [*command, "--port", str(port), "--lifespan", "off", "--log-level", "warning"],
            env=env,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        _wait_for(port, served, log)
        yield url
    finally:
        served.terminate()
        try:
            served.wait(timeout=10)
        except subprocess.TimeoutExpired:
            served.kill()
            served.wait()


def _wait_for(port: int, site: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and site.poll() is None:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.05)
    pytest.fail(f"The site did not start:\n{log.read_text()[-4000:]}")


@pytest.fixture
def live_site(front_door: str, transactional_db: None) -> str:
    """The address of the site, on a database that is emptied after the test."""
    return front_door


@pytest.fixture
def site_people(live_site: str) -> dict[str, User]:
    """The people of ``people``, committed, so that the site sees them."""
    return {name: UserFactory.create(username=name, role=role) for name, role in ROLES.items()}


@pytest.fixture
def page_as(live_site: str, chromium: Browser, site_people: dict[str, User]) -> Iterator[PageAs]:
    """``page_as("operator", phone=True, theme="dark")``: a page with that person logged in. Errors
    of the page (script, Content-Security-Policy) fail the test at its end."""
    contexts: list[BrowserContext] = []
    errors: list[str] = []

    def make(role: str | None, *, phone: bool = False, theme: str = "light") -> Page:
        context = chromium.new_context(
            base_url=live_site,
            viewport=PHONE if phone else DESK,  # type: ignore[arg-type]  # a ViewportSize
            has_touch=phone,
            color_scheme="dark" if theme == "dark" else "light",
            reduced_motion="reduce",
        )
        context.set_default_timeout(PATIENCE_MS)
        contexts.append(context)
        if role is not None:
            context.add_cookies([_session_cookie(live_site, site_people[role])])
        page = context.new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda said: errors.append(said.text) if _matters(said) else None)
        return page

    yield make
    for context in contexts:
        context.close()
    assert errors == []


def _matters(said: Any) -> bool:
    """Script errors and policy violations matter; an HTTP status that a test provokes does not."""
    provoked = ("Failed to load resource", "Response Status Error Code", "WebSocket connection to")
    return said.type == "error" and not said.text.startswith(provoked)


def _session_cookie(url: str, user: User) -> Any:
    session = SessionStore()
    session["_auth_user_id"] = str(user.pk)
    session["_auth_user_backend"] = BACKEND
    session["_auth_user_hash"] = user.get_session_auth_hash()
    session.create()
    return {"name": settings.SESSION_COOKIE_NAME, "value": str(session.session_key), "url": url}


@pytest.fixture
def no_serious_violations() -> Callable[[Page], None]:
    """Fail on what axe calls serious or critical, and name the elements."""

    def check(page: Page) -> None:
        found = Axe().run(page).response["violations"]
        named = [
            f"{v['id']}: {node['target']} {node.get('failureSummary', '')}"
            for v in found
            if v["impact"] in SERIOUS
            for node in v["nodes"]
        ]
        assert named == []

    return check
