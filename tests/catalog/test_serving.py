"""Servers are asked all the time; what they say otherwise than was published, everybody sees."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from apps.audit.models import Event
from apps.catalog import selectors
from apps.catalog.models import ServerCheck, Tool, ToolVersion
from apps.catalog.selectors import pinned
from apps.catalog.selectors.servers import drifts, silent
from apps.catalog.services import kinds, watch_servers
from apps.kernel.patching import dumped
from apps.oversight.models import Approval
from tests.catalog.serving import Toys, hints, serving, tool
from tests.factories.approvals import ApprovalFactory
from tests.factories.catalog import PACK, apply_toys

pytestmark = pytest.mark.django_db
As = Callable[[str], Client]
NOW = timedelta(0)


@pytest.fixture
def toys(settings: Any) -> Iterator[Toys]:
    with serving(tool("find_order", "order_id"), tool("refund", "order_id")) as made:
        settings.TOOL_SERVERS, settings.TOOL_SERVERS_FILE = {"toys": made.url}, ""
        yield made


def change(toys: Toys, **more: Any) -> None:
    toys.tools[1] = tool(more.pop("name", "refund"), "order_id", **more)


def test_a_server_that_answers_is_told_with_its_revision_and_time(
    toys: Toys, tmp_path: Path
) -> None:
    apply_toys(tmp_path)

    assert watch_servers() == 1
    row = ServerCheck.objects.get()
    assert (row.is_answering, row.error, row.software) == (True, "", "toys 1")
    assert row.protocol
    assert row.answered_at
    assert watch_servers() == 0, "it was asked a moment ago"
    assert drifts() == []


def test_a_first_answer_while_a_draft_is_checked_refuses_nothing(
    toys: Toys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    apply_toys(tmp_path)
    toys.tools.append(tool("peek", "order_id"))
    refund = Tool.objects.get(name="refund")
    refund.live = {"input_schema": {}}
    version = ToolVersion.objects.get(tool=refund)
    text = dumped({**version.document, "preview": "peek"})
    read = selectors.last_listing

    def read_and_then_it_answers(of: Tool) -> Any:
        found = read(of)
        assert watch_servers() == 1
        return found

    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(kinds.selectors, "last_listing", read_and_then_it_answers)
        assert "doesn't serve" not in str(kinds.TOOLS.problems(refund, text))

    assert "doesn't serve" not in str(kinds.TOOLS.problems(refund, text))
    gone = dumped({**version.document, "preview": "pook"})
    assert "doesn't serve “pook”" in str(kinds.TOOLS.problems(refund, gone))


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"description": "Sends it elsewhere"}, "description changed"),
        ({"annotations": hints(read_only_hint=True)}, "Hint readOnlyHint"),
        ({"input_schema": {"type": "object"}}, "“order_id” is gone"),
        ({"output_schema": {"type": "object"}}, "output schema was added"),
        ({"name": "other"}, "doesn't offer it"),
    ],
)
def test_a_change_at_the_server_is_shown_audited_and_cleared_when_it_is_published(
    toys: Toys, tmp_path: Path, client_as: As, more: dict[str, Any], said: str
) -> None:
    apply_toys(tmp_path)
    watch_servers(every=NOW)
    change(toys, **more)
    watch_servers(every=NOW)

    (drift,) = drifts()
    assert (drift.tool, drift.jobs) == ("refund", ["toys-refund"])
    assert said in " ".join(drift.changes)
    assert (
        Event.objects.filter(kind="tool.changed_at_server", subject_id="toys/refund").count() == 1
    )
    client = client_as("operator")
    for page, words in (
        (reverse("api:system"), "changed since v1"),
        (reverse("catalog:tool", args=["toys", "refund"]), "Approvals given for it are void"),
        (reverse("catalog:job", args=["toys-refund"]), "changed at its server"),
        (reverse("dashboards:home"), "toys/refund (used by toys-refund) is described otherwise"),
    ):
        assert words in client.get(page).content.decode(), page
    if "name" in more or "input_schema" in more:
        return  # the pack as it is would be refused: it has to be mended first
    apply_toys(tmp_path)
    watch_servers(every=NOW)
    assert drifts() == []
    assert Tool.objects.get(name="refund").current_number == 2
    version, _ = selectors.contract_for_run("toys-refund")
    assert selectors.tool_versions_for(version)["refund"].number == 2


def test_an_older_version_that_a_run_pins_stays_changed_after_publishing(
    toys: Toys, tmp_path: Path
) -> None:
    apply_toys(tmp_path)
    old = ToolVersion.objects.get(tool__name="refund")
    change(toys, description="Other words")
    apply_toys(tmp_path)

    assert pinned.drift(old.pk)
    assert not pinned.drift(ToolVersion.objects.get(tool__name="refund", number=2).pk)


def test_questions_and_unused_answers_about_a_changed_tool_are_taken_back(
    toys: Toys, tmp_path: Path
) -> None:
    apply_toys(tmp_path)
    watch_servers(every=NOW)
    waiting = ApprovalFactory(tool_name="refund", domain_slug="toys")
    others = ApprovalFactory(tool_name="find_order", domain_slug="toys")
    change(toys, description="Other words")

    watch_servers(every=NOW)

    states = dict(Approval.objects.values_list("pk", "state"))
    assert (states[waiting.pk], states[others.pk]) == ("void", "pending")


def test_what_comes_back_as_it_was_published_is_told_too(toys: Toys, tmp_path: Path) -> None:
    apply_toys(tmp_path)
    before = list(toys.tools)
    change(toys, description="Other words")
    watch_servers(every=NOW)
    toys.tools = before

    watch_servers(every=NOW)

    assert drifts() == []
    assert Event.objects.filter(kind="tool.as_published").count() == 1


def test_a_pack_that_was_applied_while_its_server_was_down_is_compared_from_the_first_answer(
    toys: Toys, tmp_path: Path, settings: Any
) -> None:
    settings.TOOL_SERVERS = {"toys": "http://127.0.0.1:9/mcp"}
    apply_toys(tmp_path)
    watch_servers(every=NOW)
    assert "connection refused" in silent()[0][1]
    settings.TOOL_SERVERS = {"toys": toys.url}

    watch_servers(every=NOW)
    change(toys, description="Other words")
    watch_servers(every=NOW)

    assert [d.tool for d in drifts()] == ["refund"]
    assert apply_toys(tmp_path).has_changes


def test_what_contradicts_the_pack_and_what_nobody_uses_stands_on_the_system_page(
    toys: Toys, tmp_path: Path, client_as: As
) -> None:
    apply_toys(tmp_path)
    change(toys, annotations=hints(read_only_hint=True))
    toys.tools.append(tool("new_one"))

    watch_servers(every=NOW)
    page = client_as("operator").get(reverse("api:system")).content.decode()

    assert "1 contradicts the pack" in page
    assert "new_one" in page


def test_one_server_in_trouble_is_told_and_the_others_are_asked(
    toys: Toys, tmp_path: Path, settings: Any, client_as: As
) -> None:
    apply_toys(tmp_path)
    apply_toys(
        tmp_path / "b",
        change={
            "domain": {"slug": "games", "name": "Games"},
            "server": {"slug": "games"},
            "policies": [],
            "jobs": [],
            "agents": [],
            "prompts": [],
        },
    )
    settings.TOOL_SERVERS = {"toys": toys.url, "games": {"url": "x", "token": "s3cret-canary"}}

    assert watch_servers(every=NOW) == 2
    states = dict(ServerCheck.objects.values_list("server__slug", "is_answering"))
    assert states == {"toys": True, "games": False}
    page = client_as("operator").get(reverse("api:system")).content.decode()
    assert "misconfigured" in page
    assert "TOWER_TOOL_SERVERS: games: “url” must begin with https" in page
    assert "s3cret-canary" not in page
    assert toys.url in page
    assert "from the environment" in page


def test_a_hostile_listing_is_the_trouble_of_its_tool(toys: Toys, tmp_path: Path) -> None:
    apply_toys(tmp_path)
    change(toys, description="NUL \x00 here")
    toys.tools.append(tool("x/../../etc"))

    watch_servers(every=NOW)

    (drift,) = drifts()
    assert "can't be read" in drift.changes[0]
    assert ServerCheck.objects.get().is_answering
    assert PACK["tools"][0]["name"] == "find_order"
