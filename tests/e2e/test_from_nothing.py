"""A whole job from nothing, in the browser: tools read from their server, agent, policy set, job,
each published by a second admin; then a run of it, held, approved and carried out."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import django_rq
import httpx
import pytest
from django.conf import settings
from django.db import connection
from playwright.sync_api import Page, expect

from apps.accounts.models import User
from apps.accounts.services import create_account, create_token
from apps.catalog.models import Job, Tool
from apps.runs.models import Run
from tests.docs.test_tool_server import TOKEN, Shop
from tests.docs.test_tool_server import shop as shop  # a fixture of its name
from tests.e2e.answering import approve_by_key
from tests.e2e.conftest import PageAs, site

Check = Callable[[Page], None]
pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture
def environment(shop: Shop) -> dict[str, str]:
    """What every process of this tower is told: where the shop's server is."""
    entry = {"shop": {"url": shop.url, "token_env": "DESK_TOKEN"}}
    return {"TOWER_TOOL_SERVERS": json.dumps(entry), "DESK_TOKEN": TOKEN}


@pytest.fixture
def live_site(transactional_db: None, tmp_path: Path, environment: dict[str, str]) -> Iterator[str]:
    with site(tmp_path, **environment) as url:
        yield url


@pytest.fixture
def worker(transactional_db: None, tmp_path: Path, environment: dict[str, str]) -> Iterator[None]:
    """A real worker and the sweeper."""
    db = connection.settings_dict
    auth = f"{quote(db['USER'])}:{quote(db['PASSWORD'])}"
    env = {
        **os.environ,
        **environment,
        "DATABASE_URL": f"postgres://{auth}@{db['HOST']}:{db['PORT']}/{db['NAME']}",
        "REDIS_URL": settings.REDIS_URL,
        "TOWER_SWEEP_SECONDS": "0.5",
    }
    django_rq.get_connection("normal").flushdb()
    started = []
    for arguments in (["worker", "--lane", "normal"], ["sweep"]):
        with (tmp_path / f"{arguments[0]}.log").open("wb") as log:
            started.append(
                subprocess.Popen(
                    [sys.executable, "manage.py", *arguments],
                    cwd=settings.BASE_DIR,
                    env=env,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            )
    yield
    for process in started:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def publish(page: Page, address: str) -> None:
    """As the second admin does."""
    page.goto(address)
    page.get_by_label("Why this is right").fill("read and agreed")
    page.get_by_role("button", name="Publish as v1").click()
    expect(page.locator("main")).not_to_contain_text("not published")


def submit(page: Page) -> None:
    page.get_by_placeholder("Note for the reviewer").fill("a beginning")
    page.get_by_role("button", name="Submit for review").click()
    expect(page.locator("#review-title")).to_have_text("In review")


def begin(page: Page, address: str, **told: str) -> None:
    page.goto(address)
    for label, value in told.items():
        field = page.locator(f"[name={label}]")
        if field.evaluate("f => f.tagName") == "SELECT":
            field.select_option(value)
        else:
            field.fill(value)
    page.get_by_role("button", name="Begin").click()
    expect(page.locator("h1")).to_contain_text("first version")
    expect(page.locator("#findings")).to_contain_text("No problems.")


def _tools(first: Page, second: Page, look: Check) -> None:
    first.goto("/catalog/new/agent/")
    first.get_by_role("link", name="Begin with the tools of a server").click()
    first.get_by_label("Tool server").fill("nobody")
    first.get_by_label("Domain", exact=True).fill("shop")
    first.get_by_label("Name of the domain").fill("Shop desk")
    first.keyboard.press("Enter")
    expect(first.get_by_role("alert")).to_contain_text("nobody")
    look(first)
    first.get_by_label("Tool server").fill("shop")
    first.keyboard.press("Enter")
    find = first.locator(".offers li", has=first.get_by_text("find_order", exact=True))
    refund = first.locator(".offers li", has=first.get_by_text("refund_order", exact=True))
    expect(find).to_contain_text("The server says: reads only")
    look(first)
    find.get_by_label("find_order").check()
    refund.get_by_label("refund_order").check()
    first.get_by_label("Note for the reviewer").fill("a beginning")
    first.get_by_role("button", name="Begin the drafts").click()
    expect(first.get_by_role("alert")).to_contain_text("Fix 2 of the tools first")
    find.get_by_label("A call").select_option("read")
    refund.get_by_label("A call").select_option("irreversible")
    refund.get_by_label("If its answer is lost").select_option("keyed")
    refund.get_by_label("Tried first with").select_option("tower_preview")
    refund.get_by_label("Looked up with").select_option("tower_lookup")
    first.get_by_role("button", name="Begin the drafts").click()
    expect(first.locator("main")).to_contain_text("Not published yet")
    look(first)
    for name in ("find_order", "refund_order"):
        publish(second, f"/catalog/tools/shop/{name}/draft/")


def build_job(first: Page, second: Page) -> None:
    """An agent, a policy set and a job that gives money back, by two admins."""
    agent = {"domain": "shop", "slug": "shop-reference", "name": "Scripted", "kind": "reference"}
    begin(first, "/catalog/new/agent/", **agent)
    submit(first)
    publish(second, "/catalog/agents/shop-reference/draft/")

    begin(first, "/catalog/new/policy/", domain="shop", slug="shop", name="Shop desk")
    submit(first)
    publish(second, "/policies/shop/draft/")

    begin(first, "/catalog/new/job/", domain="shop", slug="shop-refund", name="Refund an order")
    text = first.evaluate("document.getElementById('text').value")
    more = text.replace("  - name: find_order\n", "  - name: find_order\n  - name: refund_order\n")
    assert more != text
    first.evaluate("t => window.ace.edit('ace').setValue(t)", more)
    expect(first.locator("#save-state")).to_contain_text("Saved")
    submit(first)
    publish(second, "/catalog/jobs/shop-refund/draft/")


def carry_out(page_as: PageAs, live_site: str, admin: User, shop: Shop) -> None:
    """A run of that job, which waits for a person and goes on once they agreed."""
    run = _started(live_site, admin)
    operator = page_as("operator")
    _until(run, "waiting_approval")
    assert shop.refunded("B2") == 0
    operator.goto("/approvals/")
    expect(operator.locator("#grid tbody tr").first).to_be_focused()
    operator.keyboard.press("Enter")
    expect(operator.locator("#panel")).to_contain_text("It changes something")
    operator.keyboard.press("a")
    expect(operator.locator("#reason")).to_be_focused()
    approve_by_key(operator)
    _until(run, "succeeded")
    assert shop.refunded("B2") == 500


def test_an_admin_builds_a_job_from_nothing_and_it_runs(
    page_as: PageAs,
    live_site: str,
    site_people: dict[str, User],
    worker: None,
    shop: Shop,
    no_serious_violations: Check,
) -> None:
    first, second = page_as("admin"), page_as("admin2")
    _tools(first, second, no_serious_violations)

    build_job(first, second)
    assert Job.objects.get().current_number == 1
    assert {t.current_number for t in Tool.objects.all()} == {1}
    carry_out(page_as, live_site, site_people["admin"], shop)


def _started(url: str, admin: User) -> str:
    """A run, asked for by a system of the company's."""
    account = create_account(actor=admin, name="order-system", purpose="")
    told = {"scopes": ["runs:start", "runs:script", "runs:read"], "days": 1, "rate_per_minute": 60}
    _, secret = create_token(actor=admin, account_id=account.pk, **told)
    script = [
        {"call": {"tool": "find_order", "args": {"order_id": "B2"}}},
        {"call": {"tool": "refund_order", "args": {"order_id": "B2", "cents": 500}}},
        {"done": "The order was refunded."},
    ]
    body = {"job": "shop-refund", "input": {"request": "Please."}, "customer": "bela"}
    answer = httpx.post(
        f"{url}/api/v1/runs",
        json={**body, "script": script},
        headers={"Authorization": f"Bearer {secret}", "Idempotency-Key": "from-nothing-1"},
        timeout=30,
    )
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


def _until(run: str, state: str) -> None:
    end = time.monotonic() + 90
    while time.monotonic() < end:
        found = Run.objects.get(pk=run)
        if found.state == state:
            return
        time.sleep(0.1)
    pytest.fail(f"the run is {found.state}: {found.outcome}")
