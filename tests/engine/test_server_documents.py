"""Runs call a tool server where its document says, with its key; what was approved for one address
is carried out at no other."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import mcp_types as types
import pytest
from django.db import connections

from apps.accounts.models import User
from apps.audit.domain.actors import Actor
from apps.catalog.models import ToolServer
from apps.catalog.selectors import pinned
from apps.catalog.services import apply_packs
from apps.catalog.services.kinds import SERVERS
from apps.documents import services
from apps.kernel.patching import dumped
from apps.oversight.models import Approval
from apps.runs.models import Run
from apps.runs.services import NewRun, start_runs
from tests.catalog.serving import Toys, serving, tool
from tests.docs.test_tool_server import _approve as approve
from tests.docs.test_tool_server import drain
from tests.factories.catalog import CONTRACT, write_pack

pytestmark = pytest.mark.django_db(transaction=True)
KEY = "k3y-canary-of-a-server"


@pytest.fixture
def servers(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Toys]]:
    """Two that offer the same."""
    settings.TOOL_SERVERS, settings.TOOL_SERVERS_FILE = {}, ""
    settings.CATALOG_HOSTS = ["127.0.0.1"]
    monkeypatch.setenv("TOWER_SERVER_KEY_TOYS", KEY)
    with ExitStack() as stack:
        made = []
        for _ in range(2):
            toys = stack.enter_context(
                serving(tool("find_order", "order_id"), tool("refund", "order_id"))
            )
            toys.token = KEY
            made.append(toys)
        yield made


def text_of(url: str) -> str:
    entry = {"slug": "toys", "name": "Toys", "url": url, "key": {"env": "TOWER_SERVER_KEY_TOYS"}}
    return dumped(entry)


def applied(folder: Path, url: str) -> None:
    pack = write_pack(
        folder,
        contract=CONTRACT.replace("votes: 2", "votes: 1"),
        change={"server_files": ["toys-server.yaml"]},
    )
    (pack / "toys-server.yaml").write_text(text_of(url))
    try:
        apply_packs([pack])
    finally:
        connections.close_all()


def started() -> Any:
    contract = pinned.current_contract("toys-refund")
    call = {"call": {"tool": "refund", "args": {"order_id": "B2", "cents": 100}}}
    new = NewRun(
        job_slug="toys-refund",
        contract_version_id=contract.pk,
        agent_version_id=pinned.agent_of_kind("toys", "reference").pk,
        agent_kind="reference",
        agent_label="test",
        items=[{"hear": "Please."}, call, {"done": "done"}],
        domain_slug="toys",
        contract_number=contract.number,
        customer="bela",
    )
    return start_runs([new], actor=Actor.user("test"))[0]


def published(people: dict[str, User], text: str) -> None:
    server = ToolServer.objects.get()
    draft = services.save_draft(SERVERS, server, text=text, revision=0, author=people["admin"])
    services.submit_draft(
        SERVERS, server, revision=draft.revision, author=people["admin"], note="because"
    )
    for name in ("admin2", "admin3"):
        services.publish_draft(
            SERVERS, server, revision=draft.revision, approver=people[name], note="agreed"
        )


def test_what_was_approved_for_one_address_is_carried_out_at_no_other(
    servers: list[Toys], people: dict[str, User], tmp_path: Path
) -> None:
    called: list[str] = []

    def carries(name: str) -> Any:
        def call(tool: str, arguments: Any, meta: Any) -> types.CallToolResult:
            called.append(f"{name} {tool}")
            return types.CallToolResult(content=[types.TextContent(text="done")])

        return call

    servers[0].call, servers[1].call = carries("old"), carries("new")
    with ThreadPoolExecutor(1) as thread:
        thread.submit(applied, tmp_path, servers[0].url).result()
    run = started()
    drain()
    asked = Approval.objects.get(run_id=run)
    approve(asked, people["operator"])

    published(people, text_of(servers[1].url))  # before anybody carried it out
    drain()

    assert called == []
    anew = Approval.objects.get(run_id=run, state="pending")
    assert asked.binding["server"] != anew.binding["server"]
    approve(anew, people["operator"])
    drain()
    assert called == ["new refund"]
    assert Run.objects.get(pk=run).state == "succeeded"
    assert {seen.get("authorization") for seen in servers[1].seen} == {f"Bearer {KEY}"}


def test_another_key_is_another_caller_and_is_asked_anew(
    servers: list[Toys], people: dict[str, User], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOWER_SERVER_KEY_OTHER", KEY)
    with ThreadPoolExecutor(1) as thread:
        thread.submit(applied, tmp_path, servers[0].url).result()
    run = started()
    drain()
    asked = Approval.objects.get(run_id=run)
    bound = asked.binding["server"]
    approve(asked, people["operator"])

    published(people, text_of(servers[0].url).replace("KEY_TOYS", "KEY_OTHER"))
    drain()

    assert Approval.objects.get(run_id=run, state="pending").binding["server"] != bound
