"""The small tool server of the documentation keeps to it, and carries a real run."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from io import StringIO
from pathlib import Path
from typing import Any

import httpx
import pytest
from django.conf import settings as configured
from django.core.management import call_command
from django.db import connections, transaction

from apps.audit.domain.actors import Actor
from apps.catalog.models import Tool
from apps.catalog.selectors import pinned
from apps.catalog.services import apply_packs
from apps.catalog.services.serving import keep_live
from apps.oversight import services as approvals
from apps.oversight.models import Approval
from apps.runs.engine.drain import Drain
from apps.runs.models import Run, Step
from apps.runs.services import NewRun, start_runs

EXAMPLES = configured.BASE_DIR / "docs" / "examples"
TOKEN = "example-token"


class Shop:
    def __init__(self, url: str, database: Path) -> None:
        self.url, self.database = url, database

    def refunded(self, order_id: str) -> int:
        with sqlite3.connect(self.database) as database:
            found = database.execute("SELECT refunded FROM orders WHERE id = ?", [order_id])
            return int(found.fetchone()[0])


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    database = tmp_path / "desk.sqlite"
    command = [sys.executable, str(EXAMPLES / "tool_server.py")]
    command += ["--port", str(port), "--database", str(database)]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            command, env={**os.environ, "DESK_TOKEN": TOKEN}, stdout=log, stderr=log
        )
    url, end = f"http://127.0.0.1:{port}/mcp", time.monotonic() + 60
    while time.monotonic() < end and process.poll() is None:
        try:
            assert httpx.get(url, timeout=5).status_code == 401
            break
        except httpx.TransportError:
            time.sleep(0.1)
    monkeypatch.setenv("DESK_TOKEN", TOKEN)
    yield Shop(url, database)
    process.terminate()
    process.wait()


def test_it_passes_the_check_that_the_documentation_offers(shop: Shop, tmp_path: Path) -> None:
    arguments, out = tmp_path / "args.json", StringIO()
    arguments.write_text('{"order_id": "A1", "cents": 100}')

    call_command(
        "tools", "check", shop.url, "--token-env", "DESK_TOKEN", "--pack", str(EXAMPLES / "pack"),
        "--try", "refund_order", str(arguments), "--json", stdout=out,
    )  # fmt: skip

    report = json.loads(out.getvalue())
    assert [line for line in report["lines"] if line["state"] != "ok"] == []
    assert shop.refunded("A1") == 100, "the same key twice is one refund"


def drain() -> None:
    asyncio.run(Drain(lane="normal", seconds=20, lease_s=30, in_flight=20, linger_s=1).run())


@pytest.mark.django_db(transaction=True)
def test_a_run_gives_money_back_once_a_person_agreed(
    shop: Shop, settings: Any, people: dict[str, Any]
) -> None:
    settings.TOOL_SERVERS = {"shop": {"url": shop.url, "token_env": "DESK_TOKEN"}}
    settings.TOOL_SERVERS_FILE = ""
    with ThreadPoolExecutor(1) as thread:
        thread.submit(_apply).result()
    run = _start(
        [_call("find_order", order_id="B2"), _call("refund_order", order_id="B2", cents=60000)]
    )

    drain()
    asked = Approval.objects.get(run_id=run)
    assert "Give 60000 cents of order B2 back to Bela" in asked.sentence
    assert shop.refunded("B2") == 0
    _approve(asked, people["operator"])
    _say_otherwise("refund_order")
    drain()
    assert shop.refunded("B2") == 0, "what was approved isn't what its server describes now"
    anew = Approval.objects.get(run_id=run, state="pending")
    assert anew.rules[0]["id"] == "asked-again"
    assert "Its description changed." in anew.rules[0]["reason"]
    _approve(anew, people["operator"])
    drain()

    assert Run.objects.get(pk=run).state == "succeeded", list(
        Step.objects.values_list("tool_name", "state", "error")
    )
    assert shop.refunded("B2") == 60000


@pytest.mark.django_db(transaction=True)
def test_a_refund_that_leaves_nothing_for_a_later_one_of_its_plan_is_held(
    shop: Shop, settings: Any
) -> None:
    settings.TOOL_SERVERS = {"shop": {"url": shop.url, "token_env": "DESK_TOKEN"}}
    settings.TOOL_SERVERS_FILE = ""
    with ThreadPoolExecutor(1) as thread:
        thread.submit(_apply).result()
    refunds = [_call("refund_order", order_id="A1", cents=cents) for cents in (7000, 6000)]
    _start(refunds)

    drain()

    assert shop.refunded("A1") == 0
    reasons = {rule["id"]: rule["reason"] for rule in Approval.objects.get().rules}
    assert "only 5000 cents of A1 are left" in reasons["plan-clash"]


def _approve(asked: Approval, person: Any) -> None:
    approvals.decide(
        approval_id=asked.pk,
        user=person,
        approve=True,
        reason="seen the parcel",
        digest=asked.digest,
        nonce=f"n-{asked.pk}",
        dwell_ms=4_000,
    )


def _say_otherwise(name: str) -> None:
    tool = Tool.objects.select_related("domain").get(name=name)
    with transaction.atomic():
        assert keep_live(tool, {**tool.live, "description": "Gives it to somebody else."})


def _apply() -> None:
    try:
        report = apply_packs([EXAMPLES / "pack"])
        assert not report.problems, [str(p) for p in report.problems]
    finally:
        connections.close_all()


def _call(tool: str, **arguments: Any) -> dict[str, Any]:
    return {"call": {"tool": tool, "args": arguments}}


def _start(calls: list[dict[str, Any]]) -> Any:
    contract = pinned.current_contract("shop-refund")
    agent = pinned.agent_of_kind("shop", "reference")
    new = NewRun(
        job_slug="shop-refund",
        contract_version_id=contract.pk,
        agent_version_id=agent.pk,
        agent_kind="reference",
        agent_label="test",
        items=[{"hear": "Please."}, *calls, {"done": "done"}],
        domain_slug="shop",
        contract_number=contract.number,
        customer="bela",
    )
    return start_runs([new], actor=Actor.user("test"))[0]
